"""Points between two steps at which a test may kill or stop the process.

Inert unless HOURHAND_FAILPOINTS names a directory. A file there, named after a failpoint, holds the number of a signal:
the first process to reach the failpoint appends its pid to the file's name and sends itself that signal.
"""

import os
from pathlib import Path

_DIRECTORY = os.environ.get("HOURHAND_FAILPOINTS", "")


def failpoint(name: str) -> None:
    """Signal this process if a test has asked for it. Call once for a batch, never for each row."""
    if _DIRECTORY:
        _reach(Path(_DIRECTORY, name))


def _reach(signal_file: Path) -> None:
    try:
        number = int(signal_file.read_text())
        signal_file.rename(f"{signal_file}.{os.getpid()}")
    except FileNotFoundError:  # no test asked for it, or another process was first
        return
    os.kill(os.getpid(), number)
