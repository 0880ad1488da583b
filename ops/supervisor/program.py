"""A program to supervise: its account, how it stops, and when it counts as ready."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


class StartError(Exception):
    """A program cannot be started. The message says what to do."""


@dataclass(frozen=True)
class RunAs:
    """An account to become, keeping at most one Linux capability, named as in setpriv(1): `dac_override`."""

    uid: int
    gid: int
    capability: str | None = None


def no_preparation() -> None:
    """Do nothing before a start."""


@dataclass(frozen=True)
class Program:
    """One supervised process."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path = Path("/")  # the working directory; every account can enter this one
    run_as: RunAs | None = None
    # Sent to stop it; SIGKILL to its process group follows after `stop_seconds`.
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    hastened_seconds: float = 0.0  # the same after a second stop request
    # Sent by the kernel when the supervisor is killed; no SIGKILL follows.
    orphan_signal: signal.Signals = signal.SIGTERM
    inherited_fds: tuple[int, ...] = ()
    # False: output goes to the log file only.
    on_terminal: bool = True
    prepare: Callable[[], None] = field(default=no_preparation)
    # Called with the process id about every 50 ms until it returns True. Must not block.
    ready: Callable[[int], bool] = field(default=lambda _pid: True)
    ready_seconds: float = 60.0
