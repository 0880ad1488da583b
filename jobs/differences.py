"""What differs between two definitions, by dotted path. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs; None where it is not there."""

    field: str
    old: Any
    new: Any


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """In the order in which `new` is written, then what only `old` has. Lists are compared as a whole."""
    return list(_differences(old, new, ""))


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Difference]:
    for name in [*new, *(name for name in old if name not in new)]:
        before, after, field = old.get(name), new.get(name), f"{path}{name}"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differences(before, after, f"{field}.")
        elif before != after:
            yield from _whole(before, after, field)


def _whole(before: Any, after: Any, field: str) -> Iterator[Difference]:
    """An object that one of them lacks is told field by field."""
    found = before if before is not None else after
    if isinstance(found, Mapping) and found and (before is None or after is None):
        yield from _differences(before or {}, after or {}, f"{field}.")
    else:
        yield Difference(field, before, after)
