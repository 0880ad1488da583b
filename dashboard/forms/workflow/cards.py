"""A card for each step of a workflow, a form for each type of step.

A card carries its step as it was, in the hidden field `whole`. What nobody changes stays as it is there, also what the
card doesn't show.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from django import forms
from rest_framework.fields import SkipField

from core import exact_json
from dashboard.forms.fields import to_text, value_at
from dashboard.forms.rows import RowKind, RowList
from dashboard.forms.sections import FormLine, lines_of
from dashboard.forms.workflow.rows import json_text
from jobs.validation.steps import STEP_SERIALIZERS

_ABSENT = object()
Step = dict[str, Any]


class UnshowableStepError(ValueError):
    """A step that no card can show; the text says why."""


@dataclass(frozen=True, slots=True)
class CardRows:
    """A list of a step that has rows: where it is, and its words on the page."""

    path: str
    kind: RowKind
    template: str
    title: str
    add: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class ShownRows:
    """The rows of a card with their words. `data-template` of the page names the template of a new row."""

    about: CardRows
    name: str
    rows: Any


@dataclass(frozen=True, slots=True)
class Problem:
    """An error on the page: the element that it is at, the words for it, and what is wrong."""

    element: str
    label: str
    detail: str


class StepCard(forms.Form):
    """One step as text fields. `definition()` is its object in the API, `show_error()` takes an error of it."""

    #: The dotted path of each field in the step.
    PATHS: ClassVar[dict[str, str]]
    ROWS: ClassVar[dict[str, CardRows]]
    #: Fields that are null when they are empty.
    NULLABLE: ClassVar[frozenset[str]] = frozenset()
    #: Fields in lines, those folded away, and the rows among the latter.
    LINES: ClassVar[tuple[str | tuple[str, str], ...]]
    ADVANCED: ClassVar[tuple[str | tuple[str, str], ...]]
    FOLDED_ROWS: ClassVar[tuple[str, ...]] = ("conditions",)
    TYPE: ClassVar[str]
    TITLE: ClassVar[str]
    #: What its buttons do, with their icons and labels.
    BUTTONS = (
        ("up", "arrow_upward", "Move up"),
        ("down", "arrow_downward", "Move down"),
        ("duplicate", "content_copy", "Duplicate"),
        ("remove", "delete", "Remove"),
    )
    #: What a new step of the type begins with.
    NEW: ClassVar[Step] = {}

    #: Templates read the class of a card, and would call it.
    do_not_call_in_templates = True
    #: Whether the card is unfolded at first, even without errors.
    opened = False

    whole = forms.CharField(widget=forms.HiddenInput, required=False, strip=False)

    def __init__(self, data: Any, *, prefix: str, whole: Step) -> None:
        self.before = whole
        initial = {name: self.contents_of(whole, name) for name in self.PATHS}
        super().__init__(data, prefix=prefix, initial={**initial, "whole": exact_json.compact(whole)})
        self.row_lists = {
            name: RowList(rows.kind, data, prefix=f"{prefix}-{name}", before=self.items_before(name))
            for name, rows in self.ROWS.items()
        }

    @classmethod
    def contents_of(cls, whole: Mapping[str, Any], field: str) -> Any:
        """Return what a step has as the content of a field; of what it lacks, the default."""
        path = cls.PATHS[field]
        value = _value_or_absent(whole, path)
        if value is _ABSENT:
            value = _default(cls.TYPE, path)
        if field in {"body", "client_cert"} and not isinstance(value, str | None):
            return json_text(value)
        return to_text(field, value)

    def items_before(self, name: str) -> list[Any]:
        items = value_at(self.before, self.ROWS[name].path) or []
        if not isinstance(items, list):
            raise TypeError(f"{self.ROWS[name].path} is no list")
        return items

    def is_valid(self) -> bool:
        rows = [rows.rows.is_valid() for rows in self.row_lists.values()]
        return all([super().is_valid(), *rows])

    # -- the step ------------------------------------------------------------------------------------------------------

    def definition(self) -> Step:
        """Return the step: the changed fields over the step as it was, without invalid ones."""
        step = copy.deepcopy(self.before)
        if not self.is_bound:
            return step
        changed = set(self.changed_data) - self.errors.keys()
        for name, path in self.PATHS.items():
            if name in changed and name in self.cleaned_data:
                put(step, path, self.cleaned_data[name], keep_null=name in self.NULLABLE)
        for name in self.ROWS:
            self.put_rows(step, name)
        return step

    def put_rows(self, step: Step, name: str) -> None:
        items = self.row_lists[name].items()
        path = self.ROWS[name].path
        if items or value_at(self.before, path):
            put(step, path, items, keep_null=False)

    @property
    def step_id(self) -> str:
        return str(self["id"].value() or "")

    # -- errors --------------------------------------------------------------------------------------------------------

    def show_error(self, path: str, detail: str) -> None:
        """Put an error at a dotted path within the step beside its field."""
        for name, rows in self.ROWS.items():
            if f"{path}.".startswith(f"{rows.path}."):
                self.show_row_error(name, path.removeprefix(rows.path).strip("."), detail)
                return
        field = next((name for name, own in self.PATHS.items() if f"{path}.".startswith(f"{own}.")), None)
        if field is None:
            self.add_error(None, f"{path}: {detail}" if path else detail)
        elif field not in self._unread:
            # The serializer saw another value than that of a field that the form could not read.
            self.add_error(field, detail)

    def show_row_error(self, name: str, path: str, detail: str) -> None:
        self.row_lists[name].show_error(path.split(".") if path else [], detail)

    def full_clean(self) -> None:
        super().full_clean()
        self._unread = frozenset(self.errors)

    @property
    def problems(self) -> Iterator[Problem]:
        """The errors of the card, in its order."""
        step = f"Step {self.step_id}" if self.step_id else "Step"
        for detail in self.non_field_errors():
            yield Problem(f"id_{self.prefix}-card", step, str(detail))
        for form in (self, *(row for rows in self.row_lists.values() for row in rows.rows.forms)):
            for field in form:
                for detail in field.errors:
                    yield Problem(field.id_for_label or field.auto_id, f"{step}: {field.label}", str(detail))
        for name, rows in self.row_lists.items():
            for detail in rows.rows.non_form_errors():
                yield Problem(f"id_{self.prefix}-card", f"{step}: {self.ROWS[name].title}", str(detail))

    # -- the page ------------------------------------------------------------------------------------------------------

    @property
    def is_opened(self) -> bool:
        """Whether the card is unfolded at first."""
        return self.opened or (self.is_bound and any(True for _ in self.problems))

    @property
    def lines(self) -> list[FormLine]:
        return lines_of(self, self.LINES)

    @property
    def advanced(self) -> list[FormLine]:
        return lines_of(self, self.ADVANCED)

    @property
    def shown_rows(self) -> list[ShownRows]:
        return [self.rows_named(name) for name in self.ROWS if name not in self.FOLDED_ROWS]

    @property
    def folded_rows(self) -> list[ShownRows]:
        return [self.rows_named(name) for name in self.FOLDED_ROWS]

    def rows_named(self, name: str) -> ShownRows:
        return ShownRows(self.ROWS[name], name, self.row_lists[name].rows)

    @property
    def advanced_open(self) -> bool:
        """Whether one of the folded fields has an error or another value than a new step."""
        names = {name for line in self.ADVANCED for name in ((line,) if isinstance(line, str) else line)}
        is_set = any(
            name in self.errors or self.fields[name].has_changed(self.contents_of(self.NEW, name), self[name].value())
            for name in names
        )
        return is_set or any(self.row_lists[name].rows.forms for name in self.FOLDED_ROWS)


def put(step: Step, path: str, value: Any, *, keep_null: bool) -> None:
    """Set what is at a dotted path; nothing there where the value is empty and no null."""
    *parents, last = path.split(".")
    section = step
    for parent in parents:
        if not isinstance(section.get(parent), dict):
            section[parent] = {}
        section = section[parent]
    if value in (None, "") and not keep_null:
        section.pop(last, None)
    else:
        section[last] = None if value == "" else value


def _value_or_absent(step: Mapping[str, Any], path: str) -> Any:
    value: Any = step
    for part in path.split("."):
        if value is None or not isinstance(value, Mapping) or part not in value:
            return _ABSENT
        value = value[part]
    return value


@lru_cache(maxsize=256)
def _default(kind: str, path: str) -> Any:
    """The serializer's default of a field of a step; None for one without."""
    field: Any = STEP_SERIALIZERS[kind]()
    for part in path.split("."):
        field = field.fields[part]
    try:
        return field.get_default()
    except SkipField:
        return None
