"""Processes in /proc: whether they run, their children, and waiting for a condition."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def alive(pid: int) -> bool:
    """Return whether a process runs. A zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def children(parent: int) -> list[int]:
    return [pid for pid in _pids() if _parent(pid) == parent and alive(pid)]


def descendants(parent: int) -> list[int]:
    found = children(parent)
    return found + [pid for child in found for pid in descendants(child)]


def child(parent: int, word: str) -> int:
    """Return the only child with `word` in its command line, or 0."""
    found = [pid for pid in children(parent) if word in command_line(pid)]
    assert len(found) <= 1, [command_line(pid) for pid in found]
    return found[0] if found else 0


def eventually(look: Callable[[], T], *, seconds: float) -> T:
    """Return the result of `look` once it is true, or the last one after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (seen := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return seen


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
