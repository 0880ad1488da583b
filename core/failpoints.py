"""Places where a test may let this very process die, or stop: between two steps that belong together.

Inert unless HOURHAND_FAILPOINTS names a directory. A file there, by the name of a failpoint, holds the number of a
signal: the first process that comes by adds its own pid to the file's name, and sends itself that signal.
"""

import os
from pathlib import Path

_DIRECTORY = os.environ.get("HOURHAND_FAILPOINTS", "")


def failpoint(name: str) -> None:
    """Nothing, but where a test asked for it. To be called once for a batch, never for each of its rows."""
    if _DIRECTORY:
        _reach(Path(_DIRECTORY, name))


def _reach(order: Path) -> None:
    try:
        number = int(order.read_text())
        order.rename(f"{order}.{os.getpid()}")
    except FileNotFoundError:  # not asked for, or another process was first
        return
    os.kill(os.getpid(), number)
