"""The data directory of `manage.py up`: its lock and its keys."""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from accounts.encryption import new_encryption_key
from core.env import kept_text
from ops.embedded.locations import Locations
from ops.supervisor.program import StartError

_CREATE = {
    "secret-key": "import secrets; print(secrets.token_urlsafe(50))",
    "encryption-key": "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())",
}


@contextlib.contextmanager
def locked(locations: Locations) -> Iterator[None]:
    """Lock the data directory; the kernel releases it however the process ends. Raises StartError."""
    descriptor = os.open(locations.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            raise StartError(
                f"Hourhand already runs on {locations.root} (pid {holder or 'unknown'}). Stop that one first, or set "
                f"HOURHAND_DATA_DIR and HOURHAND_PORT to start another one."
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def kept_secret_key(locations: Locations) -> str:
    """The SECRET_KEY of a data directory, created on the first start."""
    return _kept(locations.root / "secret-key", secrets.token_urlsafe(50), lost="a new key ends all sessions")


def kept_encryption_key(locations: Locations) -> str:
    """The encryption key of a data directory, created on the first start."""
    return _kept(
        locations.root / "encryption-key", new_encryption_key(), lost="a new key does not decrypt the old secrets"
    )


def refused_path(error: OSError) -> str:
    """One line on a file or directory that the operating system refuses, with what to do."""
    if error.errno == errno.EROFS:
        cure = "Its disk is read-only: set HOURHAND_DATA_DIR to a writable directory."
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        cure = "Free space on its disk, or set HOURHAND_DATA_DIR to a directory on another."
    elif error.errno in (errno.EACCES, errno.EPERM):
        cure = (
            "Start Hourhand as the owner, change the owner (chown), or set HOURHAND_DATA_DIR to a directory of yours."
        )
    else:
        cure = "Move it away, or set HOURHAND_DATA_DIR to another directory."
    return f"{error.filename}: {error.strerror}. {cure}"


def _kept(path: Path, new: str, *, lost: str) -> str:
    """The key in a file, created on the first start but never beside an existing database. Raises StartError."""
    if key := kept_text(path):
        return key
    exists = path.exists()
    if Locations.of(path.parent).cluster.exists():
        raise StartError(
            f"{path} is {'empty' if exists else 'missing'}, but a database exists beside it. Restore it from your "
            f"backup. If it is lost, create a new one ({lost}): python -c '{_CREATE[path.name]}' > {path}"
        )
    if exists:
        raise StartError(f"{path} is empty. Restore the key, or remove the file: {lost}.")
    write_private(path, new + "\n")
    return new


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 600 atomically."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
