"""The data directory's free space, and credentials left in it.

Not system checks: Django waits for a disk that hangs, the doctor does not.
"""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from ops.doctor.findings import Finding, ok, problem, warning

_MIB, _GIB = 2**20, 2**30
_LOW_BYTES, _LOW_SHARE = _GIB, 0.05
_CRITICAL_BYTES, _CRITICAL_SHARE = 256 * _MIB, 0.01
#: Time to read the first credentials before a warning.
_READING_SECONDS = 3600


def room(directory: Path) -> Iterator[Finding]:
    """Free bytes and inodes of the file system that holds the data directory."""
    name, existing = "disk", _existing(directory)
    usage, system = shutil.disk_usage(existing), os.statvfs(existing)
    files = system.f_favail / system.f_files if system.f_files else 1.0
    share = usage.free / usage.total if usage.total else 1.0
    says = f"{directory}: {_size(usage.free)} free of {_size(usage.total)} ({share:.0%})"
    if files < _LOW_SHARE:
        says += f", room for {system.f_favail:,} more files"
    advice = (
        "Free some, or move HOURHAND_DATA_DIR: PostgreSQL stops when its disk is full. Shorter retention helps later."
    )
    if usage.free < _CRITICAL_BYTES or min(share, files) < _CRITICAL_SHARE:
        yield problem(name, f"{says}.", advice)
    elif usage.free < _LOW_BYTES or min(share, files) < _LOW_SHARE:
        yield warning(name, f"{says}.", advice)
    else:
        yield ok(name, f"{says}.")


def first_run(directory: Path) -> Iterator[Finding]:
    """Whether the first administrator's password and API key are still there in plain text."""
    name, file = "first_run", directory / "first-run.json"
    try:
        age = time.time() - file.stat().st_mtime
    except OSError:
        yield ok(name, "The first credentials are not in the data directory.")
        return
    if age < _READING_SECONDS:
        yield ok(name, f"{file} is new; delete it once you have saved its credentials.")
        return
    yield warning(
        name,
        f"{file} still holds the first administrator's password and an API key in plain text.",
        f"Save them elsewhere, change the password, then: rm {file}",
    )


def _existing(directory: Path) -> Path:
    return next(path for path in (directory, *directory.parents) if path.exists())


def _size(count: float) -> str:
    return f"{count / _GIB:,.1f} GiB" if count >= _GIB else f"{count / _MIB:,.0f} MiB"
