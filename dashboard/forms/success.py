"""What counts as success: statuses, and what else must hold of the answer, one row for each assertion."""

import re
from typing import Any, ClassVar

from django import forms
from unfold import widgets

from dashboard.forms.fields import Area, Lines, choice, json_in, listed, text
from jobs.definition.assertions import ASSERTION_TYPES, MAX_ASSERTIONS, Shape, spelled_value

PREFIX = "assertions"
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

    type = choice(
        [("", "Choose…"), *((name, known.label) for name, known in ASSERTION_TYPES.items())], label="What holds"
    )
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
            shape = ASSERTION_TYPES[kind].shape
            subject = shape.subject
            self.written = {"type": kind, **({subject: values[subject]} if subject else {})}
            try:
                self.written |= _read(shape, values["value"])
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
    return {**written, "value": spelled_value(written)}


def _read(shape: Shape, value: str) -> dict[str, Any]:
    """The value of a row as its type wants it; nothing where it may be left out. Raises ValueError."""
    match shape:
        case Shape.STATUS | Shape.MILLISECONDS:
            if not _WHOLE.fullmatch(value.strip()):
                raise ValueError("Should be a whole number.")
            return {"value": int(value)}
        case Shape.PRESENCE:
            known = {"true": {"value": True}, "false": {"value": False}, "": {}}
            if value.strip().lower() not in known:
                raise ValueError("Should be true, or false if the path should lead nowhere.")
            return known[value.strip().lower()]
        case Shape.JSON:
            return {"value": _json(value)}
    return {"value": value}


def _json(value: str) -> Any:
    try:
        return json_in(value)
    except forms.ValidationError as error:
        raise ValueError(f'{error.messages[0]} Text stands in quotes, as in "ok".') from error
