"""The process that listens on a unix socket, according to the kernel, which no server can deceive."""

import contextlib
import os
import signal
import socket
import struct
import time
from pathlib import Path

from ops.supervisor.program import StartError

_SOL_LOCAL, _LOCAL_PEERPID = 0, 2  # macOS, sys/un.h
_ORPHAN_SECONDS = 20.0


def listener_pid(path: Path) -> int | None:
    """The pid of the process that listens on a unix socket, or None."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2.0)
        try:
            client.connect(str(path))
        except OSError:
            return None
        if hasattr(socket, "SO_PEERCRED"):
            return int(struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
        return int(struct.unpack("i", client.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID, 4))[0])


def answers_as(path: Path, pid: int, *, service: str) -> bool:
    """Whether our child `pid` listens on the socket yet. Raises StartError if another process does."""
    listener = listener_pid(path)
    if listener is not None and listener != pid:
        raise StartError(
            f"Another process (pid {listener}) answers on {path}, in place of Hourhand's own {service} (pid {pid}). "
            f"Stop that process, or set HOURHAND_DATA_DIR to another directory."
        )
    return listener == pid


def end_orphan(pid: int, *, service: str, politely: signal.Signals) -> None:
    """Stop a server that outlived its supervisor: first with the signal `politely`, then SIGKILL. Raises StartError."""
    for number, seconds in ((politely, _ORPHAN_SECONDS), (signal.SIGKILL, 2.0)):
        with contextlib.suppress(ProcessLookupError):
            try:
                os.kill(pid, number)
            except PermissionError as error:
                raise StartError(
                    f"A {service} of another user (pid {pid}) still uses this data directory. Stop it first."
                ) from error
        if _is_gone_within(pid, seconds):
            return
    raise StartError(f"An earlier {service} (pid {pid}) does not stop. Stop it first.")


def _is_gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if _is_zombie(pid):
            return True
        time.sleep(0.05)
    return False


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
