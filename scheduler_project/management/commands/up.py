"""`manage.py up`: the whole house in one terminal, with embedded PostgreSQL and Valkey where none are configured."""

import os
import socket
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from scheduler_project.embedded.locations import Locations, embedded_urls
from scheduler_project.embedded.services import embedded_programs, prepare_directories, remove_directories
from scheduler_project.env import Env
from scheduler_project.management import house
from scheduler_project.management.data_directory import kept_secret_key, locked, write_private
from scheduler_project.management.web_socket import base_url, listening_socket
from scheduler_project.supervisor.output import Terminal
from scheduler_project.supervisor.program import Program, StartError
from scheduler_project.supervisor.stops import StopRequested
from scheduler_project.supervisor.supervisor import Supervisor

_LOOPBACK = "127.0.0.1"
_MOST_WORKERS = 256


class Command(BaseCommand):
    help = "Start Hourhand: PostgreSQL, Valkey, web, beat and workers; restart what dies; stop all on Ctrl-C."
    requires_system_checks = []
    requires_migrations_checks = False

    def handle(self, *_args: Any, **_options: Any) -> None:
        os.umask(0o077)
        terminal = Terminal(sys.stdout.buffer)
        locations = Locations.of(settings.DATA_DIR)
        env = Env(os.environ)
        postgres, valkey = not env.text("DATABASE_URL"), not env.text("REDIS_URL")
        try:
            account = prepare_directories(locations, embedded=postgres or valkey)
            with locked(locations):
                services = embedded_programs(locations, account, postgres=postgres, valkey=valkey)
                _run(locations, services, terminal)
                remove_directories(locations)
        except StartError as error:
            raise CommandError(str(error)) from error
        terminal.say("stopped")


def _run(locations: Locations, services: list[Program], terminal: Terminal) -> None:
    """From nothing to the end: raises StartError when it can't start; a stop request is an ordinary return."""
    host = Env(os.environ).text("HOURHAND_HOST", _LOOPBACK)
    with listening_socket(host, settings.PORT) as listener:
        url = base_url(listener)
        environment = _environment(locations, listener)
        with Supervisor(logs=locations.logs, terminal=terminal) as supervisor:
            try:
                for service in services:
                    terminal.say(f"starting {service.name}")
                    supervisor.start(service)
                    supervisor.await_ready()
                _start_house(supervisor, environment, listener, terminal, count)
                write_private(locations.run / "url", f"{url}\n")
                terminal.say(_welcome(locations, url))
                supervisor.watch()
            except StopRequested:
                return
            finally:
                (locations.run / "url").unlink(missing_ok=True)


def _start_house(
    supervisor: Supervisor, environment: dict[str, str], listener: socket.socket, terminal: Terminal, count: int
) -> None:
    terminal.say("preparing the database")
    # On this terminal and in no log: it prints the first credentials.
    if supervisor.run_attached(house.PREPARE_DATABASE, environment, house.PROJECT) != 0:
        supervisor.raise_if_stopping()
        raise StartError("The database could not be prepared; the reason is above.")
    terminal.say(f"starting web, beat and {count} worker{'s' if count > 1 else ''}")
    supervisor.start(*house.workers(environment, count))
    supervisor.start(house.web(environment, listener), house.beat(environment))
    supervisor.await_ready()


def _environment(locations: Locations, listener: socket.socket) -> dict[str, str]:
    """What the children get: all that was chosen here, spelled out."""
    database_url, redis_url = embedded_urls(locations.root)
    env = Env(os.environ)
    return {
        **os.environ,
        "HOURHAND_DATA_DIR": str(locations.root),
        "HOURHAND_PORT": str(listener.getsockname()[1]),
        "DATABASE_URL": env.text("DATABASE_URL") or database_url,
        "REDIS_URL": env.text("REDIS_URL") or redis_url,
        "SECRET_KEY": env.text("SECRET_KEY") or kept_secret_key(locations),
        "PYTHONUNBUFFERED": "1",
    }


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
