"""Migrations of Hourhand that a database has, compared with those of this release."""

from typing import Any

from django.db.migrations.loader import MigrationLoader

_OURS = ("accounts", "jobs", "runs", "scheduler_project")


def unknown_migrations(connection: Any) -> list[str]:
    """Hourhand's migrations that the database has and this release lacks: a newer release applied them."""
    return unknown_in(MigrationLoader(connection))


def unknown_in(loader: MigrationLoader) -> list[str]:
    unknown = set(loader.applied_migrations) - set(loader.disk_migrations)
    return sorted(f"{app}.{name}" for app, name in unknown if app in _OURS)
