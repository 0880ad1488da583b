"""Stop signals of the supervisor, as a count and a readable file descriptor."""

import os
import signal
from types import FrameType

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(Exception):  # noqa: N818 - not an error
    """A stop was requested during a start."""


class StopRequests:
    """The number of stop signals and the last of them. `fd` becomes readable on any signal, including SIGCHLD."""

    def __init__(self) -> None:
        self.count = 0
        self.last: signal.Signals | None = None
        self.fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else _portable_pipe()

    def install(self) -> None:
        """Handle the process's signals. Call it from the main thread. An ignored SIGHUP (nohup) stays ignored."""
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for number in _STOP_SIGNALS:
            if not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN):
                signal.signal(number, self._count)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def drain(self) -> None:
        try:
            while os.read(self.fd, 4096):
                pass
        except BlockingIOError:
            return

    def _count(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self.last = signal.Signals(number)


def _portable_pipe() -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends
