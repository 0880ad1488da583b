"""What a job's version says of its callback: the URL to call after an execution, and after which endings. Pure.

A version without a callback has no such field, which older releases can read.
"""

from collections.abc import Iterable, Mapping
from typing import Any

#: How an execution may end, by the bit that stands for it in `Execution.callback_on`.
CALLBACK_BITS = {"succeeded": 1, "failed": 2, "canceled": 4, "skipped": 8}
#: A skipped execution did nothing, so its callback has to be asked for.
DEFAULT_ON = ("succeeded", "failed", "canceled")


def default_callback(url: str) -> dict[str, Any]:
    """Return the callback that a URL alone stands for."""
    return {"url": url, "on": list(DEFAULT_ON), "include_body": False}


def bits_of(endings: Iterable[str]) -> int:
    """Return the endings as bits. Raises KeyError for an unknown one."""
    return sum({CALLBACK_BITS[ending] for ending in endings})


def callback_bits(callback: Mapping[str, Any] | None) -> int:
    """Return after which endings a callback is due, as bits: 0 without a callback."""
    return bits_of(callback["on"]) if callback else 0


def is_callback(value: Any) -> bool:
    """Return whether a stored value is a callback that this release can read, or None."""
    if value is None:
        return True
    return (
        isinstance(value, dict)
        and isinstance(value.get("url"), str)
        and isinstance(value.get("include_body"), bool)
        and isinstance(value.get("on"), list)
        and all(isinstance(ending, str) and ending in CALLBACK_BITS for ending in value["on"])
    )
