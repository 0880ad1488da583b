"""What counts as success: statuses, and what else must hold of the answer, one row for each assertion."""

import json
import re
from typing import Any, ClassVar

from django import forms
from unfold import widgets

from jobs.api.assertions import ASSERTION_TYPES
from jobs.assertions import MAX_ASSERTIONS
from jobs.forms.fields import Area, Lines, choice, json_in, listed, text

PREFIX = "assertions"
_LABELS = {
    "status_equals": "Status is",
    "header_equals": "Header is",
    "header_contains": "Header contains",
    "body_contains": "Body contains",
    "body_not_contains": "Body does not contain",
    "body_matches": "Body matches pattern",
    "json_path_equals": "JSON path has the value",
    "json_path_exists": "JSON path exists",
    "response_time_under_ms": "Took less than, ms",
}
#: The field that a type has beside its value.
_SUBJECTS = {
    "header_equals": "name",
    "header_contains": "name",
    "json_path_equals": "path",
    "json_path_exists": "path",
}
_WHOLE = re.compile(r"-?[0-9]{1,18}")
#: Rows to fill in where no script can add them.
_SPARE_ROWS = 2


class SuccessPart(forms.Form):
    PATHS: ClassVar[dict[str, str]] = {"success_statuses": "success.statuses"}

    success_statuses = text(label="Statuses", help_text="Codes and classes, as in <code>2xx, 304</code>.")

    def clean_success_statuses(self) -> list[str] | None:
        return listed(self.cleaned_data["success_statuses"]) or None


class AssertionForm(forms.Form):
    """One assertion. `written` is its object in the API, once the row is valid. A part that its type lacks is hidden
    by the style sheet, and left out.
    """

    written: dict[str, Any]

    type = choice([("", "Choose…"), *((kind, _LABELS.get(kind, kind)) for kind in ASSERTION_TYPES)], label="What holds")
    name = text(label="Header", spellcheck="false", placeholder="Content-Type")
    path = text(label="JSON path", spellcheck="false", placeholder="$.status")
    value = Lines(
        required=False,
        strip=False,
        label="Value",
        widget=Area(attrs={"rows": 1, "class": "hh-mono", "spellcheck": "false", "autocapitalize": "off"}),
    )

    def clean(self) -> dict[str, Any] | None:
        values = super().clean() or {}
        kind = values.get("type")
        if kind:
            subject = _SUBJECTS.get(kind)
            self.written = {"type": kind, **({subject: values[subject]} if subject else {})}
            try:
                self.written |= _read(kind, values["value"])
            except ValueError as error:
                self.add_error("value", str(error))
        return values


class _AssertionRows(forms.BaseFormSet):
    deletion_widget = widgets.UnfoldBooleanWidget

    def add_fields(self, form: forms.Form, index: int | None) -> None:
        super().add_fields(form, index)
        form.fields["DELETE"].label = "Remove"


AssertionRows = forms.formset_factory(
    AssertionForm,
    formset=_AssertionRows,
    extra=_SPARE_ROWS,
    can_delete=True,
    max_num=MAX_ASSERTIONS,
    absolute_max=10 * MAX_ASSERTIONS,
)


def spelled_assertion(written: dict[str, Any]) -> dict[str, Any]:
    """An assertion of the API as its row holds it."""
    value = written.get("value")
    if written["type"] == "json_path_equals" or not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False)
    return {**written, "value": value}


def _read(kind: str, value: str) -> dict[str, Any]:
    """The value of a row as its type wants it; nothing where it may be left out. Raises ValueError."""
    match kind:
        case "status_equals" | "response_time_under_ms":
            if not _WHOLE.fullmatch(value.strip()):
                raise ValueError("Should be a whole number.")
            return {"value": int(value)}
        case "json_path_exists":
            known = {"true": {"value": True}, "false": {"value": False}, "": {}}
            if value.strip().lower() not in known:
                raise ValueError("Should be true, or false if the path should lead nowhere.")
            return known[value.strip().lower()]
        case "json_path_equals":
            return {"value": _json(value)}
    return {"value": value}


def _json(value: str) -> Any:
    try:
        return json_in(value)
    except forms.ValidationError as error:
        raise ValueError(f'{error.messages[0]} Text stands in quotes, as in "ok".') from error
