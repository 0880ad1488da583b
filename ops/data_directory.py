"""The data directory while `manage.py up` runs: locked against a second start, with the keys of the first."""

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

_MAKE = {
    "secret-key": "import secrets; print(secrets.token_urlsafe(50))",
    "encryption-key": "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())",
}


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


def refused_path(error: OSError) -> str:
    """What to do about a file or directory that the system refuses, in a line."""
    if error.errno == errno.EROFS:
        cure = "Its disk is read-only: set HOURHAND_DATA_DIR to a directory that can be written."
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        cure = "Make room on its disk, or set HOURHAND_DATA_DIR to a directory on another."
    elif error.errno in (errno.EACCES, errno.EPERM):
        cure = (
            "Start Hourhand as the user that it belongs to, put its owner right (chown), or set HOURHAND_DATA_DIR to a "
            "directory of yours."
        )
    else:
        cure = "Move it away, or set HOURHAND_DATA_DIR to another directory."
    return f"{error.filename}: {error.strerror}. {cure}"


def _kept(path: Path, made: str, *, lost: str) -> str:
    """The key in a file, made on the first start: never where there is a database already. Raises StartError."""
    if key := kept_text(path):
        return key
    is_there = path.exists()
    if Locations.of(path.parent).cluster.exists():
        raise StartError(
            f"{path} is {'empty' if is_there else 'missing'}, though there is a database beside it. Put it back from "
            f"your backup; where it is lost, make it anew ({lost}): python -c '{_MAKE[path.name]}' > {path}"
        )
    if is_there:
        raise StartError(f"{path} is empty. Put the key back, or remove the file: {lost}.")
    write_private(path, made + "\n")
    return made


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
