"""The differences of two definitions: fields by the form's labels, values in words, long texts line by line."""

import difflib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dashboard.base.pretty import pretty_body
from dashboard.forms.labels import choices_of, label_of
from dashboard.jobs.phrases import assertion_words, condition_words, cut
from dashboard.jobs.steps import step_words
from jobs.definition.calls import STEP_LISTS, WORKFLOW
from jobs.definition.workflow.comparison import by_step
from jobs.validation.callback import without_short_form

Path = tuple[str, ...]
#: Texts that are compared line by line, unless they are too long for it.
_TEXTS = frozenset({("description",), ("request", "body"), ("request", "ca_cert")})
_LONGEST_TEXT, _MOST_LINES, _CONTEXT = 64 * 1024, 2_000, 2
_HEADERS: Path = ("request", "headers")
#: The names before those within a step: the workflow, its list, the step's id.
_STEP_DEPTH = 3
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of a text: `mark` is + for an added line, - for a removed one, … for lines left out."""

    mark: str
    text: str


@dataclass(frozen=True, slots=True)
class VersionChange:
    """One field before and after. `environment` is set for an override; `lines`, if any, replace the two values."""

    label: str
    environment: str
    old: str
    new: str
    lines: tuple[DiffLine, ...] = ()


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[VersionChange, ...]:
    """The fields that differ between two definitions in the API's representation."""
    before, after = (by_step(without_short_form(definition)) for definition in (before, after))
    steps_before, steps_after = _steps_of(before), _steps_of(after)
    common = steps_before & steps_after
    old, new = dict(_leaves(before, whole=steps_before - common)), dict(_leaves(after, whole=steps_after - common))
    return tuple(
        _change(path, old.get(path, _ABSENT), new.get(path, _ABSENT))
        for path in dict.fromkeys((*old, *new))
        if path not in old or path not in new or old[path] != new[path] or type(old[path]) is not type(new[path])
    )


def override_changes(sparse: Mapping[str, Any]) -> tuple[VersionChange, ...]:
    """What an environment overrides: `new` is its value."""
    return tuple(_change(path, _ABSENT, value) for path, value in _leaves(sparse))


def _steps_of(definition: Mapping[str, Any]) -> set[Path]:
    """The paths of its steps."""
    workflow = definition.get(WORKFLOW) or {}
    return {(WORKFLOW, part, step_id) for part in STEP_LISTS for step_id in workflow.get(part, ())}


def _leaves(
    value: Mapping[str, Any], path: Path = (), *, whole: Collection[Path] = frozenset()
) -> Iterator[tuple[Path, Any]]:
    """The values that are no objects, by path; those of steps in `whole` as one text."""
    for name, inner in value.items():
        if (*path, name) in whole:
            yield (*path, name), step_words(inner)
        elif isinstance(inner, Mapping) and name != "schedule":
            yield from _leaves(inner, (*path, name), whole=whole)
        else:
            yield (*path, name), inner


def _change(path: Path, old: Any, new: Any) -> VersionChange:
    environment = ""
    if path[0] == "environments":
        _, environment, _, *rest = path
        path = tuple(rest)
    step, path = _within_step(path)
    label = f"Header {path[-1]}" if path[:2] == _HEADERS else label_of(".".join(path)) if path else ""
    label = f"Step {step}{f': {label}' if label else ''}" if step else label
    absent = "inherited" if environment else "none"
    lines = _lines(old, new) if path in _TEXTS and isinstance(old, str) and isinstance(new, str) else ()
    return VersionChange(label, environment, value_words(path, old, absent), value_words(path, new, absent), lines)


def _within_step(path: Path) -> tuple[str, Path]:
    """The step that a path leads into ("": none), and the path within it."""
    if path[0] == WORKFLOW and len(path) > _STEP_DEPTH - 1 and path[1] in STEP_LISTS:
        return path[_STEP_DEPTH - 1], path[_STEP_DEPTH:]
    return "", path


def value_words(path: Path, value: Any, absent: str = "none") -> str:
    """A value of a definition on one line."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case str():
            return cut(choices_of(".".join(path)).get(value, value)) or "empty"
        case list() if path[-1:] in (("assertions",), ("until",)):
            return "; ".join(assertion_words(assertion) for assertion in value) or "none"
        case list() if path[-1:] in (("if",), ("accept",)):
            return "; ".join(condition_words(condition) for condition in value) or "none"
        case list() if all(isinstance(item, str | int) for item in value):
            return cut(", ".join(map(str, value))) or "none"
    return absent if value is _ABSENT else cut(json.dumps(value, ensure_ascii=False))


def _lines(old: str, new: str) -> tuple[DiffLine, ...]:
    """A unified diff with a few lines of context; empty for texts that are too long, or of one line."""
    if max(len(old), len(new)) > _LONGEST_TEXT:
        return ()
    before, after = (pretty_body(text, "utf-8").text.splitlines() for text in (old, new))
    if max(len(before), len(after)) > _MOST_LINES or len(before) == len(after) == 1:
        return ()
    diff = list(difflib.unified_diff(before, after, n=_CONTEXT, lineterm=""))[2:]
    return tuple(DiffLine("…", "") if line.startswith("@@") else DiffLine(line[0].strip(), line[1:]) for line in diff)
