"""`manage.py up`: all of Hourhand in one terminal, with embedded PostgreSQL and Valkey unless others are configured."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from core.env import Env
from ops import processes
from ops.data_directory import (
    kept_encryption_key,
    kept_secret_key,
    locked,
    refused_path,
    write_private,
)
from ops.embedded.locations import Locations, embedded_urls
from ops.embedded.services import embedded_programs, prepare_directories, remove_directories
from ops.supervisor.output import Terminal
from ops.supervisor.program import StartError
from ops.supervisor.stops import StopRequested
from ops.supervisor.supervisor import Supervisor
from ops.web_socket import base_url, listening_socket

_LOOPBACK = "127.0.0.1"
_MAX_BEATS = 16
_MAX_WORKERS = 256


@dataclass(frozen=True)
class StartOptions:
    """The operator's environment variables, read before anything starts."""

    postgres: bool
    valkey: bool
    host: str
    port: int
    beats: int
    workers: int

    @classmethod
    def read(cls, env: Env) -> "StartOptions":
        return cls(
            postgres=not env.text("DATABASE_URL"),
            valkey=not env.text("REDIS_URL"),
            host=env.text("HOURHAND_HOST", _LOOPBACK),
            port=settings.PORT,
            beats=env.integer("HOURHAND_BEATS", 1, minimum=1, maximum=_MAX_BEATS),
            workers=env.integer("HOURHAND_WORKERS", os.cpu_count() or 1, minimum=1, maximum=_MAX_WORKERS),
        )


class Command(BaseCommand):
    help = "Start Hourhand: PostgreSQL, Valkey, web, beat and workers. Restart those that end; stop all on Ctrl-C."
    requires_system_checks = []
    requires_migrations_checks = False

    def handle(self, *_args: Any, **_options: Any) -> None:
        os.umask(0o077)
        terminal = Terminal(sys.stdout.buffer)
        try:
            _up(Locations.of(settings.DATA_DIR), StartOptions.read(Env(os.environ)), terminal)
        except (StartError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            if error.filename is None:
                raise
            raise CommandError(refused_path(error)) from error
        terminal.say("stopped")


def _up(locations: Locations, options: StartOptions, terminal: Terminal) -> None:
    """Start everything and supervise it until a stop request. Raises StartError if it cannot start."""
    account = prepare_directories(locations, embedded=options.postgres or options.valkey)
    with locked(locations), listening_socket(options.host, options.port) as listener:
        services = embedded_programs(locations, account, postgres=options.postgres, valkey=options.valkey)
        environment = _environment(locations, listener)
        with Supervisor(logs=locations.logs, terminal=terminal) as supervisor, contextlib.suppress(StopRequested):
            for service in services:
                terminal.say(f"starting {service.name}")
                supervisor.start(service)
                supervisor.await_ready()
            _prepare_database(supervisor, environment, terminal)
            terminal.say(f"starting web, {_plural(options.beats, 'beat')} and {_plural(options.workers, 'worker')}")
            supervisor.start(*processes.workers(environment, options.workers))
            supervisor.start(processes.web(environment, listener), *processes.beats(environment, options.beats))
            supervisor.await_ready()
            with _announced(locations, base_url(listener), terminal):
                supervisor.watch()
        remove_directories(locations)


def _prepare_database(supervisor: Supervisor, environment: dict[str, str], terminal: Terminal) -> None:
    """Run on this terminal, not to a log file: it prints the first credentials."""
    terminal.say("preparing the database")
    if supervisor.run_attached(processes.PREPARE_DATABASE, environment, processes.PROJECT) != 0:
        supervisor.raise_if_stopping()
        raise StartError("Preparing the database failed; the reason is above.")


@contextlib.contextmanager
def _announced(locations: Locations, url: str, terminal: Terminal) -> Iterator[None]:
    """Keep the URL in `run/url` while it answers."""
    address = locations.run / "url"
    write_private(address, f"{url}\n")
    terminal.say(_welcome(locations, url))
    try:
        yield
    finally:
        address.unlink(missing_ok=True)


def _environment(locations: Locations, listener: socket.socket) -> dict[str, str]:
    """The children's environment, with every default filled in."""
    database_url, redis_url = embedded_urls(locations.root)
    env = Env(os.environ)
    return {
        **os.environ,
        "HOURHAND_DATA_DIR": str(locations.root),
        "HOURHAND_PORT": str(listener.getsockname()[1]),
        "DATABASE_URL": env.text("DATABASE_URL") or database_url,
        "REDIS_URL": env.text("REDIS_URL") or redis_url,
        "SECRET_KEY": env.text("SECRET_KEY") or kept_secret_key(locations),
        "HOURHAND_ENCRYPTION_KEYS": env.text("HOURHAND_ENCRYPTION_KEYS") or kept_encryption_key(locations),
        "PYTHONUNBUFFERED": "1",
    }


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{count} {noun}s"


def _welcome(locations: Locations, url: str) -> str:
    credentials = locations.root / "first-run.json"
    lines = [
        "",
        f"  Hourhand is ready   {url}",
        f"  Dashboard           {url}/admin/",
        *([f"  Credentials         {credentials}"] if credentials.exists() else []),
        f"  Logs                {locations.logs}",
        "  Ctrl-C stops everything.",
        "",
    ]
    return "\n".join(lines)
