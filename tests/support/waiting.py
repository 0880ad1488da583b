"""Wait for other processes."""

import time
from collections.abc import Callable
from typing import Any

import requests

READY_SECONDS = 30


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = READY_SECONDS) -> Any:
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
