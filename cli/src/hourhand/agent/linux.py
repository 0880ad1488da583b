"""What the kernel of Linux does for processes, and what is left of it elsewhere.

Other systems have no subreaper, no signal at the death of a parent, and no /proc. There the functions below do nothing
or find nothing, and a process that a command detaches from its process group outlives it.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_PAUSE_SECONDS = 0.005
#: Fields of /proc/PID/stat after the program's name, which may hold spaces and parentheses (man 5 proc).
_STATE, _PARENT = 0, 1
_ZOMBIE = "Z"
# Loaded before any fork: a forked process must not have to.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def become_subreaper() -> None:
    """Let the kernel give this process the orphans among its descendants. Raises OSError."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends. A change of user undoes it. Raises OSError."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, argument: int) -> None:
    if _LIBC is not None and _LIBC.prctl(option, argument, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def reap_orphans(kept: frozenset[int]) -> None:
    """Reap the children of this process that have ended, except those in `kept`.

    Each is waited for by its id: a wait for any child could take the status of one that is in `kept`.
    """
    if sys.platform == "linux":
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, options)) is not None and ended.si_pid not in kept:
                os.waitpid(ended.si_pid, 0)


def kill_descendants(spared: frozenset[int] = frozenset(), *, seconds: float) -> int:
    """Kill all descendants of this process, a subreaper, with SIGKILL, and return how many did not end in `seconds`.

    The children in `spared`, and what is below them, are left alone. New descendants are killed too, until none are
    left: the kernel gives this process all those whose parent ends.
    """
    deadline = time.monotonic() + seconds
    while _has_children():
        reap_orphans(spared)
        below = _below(os.getpid(), spared)
        for pid in below:
            # A program that runs as another user, by sudo for example, can't be killed.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        # Zombies got the signal too: one may be a process whose first thread has ended before the others. They don't
        # count: one in `spared` keeps others from being reaped here.
        alive = sum(state != _ZOMBIE for state in below.values())
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(_PAUSE_SECONDS)
    return 0


def _has_children() -> bool:
    """Whether this process has children, ended or not: without any, there is no need to read all of /proc."""
    if sys.platform != "linux":
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _below(root: int, spared: frozenset[int]) -> dict[int, str]:
    """Return the processes below `root` and their states, without the children in `spared` and what is below those."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    states: dict[int, str] = {}
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # it has just ended
            fields = (directory / "stat").read_text(errors="replace").rpartition(")")[2].split()
            pid = int(directory.name)
            children[int(fields[_PARENT])].append(pid)
            states[pid] = fields[_STATE]
    below: dict[int, str] = {}
    waiting = [pid for pid in children[root] if pid not in spared]
    while waiting:
        pid = waiting.pop()
        below[pid] = states[pid]
        waiting += children[pid]
    return below
