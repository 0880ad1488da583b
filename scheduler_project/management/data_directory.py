"""The data directory while `manage.py up` runs: locked against a second start, with the keys of the first."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from accounts.encryption import new_encryption_key
from scheduler_project.embedded.locations import Locations
from scheduler_project.supervisor.program import StartError


@contextlib.contextmanager
def locked(locations: Locations) -> Iterator[None]:
    """Hold the data directory for this process; the kernel lets go however that ends. Raises StartError."""
    descriptor = os.open(locations.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            raise StartError(
                f"Hourhand already runs on {locations.root} (pid {holder or 'unknown'}). Stop that one first, or set "
                f"HOURHAND_DATA_DIR and HOURHAND_PORT to start another beside it."
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def kept_secret_key(locations: Locations) -> str:
    """The SECRET_KEY of this data directory, made on the first start."""
    return _kept(locations.root / "secret-key", secrets.token_urlsafe(50), lost="a new key ends all sessions")


def kept_encryption_key(locations: Locations) -> str:
    """The key that secrets are encrypted with in this data directory, made on the first start."""
    return _kept(locations.root / "encryption-key", new_encryption_key(), lost="a new key can't read the old secrets")


def _kept(path: Path, made: str, *, lost: str) -> str:
    if not path.exists():
        write_private(path, made + "\n")
    key = path.read_text().strip()
    if not key:
        raise StartError(f"{path} is empty. Put the key back, or remove the file: {lost}.")
    return key


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 600, all of it or nothing."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
