"""`manage.py prepare_database`: migrations and the first run, before any other process starts."""

import time
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection

from ops.checks.tag import TAG
from ops.migrated import unknown_migrations

#: After a power cut, PostgreSQL and Hourhand start at the same time, and PostgreSQL recovers first.
PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.5


class Command(BaseCommand):
    help = "Migrate the database, then create the first workspace, administrator and API key unless they exist."
    requires_system_checks = []
    requires_migrations_checks = False

    def handle(self, *_args: Any, **_options: Any) -> None:
        self._await_database()
        refuse_newer_database()
        # Only printed: with a wrong host name Hourhand still fires, but if it did not start it would fire nothing.
        self.check(tags=[TAG], include_deployment_checks=True, databases=[DEFAULT_DB_ALIAS], fail_level=checks.CRITICAL)
        call_command("migrate", interactive=False, verbosity=0)
        call_command("first_run")

    def _await_database(self) -> None:
        """Wait until PostgreSQL answers, with a message. Raises CommandError after PATIENCE_SECONDS."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        announced = False
        while True:
            try:
                connection.ensure_connection()
                return
            except OperationalError as error:
                message = f"DATABASE_URL: PostgreSQL cannot be reached: {str(error).strip().splitlines()[0]}"
                if time.monotonic() >= give_up_at:
                    raise CommandError(message) from error
            if not announced:
                self.stderr.write(f"{message}\nTrying again for {PATIENCE_SECONDS:.0f} seconds.")
                announced = True
            time.sleep(_POLL_SECONDS)


def refuse_newer_database() -> None:
    """Raise CommandError for a database that a newer release migrated, unless HOURHAND_ACCEPT_NEWER_DATABASE is set."""
    unknown = unknown_migrations(connection)
    if unknown and not settings.ACCEPT_NEWER_DATABASE:
        raise CommandError(
            f"The database is newer than this release: it has {unknown[-1]}. Start the newer release. To go back to "
            "this one, check that the changelog names no migration that removes something, and set "
            "HOURHAND_ACCEPT_NEWER_DATABASE=1."
        )
