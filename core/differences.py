"""The difference between two states of an object, for people and for the audit log. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

#: Longer texts are cut: the log names the change, the object itself has the whole text.
MAX_CHARACTERS = 1000
TRUNCATED = "...[truncated]"
Changes = dict[str, list[Any]]


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """Return `{path: [before, after]}` of each difference, in the order of the fields; null where a field is missing.

    Paths into objects are dotted; lists are compared as a whole.
    """
    return {path: [shortened(old), shortened(new)] for path, old, new in differing(before, after)}


def differing(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the path and both values of each difference."""
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differing(old, new, f"{prefix}{name}.")
        elif old != new or type(old) is not type(new):
            yield f"{prefix}{name}", old, new


def shortened(value: Any) -> Any:
    """Cut a JSON value to MAX_CHARACTERS."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + TRUNCATED
