"""Files that survive a loss of power: written aside, flushed to disk, and moved into place."""

import contextlib
import os
import tempfile
from pathlib import Path

#: Files that are being written. What a killed process left is removed by `remove_leftovers`.
TEMPORARY_PREFIX = ".writing-"


def write_durably(path: Path, content: bytes) -> None:
    """Write or replace a file, readable by its owner only, so that it is on disk as a whole or not at all.

    Raises OSError, and leaves the former file then.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY_PREFIX)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    flush_directory(path.parent)


def remove_durably(path: Path) -> None:
    """Remove a file, so that it does not come back. A missing one is fine. Raises OSError."""
    path.unlink(missing_ok=True)
    flush_directory(path.parent)


def flush_directory(directory: Path) -> None:
    """Flush the names in a directory to disk: a rename alone may be lost. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(directory: Path) -> None:
    """Remove the unfinished files of a process that was killed. Only one process may write to the directory."""
    for path in directory.glob(f"{TEMPORARY_PREFIX}*"):
        path.unlink(missing_ok=True)
