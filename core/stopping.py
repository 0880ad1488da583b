"""Whether this web process is to stop: long-lived responses end then, so that the shutdown does not wait for them."""

import signal
import threading
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_stopping = threading.Event()


def is_stopping() -> bool:
    return _stopping.is_set()


def ask_to_stop() -> None:
    _stopping.set()


def notice_signals() -> None:
    """Notice the signals that stop this process, then run their handlers. Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        signal.signal(number, _noticing(signal.getsignal(number)))


def _noticing(handler: Any) -> Any:
    """Wrap a signal handler so that it notices the signal first."""

    def notice(number: int, frame: FrameType | None) -> None:
        _stopping.set()
        if callable(handler):
            handler(number, frame)
        elif handler == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    return notice
