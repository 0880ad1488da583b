"""An entry's changes as people read them: what went and what came, line by line where there are lines. Pure."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LINE, _SHORT = 60, 32
_CUT = "…"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a difference: `mark` is `-` for one that went, `+` for one that came, a blank for one that stayed."""

    mark: str
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """A field, and its lines before and after."""

    path: str
    lines: Sequence[Line]


def changes_of(changes: Mapping[str, Sequence[Any]]) -> list[Change]:
    """All of an entry's changes, `{path: [before, after]}`."""
    return [Change(path, _lines(before, after)) for path, (before, after) in changes.items()]


def in_short(changes: Mapping[str, Sequence[Any]], *, most: int) -> list[str]:
    """The first `most` changes, each on a short line: "schedule: @hourly → @daily"; "name: Robot" where none was."""
    lines = [
        f"{path}: {_short(after)}" if before is None else f"{path}: {_short(before)} → {_short(after)}"
        for path, (before, after) in list(changes.items())[:most]
    ]
    return [*lines, f"and {len(changes) - most} more"] if len(changes) > most else lines


def _lines(before: Any, after: Any) -> list[Line]:
    old, new = _told(before), _told(after)
    compared = difflib.ndiff(old, new)
    return [Line(line[0], line[2:]) for line in compared if line[0] != "?"]


def _told(value: Any) -> list[str]:
    """A value's lines: text as it is, everything else as JSON, on one line where it is short; none for nothing."""
    if value is None:
        return []
    if isinstance(value, str):
        return value.splitlines() or ['""']
    line = json.dumps(value, ensure_ascii=False)
    return [line] if len(line) <= _LINE else json.dumps(value, ensure_ascii=False, indent=2).splitlines()


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    line = " ".join(value.split()) or '""' if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return line if len(line) <= _SHORT else line[: _SHORT - 1] + _CUT
