"""What changed between two states of a thing, for people to read and for a log to keep. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

#: Longer texts are cut: a log says what changed, the thing itself says all of it.
MAX_CHARACTERS = 1000
TRUNCATED = "...[truncated]"
Changes = dict[str, list[Any]]


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """`{path: [before, after]}` of all that differs, in the order of the fields; null for what is not there.

    Paths into objects are dotted; lists are told whole.
    """
    return {path: [shown(old), shown(new)] for path, old, new in differing(before, after)}


def differing(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The path of all that differs, with both values as they are."""
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differing(old, new, f"{prefix}{name}.")
        elif old != new or type(old) is not type(new):
            yield f"{prefix}{name}", old, new


def shown(value: Any) -> Any:
    """A JSON value, cut where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + TRUNCATED
