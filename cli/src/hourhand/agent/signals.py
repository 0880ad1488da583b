"""Signals of the agent's small processes: as events that a selector can wait for, and back to normal for a command."""

import os
import signal
from collections.abc import Iterable

_MAX_TAKEN = 4096


class Wakeups:
    """A pipe that becomes readable when one of the signals arrives. For a process's main thread."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in numbers:
            # Python writes to the pipe only for signals that have a handler.
            signal.signal(number, lambda *_: None)

    def fileno(self) -> int:
        return self._reading

    def take(self) -> list[int]:
        """Return the numbers of the signals that arrived since the last call."""
        try:
            return list(os.read(self._reading, _MAX_TAKEN))
        except BlockingIOError:
            return []

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self._reading)
        os.close(self._writing)


def restore_signals() -> None:
    """Give all signals their default effect, and let all arrive: a command would inherit what Python ignores."""
    for number in signal.valid_signals():
        if number not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def signal_name(number: int) -> str:
    """Return a name such as `SIGKILL`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
