"""Wait for other processes."""

import time
from collections.abc import Callable
from typing import Any

import requests

#: How long to wait for what must happen: a shared machine may be several times slower than usual.
PATIENCE_SECONDS = 240.0


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait until `condition` is true and return its value. A refused connection counts as false."""
    until = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except (requests.ConnectionError, OSError):
            value = None
        if value:
            return value
        assert time.monotonic() < until, f"waited {seconds} s for {what}"
        time.sleep(0.05)
