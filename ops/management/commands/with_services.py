"""`manage.py with_services -- COMMAND ...`: a command with its own temporary PostgreSQL and Valkey."""

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
from argparse import REMAINDER
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.encryption import new_encryption_key
from ops.data_directory import locked
from ops.embedded.locations import Locations, embedded_urls
from ops.embedded.services import embedded_programs, prepare_directories, remove_directories
from ops.supervisor.output import Terminal
from ops.supervisor.program import Program, StartError
from ops.supervisor.stops import StopRequested
from ops.supervisor.supervisor import Supervisor

_STOPPED_BY_SIGNAL = 130
_PREFIX = "hourhand-services-"


class Command(BaseCommand):
    help = "Run a command with its own PostgreSQL and Valkey, in a temporary directory that is then removed."
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-fsync", action="store_true", help="turn off fsync: for tests, not for benchmarks")
        parser.add_argument("command", nargs=REMAINDER, help="the command, after --")

    def handle(self, *_args: Any, **options: Any) -> None:
        command = [word for index, word in enumerate(options["command"]) if index or word != "--"]
        program = shutil.which(command[0]) if command else None
        if program is None:
            raise CommandError("Name a command to run: manage.py with_services -- COMMAND ARGUMENTS")
        _remove_leftovers()
        root = Path(tempfile.mkdtemp(prefix=_PREFIX))
        try:
            status = _run(root, [program, *command[1:]], durable=not options["no_fsync"])
        except StartError as error:
            raise CommandError(str(error)) from error
        finally:
            remove_directories(Locations.of(root))
            shutil.rmtree(root, ignore_errors=True)
        sys.exit(status)


def _run(root: Path, command: list[str], *, durable: bool) -> int:
    locations = Locations.of(root)
    account = prepare_directories(locations, embedded=True)
    with locked(locations):
        programs = embedded_programs(locations, account, durable=durable)
        return _run_among(programs, locations, command)


def _run_among(programs: list[Program], locations: Locations, command: list[str]) -> int:
    root = locations.root
    database_url, redis_url = embedded_urls(root)
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "HOURHAND_DATA_DIR": str(root),
        "HOURHAND_ENCRYPTION_KEYS": new_encryption_key(),
        "SECRET_KEY": os.environ.get("SECRET_KEY") or secrets.token_urlsafe(50),
    }
    with Supervisor(logs=locations.logs, terminal=Terminal(None)) as supervisor:
        try:
            supervisor.start(*programs)
            supervisor.await_ready()
            return supervisor.run_attached(command, environment, Path.cwd())
        except StopRequested:
            return _STOPPED_BY_SIGNAL


def _remove_leftovers() -> None:
    """Remove directories of earlier runs that were killed: those of this user that no process locks."""
    for root in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        locations = Locations(root)
        with contextlib.suppress(OSError, StartError):
            # One without a lock file may just have been created by another process.
            if root.lstat().st_uid == os.geteuid() and (locations.run / "lock").exists():
                with locked(locations):
                    remove_directories(locations)
                    shutil.rmtree(root)
