"""`manage.py prepare_database`: what the database needs before anything runs on it, in one process."""

import time
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection

from ops.checks.tag import TAG
from ops.migrated import unknown_migrations

#: A machine that comes back from a power cut starts PostgreSQL and Hourhand at once, and PostgreSQL recovers first.
PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.5


class Command(BaseCommand):
    help = "Migrate the database, then make the first workspace, administrator and API key if there is none."
    requires_system_checks = []
    requires_migrations_checks = False

    def handle(self, *_args: Any, **_options: Any) -> None:
        self._await_database()
        refuse_newer_database()
        # Printed only: a scheduler with a wrong host name still fires, one that does not start fires nothing.
        self.check(tags=[TAG], include_deployment_checks=True, databases=[DEFAULT_DB_ALIAS], fail_level=checks.CRITICAL)
        call_command("migrate", interactive=False, verbosity=0)
        call_command("first_run")

    def _await_database(self) -> None:
        """Returns once PostgreSQL answers. Says at once if it does not; raises CommandError if it goes on so."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        said = False
        while True:
            try:
                connection.ensure_connection()
                return
            except OperationalError as error:
                told = f"DATABASE_URL: PostgreSQL can't be reached: {str(error).strip().splitlines()[0]}"
                if time.monotonic() >= give_up_at:
                    raise CommandError(told) from error
            if not said:
                self.stderr.write(f"{told}\nTrying again for {PATIENCE_SECONDS:.0f} seconds.")
                said = True
            time.sleep(_POLL_SECONDS)


def refuse_newer_database() -> None:
    """Raises CommandError for a database that a newer release migrated, unless the operator goes back on purpose."""
    unknown = unknown_migrations(connection)
    if unknown and not settings.ACCEPT_NEWER_DATABASE:
        raise CommandError(
            f"The database is newer than this release: it has {unknown[-1]}. Start the newer release. To go back to "
            "this one, see that the changelog names no migration that takes something away, and set "
            "HOURHAND_ACCEPT_NEWER_DATABASE=1."
        )
