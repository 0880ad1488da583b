"""Wait for what processes do in their own time."""

import time
from collections.abc import Callable
from typing import Any

import requests

READY_SECONDS = 30


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = READY_SECONDS) -> Any:
    """Wait until `condition` holds; answers with what it said. A connection refused means not yet."""
    until = time.monotonic() + seconds
    while True:
        try:
            found = condition()
        except (requests.ConnectionError, OSError):
            found = None
        if found:
            return found
        assert time.monotonic() < until, f"waited {seconds} s for {what}"
        time.sleep(0.05)
