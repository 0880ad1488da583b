"""`manage.py prepare_database`: what the database needs before anything runs on it, in one process."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection

from scheduler_project.migrated import unknown_migrations


class Command(BaseCommand):
    help = "Migrate the database, then make the first workspace, administrator and API key if there is none."
    requires_system_checks = []
    requires_migrations_checks = False

    def handle(self, *_args: Any, **_options: Any) -> None:
        refuse_newer_database()
        call_command("migrate", interactive=False, verbosity=0)
        call_command("first_run")


def refuse_newer_database() -> None:
    """Raises CommandError for a database that a newer release migrated, unless the operator goes back on purpose."""
    try:
        unknown = unknown_migrations(connection)
    except OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise CommandError(f"DATABASE_URL: PostgreSQL can't be reached: {reason}") from error
    if unknown and not settings.ACCEPT_NEWER_DATABASE:
        raise CommandError(
            f"The database is newer than this release: it has {unknown[-1]}. Start the newer release. To go back to "
            "this one, see that the changelog names no migration that takes something away, and set "
            "HOURHAND_ACCEPT_NEWER_DATABASE=1."
        )
