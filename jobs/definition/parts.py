"""The parts of a stored definition that this release can read: the shape of each field. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NONE = type(None)
MOST_SECONDS = 366 * 24 * 3600
MOST_MS = 2**31 - 1
MOST_SMALL = 2**15 - 1
_MAX_QUOTED_CHARACTERS = 60
_BACKOFFS = ("exponential", "linear", "fixed", "list")


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a definition: `accepts` tests its value, `blank` replaces one of another shape for display.

    `quoted`: an error may quote its value. `optional`: versions of older releases lack it.
    """

    accepts: Callable[[Any], bool]
    blank: Any
    quoted: bool = False
    optional: bool = False

    def fits(self, value: Any) -> bool:
        """Return whether a value (`...`: none) has the field's type, even if it is an unknown word."""
        if value is ...:
            return self.optional
        return isinstance(value, str) if self.quoted else self.accepts(value)


#: A field's part, or those of the fields within it.
Parts = Mapping[str, Part | Mapping[str, Part]]


def of(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def between(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: of(int)(value) and least <= value <= most


def one_of(values: Any) -> Callable[[Any], bool]:
    words = frozenset(str(value) for value in values)
    return lambda value: isinstance(value, str) and value in words


def list_of(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(of(*kinds), value))


def nothing(value: Any) -> bool:
    return value is None


def is_verify(value: Any) -> bool:
    """Return whether a value has the shape of a webhook's `verify`."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("preset"), str)
        and all(of(str, NONE)(value.get(name)) for name in ("secret", "header"))
    )


def _is_client_cert(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, dict) and value.keys() == {"cert", "key"} and all(map(of(str), value.values()))


def _texts_by_name(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


BOOLEAN = Part(of(bool), blank=False)
UNUSED = Part(nothing, blank=None)
_DURATION = Part(between(0, MOST_MS), blank=0)
#: The sections of a call: of a job, and of a workflow's step.
CALL_PARTS: Mapping[str, Mapping[str, Part]] = {
    "request": {
        "url": Part(of(str), blank=""),
        "method": Part(of(str), blank="GET"),
        "headers": Part(_texts_by_name, blank={}),
        "body": Part(of(str, NONE), blank=None),
        "timeout_seconds": Part(lambda value: of(int, float)(value) and 0 < value <= MOST_SECONDS, blank=30),
        "tls_verify": Part(of(bool), blank=True),
        "ca_cert": Part(of(str, NONE), blank=None),
        "client_cert": Part(_is_client_cert, blank=None, optional=True),
    },
    "success": {
        "statuses": Part(list_of(str), blank=["2xx"]),
        "assertions": Part(list_of(dict), blank=[]),
    },
    "retry": {
        "policy": Part(of(str, NONE), blank=None),
        "max_attempts": Part(between(1, MOST_SMALL), blank=1),
        "backoff": Part(one_of(_BACKOFFS), blank="fixed", quoted=True),
        "delay_ms": _DURATION,
        "max_delay_ms": _DURATION,
        "delays_ms": Part(lambda value: value is None or list_of(int)(value), blank=None),
        "jitter": BOOLEAN,
        "on_statuses": Part(list_of(int), blank=[]),
        "except_statuses": Part(list_of(int), blank=[]),
        "on_timeout": BOOLEAN,
        "on_connection_error": BOOLEAN,
        "on_assertion": BOOLEAN,
        "on_worker_lost": BOOLEAN,
        "honor_retry_after": BOOLEAN,
    },
}


def wrong_in(values: Mapping[str, Any], parts: Parts, path: str, *, also_known: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a sentence for each field that is missing, unknown or misshapen. `path` is empty or ends in a dot."""
    for name, part in parts.items():
        where = f"{path}{name}"
        if name not in values:
            if not (isinstance(part, Part) and part.optional):
                yield f"{where} is missing."
        elif not isinstance(part, Part):
            if isinstance(values[name], Mapping):
                yield from wrong_in(values[name], part, f"{where}.")
            else:
                yield f"{where} is of an unknown shape."
        elif not part.accepts(values[name]):
            yield _unknown(where, part, values[name])
    for name, value in values.items():
        # A newer release's field has no effect while it is empty.
        if name not in parts and name not in also_known and value not in (None, False, "", [], {}):
            yield f"{path}{name} is not known to this release."


def _unknown(where: str, part: Part, value: Any) -> str:
    if part.quoted and isinstance(value, str):
        return f'{where} is "{value[:_MAX_QUOTED_CHARACTERS]}", which this release does not support.'
    return f"{where} is of an unknown shape."
