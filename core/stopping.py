"""Whether this web process is asked to stop: answers that would go on for minutes end then, so that nobody waits."""

import signal
import threading
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_asked = threading.Event()


def is_stopping() -> bool:
    return _asked.is_set()


def ask_to_stop() -> None:
    _asked.set()


def notice_signals() -> None:
    """Take note of the signals that stop this process, before whoever handles them. In the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        signal.signal(number, _noting(signal.getsignal(number)))


def _noting(handler: Any) -> Any:
    """A handler that takes note, then does what the one before it did."""

    def note(number: int, frame: FrameType | None) -> None:
        _asked.set()
        if callable(handler):
            handler(number, frame)
        elif handler == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    return note
