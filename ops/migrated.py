"""Which migrations of Hourhand a database has, compared with those that this release knows."""

from typing import Any

from django.db.migrations.loader import MigrationLoader

_OURS = ("accounts", "jobs", "runs", "scheduler_project")


def unknown_migrations(connection: Any) -> list[str]:
    """Migrations of ours that the database has and this release does not know: a newer one made them."""
    return unknown_in(MigrationLoader(connection))


def unknown_in(loader: MigrationLoader) -> list[str]:
    unknown = set(loader.applied_migrations) - set(loader.disk_migrations)
    return sorted(f"{app}.{name}" for app, name in unknown if app in _OURS)
