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
_LITTLE_BYTES, _LITTLE_SHARE = _GIB, 0.05
_TOO_LITTLE_BYTES, _TOO_LITTLE_SHARE = 256 * _MIB, 0.01
#: For so long they may lie there: somebody is just reading them.
_MEANWHILE_SECONDS = 3600


def room(directory: Path) -> Iterator[Finding]:
    """Bytes and files that may still be written where the data directory is."""
    name, there = "disk", _existing(directory)
    usage, system = shutil.disk_usage(there), os.statvfs(there)
    files = system.f_favail / system.f_files if system.f_files else 1.0
    share = usage.free / usage.total if usage.total else 1.0
    says = f"{directory}: {_size(usage.free)} free of {_size(usage.total)} ({share:.0%})"
    if files < _LITTLE_SHARE:
        says += f", room for {system.f_favail:,} more files"
    advice = (
        "Free some, or move HOURHAND_DATA_DIR. PostgreSQL stops when its disk is full; shorter retention helps later."
    )
    if usage.free < _TOO_LITTLE_BYTES or min(share, files) < _TOO_LITTLE_SHARE:
        yield problem(name, f"{says}.", advice)
    elif usage.free < _LITTLE_BYTES or min(share, files) < _LITTLE_SHARE:
        yield warning(name, f"{says}.", advice)
    else:
        yield ok(name, f"{says}.")


def first_run(directory: Path) -> Iterator[Finding]:
    """The first administrator's password and an API key lie there in plain until somebody deletes them."""
    name, file = "first_run", directory / "first-run.json"
    try:
        age = time.time() - file.stat().st_mtime
    except OSError:
        yield ok(name, "No first credentials lie about.")
        return
    if age < _MEANWHILE_SECONDS:
        yield ok(name, f"{file} is of this start; delete it once you have kept what it says.")
        return
    yield warning(
        name,
        f"{file} still holds the first administrator's password and an API key, in plain.",
        f"Keep them elsewhere, change the password, then: rm {file}",
    )


def _existing(directory: Path) -> Path:
    return next(path for path in (directory, *directory.parents) if path.exists())


def _size(count: float) -> str:
    return f"{count / _GIB:,.1f} GiB" if count >= _GIB else f"{count / _MIB:,.0f} MiB"
