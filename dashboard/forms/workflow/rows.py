"""Rows that only steps have: values to extract, and fields of an approval's form."""

import json
from typing import Any

from django import forms

from core import exact_json
from dashboard.forms.fields import area, choice, flag, json_in, text
from dashboard.forms.rows import RowKind, rows_of
from dashboard.forms.success import AssertionForm, assertion_values
from dashboard.forms.webhook import ConditionForm, condition_values
from jobs.definition.assertions import MAX_ASSERTIONS
from jobs.definition.conditions import MAX_CONDITIONS
from jobs.definition.workflow.contract import MAX_EXTRACTED
from jobs.validation.approval import FIELD_TYPES, MAX_FORM_FIELDS


class ExtractionForm(forms.Form):
    """One value to take from the response. `extraction` is its name, and its object or path in the API."""

    extraction: tuple[str, Any]

    name = text(label="Name", required=True, spellcheck="false", autocapitalize="off", placeholder="order")
    path = text(label="JSON path", required=True, spellcheck="false", autocapitalize="off", placeholder="$.id")
    default = text(label="Default (JSON)", spellcheck="false", placeholder="none")
    secret = flag("Secret")

    def clean_default(self) -> Any:
        """A list of the value, empty without one: null is a default too."""
        written = self.cleaned_data["default"]
        return [json_in(written)] if written else []

    def clean(self) -> dict[str, Any] | None:
        values = super().clean() or {}
        default = {"default": values["default"][0]} if values.get("default") else {}
        secret = {"secret": True} if values.get("secret") else {}
        path = values.get("path", "")
        self.extraction = (values.get("name", ""), {"path": path, **default, **secret} if default or secret else path)
        return values


class ApprovalFieldForm(forms.Form):
    """One field that who approves fills in. `field` is its object in the API."""

    field: dict[str, Any]

    name = text(label="Name", required=True, spellcheck="false", autocapitalize="off", placeholder="reason")
    label = text(label="Label", placeholder="as the name")
    type = choice([(kind, kind.capitalize()) for kind in FIELD_TYPES], label="Type", required=False)
    options = area(rows=1, label="Options, one per line", mono=False)
    required = flag("Required")

    def clean(self) -> dict[str, Any] | None:
        values = super().clean() or {}
        options = [line.strip() for line in values.get("options", "").splitlines() if line.strip()]
        self.field = {
            "name": values.get("name", ""),
            **({"label": values["label"]} if values.get("label") else {}),
            "type": values.get("type") or FIELD_TYPES[0],
            "required": bool(values.get("required")),
            **({"options": options} if options else {}),
        }
        return values


def _extraction_values(item: tuple[str, Any]) -> dict[str, Any]:
    name, written = item
    if isinstance(written, str):
        return {"name": name, "path": written}
    default = exact_json.compact(written["default"]) if "default" in written else ""
    return {"name": name, "path": written["path"], "default": default, "secret": written.get("secret", False)}


def _field_values(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "options": "\n".join(item.get("options", ()))}


def json_text(value: Any) -> str:
    """Spell JSON for people; on one line where indenting would lose the digits of a number."""
    compact = exact_json.compact(value)
    return json.dumps(value, indent=2, ensure_ascii=False) if compact == _plain(value) else compact


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


ASSERTION_ROWS = RowKind(rows_of(AssertionForm, most=MAX_ASSERTIONS, spare=0), assertion_values, "assertion", "type")
CONDITION_ROWS = RowKind(rows_of(ConditionForm, most=MAX_CONDITIONS, spare=0), condition_values, "written", "op")
EXTRACTION_ROWS = RowKind(
    rows_of(ExtractionForm, most=MAX_EXTRACTED, spare=0), _extraction_values, "extraction", "name"
)
FIELD_ROWS = RowKind(rows_of(ApprovalFieldForm, most=MAX_FORM_FIELDS, spare=0), _field_values, "field", "name")
