"""The section of success criteria: statuses, and a row for each assertion on the response."""

import re
from typing import Any, ClassVar

from django import forms

from dashboard.forms.fields import Area, Lines, choice, comma_separated, json_in, text
from dashboard.forms.rows import RowKind, rows_of
from jobs.definition.assertions import ASSERTION_TYPES, MAX_ASSERTIONS, Shape, spelled_value

PREFIX = "assertions"
_WHOLE = re.compile(r"-?[0-9]{1,18}")


class SuccessPart(forms.Form):
    PATHS: ClassVar[dict[str, str]] = {"success_statuses": "success.statuses"}

    success_statuses = text(label="Statuses", help_text="Codes and classes, for example <code>2xx, 304</code>.")

    def clean_success_statuses(self) -> list[str] | None:
        return comma_separated(self.cleaned_data["success_statuses"]) or None


class AssertionForm(forms.Form):
    """One assertion. `assertion` is its object in the API once the row is valid.

    The style sheet hides the fields that its type doesn't have.
    """

    assertion: dict[str, Any]

    type = choice([("", "Choose…"), *((name, each.label) for name, each in ASSERTION_TYPES.items())], label="Assertion")
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
            self.assertion = {"type": kind, **({subject: values[subject]} if subject else {})}
            try:
                self.assertion |= _read(shape, values["value"])
            except ValueError as error:
                self.add_error("value", str(error))
        return values


AssertionRows = rows_of(AssertionForm, most=MAX_ASSERTIONS)


def assertion_values(assertion: dict[str, Any]) -> dict[str, Any]:
    """An assertion of the API as the contents of its row."""
    return {**assertion, "value": spelled_value(assertion)}


ASSERTIONS = RowKind(AssertionRows, assertion_values, "assertion", "type")


def _read(shape: Shape, value: str) -> dict[str, Any]:
    """Convert a row's value for its type; empty if it is optional and left out. Raises ValueError."""
    match shape:
        case Shape.STATUS | Shape.MILLISECONDS:
            if not _WHOLE.fullmatch(value.strip()):
                raise ValueError("Should be a whole number.")
            return {"value": int(value)}
        case Shape.PRESENCE:
            values = {"true": {"value": True}, "false": {"value": False}, "": {}}
            if value.strip().lower() not in values:
                raise ValueError("Should be true, or false if the path must be absent.")
            return values[value.strip().lower()]
        case Shape.JSON:
            return {"value": _json(value)}
    return {"value": value}


def _json(value: str) -> Any:
    try:
        return json_in(value)
    except forms.ValidationError as error:
        raise ValueError(f'{error.messages[0]} Put text in quotes, as in "ok".') from error
