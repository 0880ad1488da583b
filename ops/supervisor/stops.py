"""Signals that ask the supervisor to stop, turned into a count and a readable file descriptor."""

import os
import signal
from types import FrameType

_ASKS_TO_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(Exception):  # noqa: N818 - an answer to the operator, not an error
    """The operator asked to stop while something was starting."""


class StopRequests:
    """How often, and by which signal, a stop was asked for. `fd` becomes readable on any signal, SIGCHLD included."""

    def __init__(self) -> None:
        self.count = 0
        self.last: signal.Signals | None = None
        self.fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else _portable_pipe()

    def install(self) -> None:
        """Takes over the process's signals; the main thread only. An ignored SIGHUP (nohup) stays ignored."""
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for number in _ASKS_TO_STOP:
            if not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN):
                signal.signal(number, self._asked)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def drain(self) -> None:
        try:
            while os.read(self.fd, 4096):
                pass
        except BlockingIOError:
            return

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self.last = signal.Signals(number)


def _portable_pipe() -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends
