"""Which machine and which start of the agent this is, and the lock that keeps two agents out of one directory."""

import fcntl
import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from hourhand.agent.durable import write_durably

MACHINE_ID = Path("/etc/machine-id")
_KEPT_NAME, _LOCK_NAME = "machine-id", "lock"
_ID = re.compile(r"[0-9a-f]{32}")
#: The machine's own id is confidential (man 5 machine-id): only a hash for this application leaves the machine.
_APPLICATION = b"hourhand agent"


class AgentRunningError(Exception):
    """Another agent on this machine uses the same directory."""


@dataclass(frozen=True)
class AgentIdentity:
    """Who claims. `machine` survives restarts; `instance` is random for each start. Both are 32 hexadecimal digits."""

    machine: str
    instance: str


def identify(directory: Path, *, machine_id: Path = MACHINE_ID) -> AgentIdentity:
    """Return the identity of this start.

    `directory` is the agent's own. A random machine id is kept there where the machine has none, such as in a
    container; once kept, it is used. Raises OSError if it can't be kept.
    """
    kept = directory / _KEPT_NAME
    machine = _read(kept) or _hashed(_read(machine_id))
    if machine is None:
        machine = secrets.token_hex(16)
        write_durably(kept, f"{machine}\n".encode())
    return AgentIdentity(machine, secrets.token_hex(16))


@dataclass(frozen=True)
class DirectoryLock:
    """Holds the agent's directory until it is closed or the process ends."""

    _descriptor: int = field(repr=False)

    def close(self) -> None:
        os.close(self._descriptor)


def lock_directory(directory: Path) -> DirectoryLock:
    """Create `directory`, for its owner alone, and lock it. Raises AgentRunningError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AgentRunningError(f"Another agent runs with the directory {directory}.") from None
    return DirectoryLock(descriptor)


def _read(path: Path) -> str | None:
    """Return the id in a file; None if the file is missing or holds anything else, such as `uninitialized`."""
    try:
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if _ID.fullmatch(text) and text.strip("0") else None


def _hashed(machine_id: str | None) -> str | None:
    if machine_id is None:
        return None
    return hmac.digest(bytes.fromhex(machine_id), _APPLICATION, hashlib.sha256)[:16].hex()
