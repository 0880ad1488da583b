"""The changes of an audit entry as differences, line by line. Pure."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LINE, _SHORT = 60, 32
_CUT = "…"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a difference: `mark` is `-` for a removed line, `+` for an added one, a blank for one unchanged."""

    mark: str
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """A field with the difference of its values."""

    path: str
    lines: Sequence[Line]


def changes_of(changes: Mapping[str, Sequence[Any]]) -> list[Change]:
    """All of an entry's changes, `{path: [before, after]}`."""
    return [Change(path, _lines(before, after)) for path, (before, after) in changes.items()]


def summarize_changes(changes: Mapping[str, Sequence[Any]], *, most: int) -> list[str]:
    """The first `most` changes, one short line each: "schedule: @hourly → @daily", or "name: Robot" if new."""
    lines = [
        f"{path}: {_short(after)}" if before is None else f"{path}: {_short(before)} → {_short(after)}"
        for path, (before, after) in list(changes.items())[:most]
    ]
    return [*lines, f"and {len(changes) - most} more"] if len(changes) > most else lines


def _lines(before: Any, after: Any) -> list[Line]:
    old, new = _value_lines(before), _value_lines(after)
    compared = difflib.ndiff(old, new)
    return [Line(line[0], line[2:]) for line in compared if line[0] != "?"]


def _value_lines(value: Any) -> list[str]:
    """Text as it is, None as no lines, other values as JSON, on one line if short."""
    if value is None:
        return []
    if isinstance(value, str):
        return value.splitlines() or ['""']
    line = json.dumps(value, ensure_ascii=False)
    return [line] if len(line) <= _LINE else json.dumps(value, ensure_ascii=False, indent=2).splitlines()


def _short(value: Any) -> str:
    if value is None:
        return "none"
    line = " ".join(value.split()) or '""' if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return line if len(line) <= _SHORT else line[: _SHORT - 1] + _CUT
