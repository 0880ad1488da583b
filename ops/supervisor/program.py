"""What to run: a program, whom it runs as, how it is stopped, and when it counts as ready."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


class StartError(Exception):
    """A program can't be started, or is not what it should be. The message says what to do about it."""


@dataclass(frozen=True)
class RunAs:
    """An account to become, keeping at most one Linux capability, named as in setpriv(1): `dac_override`."""

    uid: int
    gid: int
    capability: str | None = None


def no_preparation() -> None:
    """Nothing to do before a start."""


@dataclass(frozen=True)
class Program:
    """One supervised process."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path = Path("/")  # its working directory: one that every account can enter
    run_as: RunAs | None = None
    # Asked for on an orderly stop; SIGKILL to the whole process group follows after `stop_seconds`.
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    hastened_seconds: float = 0.0  # the same, once the operator asked a second time
    # What the kernel sends when the supervisor itself is killed: nobody is left to follow up on it.
    orphan_signal: signal.Signals = signal.SIGTERM
    inherited_fds: tuple[int, ...] = ()
    # False: its output goes to its log file only.
    on_terminal: bool = True
    prepare: Callable[[], None] = field(default=no_preparation)
    # Called with the process id about every 50 ms until it says True; must not block for long.
    ready: Callable[[int], bool] = field(default=lambda _pid: True)
    ready_seconds: float = 60.0
