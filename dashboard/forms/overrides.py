"""The overrides of one environment: fields for the most common ones, and JSON for the rest.

An empty field inherits the job's value. What a field can't express, such as null for no schedule, is in the JSON.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any, ClassVar

from django import forms
from django.forms.utils import pretty_name
from django.utils.html import format_html

from dashboard.forms.fields import area, choice, json_in, number, seconds, text, to_text, value_at
from dashboard.forms.request import headers_in
from dashboard.forms.schedule import known_timezone, schedule_in
from dashboard.forms.sections import FormLine, lines_of
from jobs.definition.callback import default_callback
from jobs.definition.overrides import SECTIONS
from jobs.validation.sections import METHODS

_LINES = (
    "schedule", "timezone", ("method", "url"), "headers", "body", "timeout_seconds", "max_attempts",
    "callback_url", "more",
)  # fmt: skip


class OverridesForm(forms.Form):
    """`sparse()` is the API's overrides object, `show_error()` takes an error of the serializer."""

    #: The dotted path of each field in the overrides.
    PATHS: ClassVar[dict[str, str]] = {
        "schedule": "schedule",
        "timezone": "timezone",
        "method": "request.method",
        "url": "request.url",
        "headers": "request.headers",
        "body": "request.body",
        "timeout_seconds": "request.timeout_seconds",
        "max_attempts": "retry.max_attempts",
        "callback_url": "callback.url",
    }

    schedule = text(spellcheck="false")
    timezone = text(label="Time zone", list="timezones")
    method = choice([("", "Inherited"), *((method, method) for method in METHODS)], required=False)
    url = text(label="URL", spellcheck="false", inputmode="url", takes_variables=True)
    headers = area(rows=3, help_text="One per line. They replace all headers of the job.", takes_variables=True)
    body = area(rows=3, strip=False, takes_variables=True)
    timeout_seconds = seconds(label="Timeout, seconds")
    max_attempts = number(label="Max attempts")
    callback_url = text(label="Callback URL", help_text="After the usual endings.", spellcheck="false", inputmode="url")
    more = area(
        rows=3,
        label="Other overrides (JSON)",
        help_text='For example <code>{"overlap": "skip", "request": {"tls_verify": false}}</code>, or '
        '<code>{"schedule": null}</code> for no schedule.',
        placeholder="{}",
    )

    def __init__(
        self, data: Any, *, slug: str, base: dict[str, Any], before: dict[str, Any], of_workflow: bool
    ) -> None:
        """`base` is the job's definition, `before` its overrides in this environment so far."""
        self.slug = slug
        self._of_workflow = of_workflow
        self._of_kind = {
            field: path
            for field, path in self.PATHS.items()
            if not of_workflow or path.partition(".")[0] not in SECTIONS or path.startswith("callback.")
        }
        self._in_fields, self._rest = _split(before)
        initial = {field: to_text(field, value) for field, value in self._in_fields.items()}
        if self._rest:
            initial["more"] = json.dumps(self._rest, indent=2, ensure_ascii=False)
        super().__init__(data, initial=initial, prefix=f"overrides-{slug}")
        for name, field in self.fields.items():
            label = field.label or pretty_name(name)
            field.label = format_html('{}<span class="hh-visually-hidden"> in {}</span>', label, slug)
            if name in self.PATHS and (inherited := to_text(name, value_at(base, self.PATHS[name]))) is not None:
                field.widget.attrs["placeholder"] = inherited

    def clean_schedule(self) -> Any:
        return schedule_in(self.cleaned_data["schedule"])

    def clean_timezone(self) -> str:
        name: str = self.cleaned_data["timezone"]
        return known_timezone(name) if name else ""

    def clean_headers(self) -> dict[str, str]:
        return headers_in(self.cleaned_data["headers"])

    def clean_more(self) -> dict[str, Any]:
        text = self.cleaned_data["more"]
        value = json_in(text) if text.strip() else {}
        if not isinstance(value, dict):
            raise forms.ValidationError("Should be a JSON object.")
        for section in SECTIONS:
            if not isinstance(value.get(section, {}), dict):
                raise forms.ValidationError(f"{section}: should be a JSON object.")
        return value

    def clean(self) -> dict[str, Any] | None:
        values = super().clean() or {}
        for field, path in self.PATHS.items():
            if _is_set(values.get(field)) and _holds(values.get("more", {}), path):
                self.add_error("more", f"{path}: has a field of its own above.")
        return values

    def sparse(self) -> dict[str, Any]:
        """The API's overrides object: unchanged values exactly as before, invalid ones left out."""
        overrides = copy.deepcopy(self.cleaned_data.get("more", {}) if "more" in self.changed_data else self._rest)
        for field, path in self._of_kind.items():
            value = self.cleaned_data.get(field) if field in self.changed_data else self._in_fields.get(field)
            if _is_set(value):
                *sections, last = path.split(".")
                section = overrides
                for name in sections:
                    section = section.setdefault(name, {})
                section[last] = value
        return overrides

    def show_error(self, path: str, detail: str) -> None:
        """Put an error of the API's serializer, at a dotted path within the overrides, beside its field."""
        field = next((name for name, own in self.PATHS.items() if f"{path}.".startswith(f"{own}.")), None)
        if field is None or _holds(self.cleaned_data.get("more", {}), self.PATHS[field]):
            self.add_error("more", f"{path}: {detail}" if path else detail)
        else:
            self.add_error(field, detail)

    # -- the page ------------------------------------------------------------------------------------------------------

    @property
    def lines(self) -> list[FormLine]:
        return lines_of(self, _LINES)

    @property
    def set_labels(self) -> Iterator[str]:
        """The labels of the fields with a value."""
        for name in self.fields:
            value = self[name].value()
            if value is not None and str(value).strip():
                yield str(self.base_fields[name].label or pretty_name(name))


def _split(sparse: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide overrides into those that have a field, by its name, and the rest."""
    in_fields, rest = {}, copy.deepcopy(sparse)
    if _is_usual(rest.get("callback")):
        rest["callback"] = {"url": rest["callback"]["url"]}
    for field, path in OverridesForm.PATHS.items():
        value = value_at(rest, path)
        if not _is_set(value) or (field == "body" and not isinstance(value, str)):
            continue
        if field == "callback_url" and len(rest["callback"]) > 1:
            continue  # its other settings are in the JSON, and it is overridden as a whole
        in_fields[field] = value
        *sections, last = path.split(".")
        section = rest[sections[0]] if sections else rest
        del section[last]
        if not section and sections:
            del rest[sections[0]]
    return in_fields, rest


def _is_usual(callback: Any) -> bool:
    """True for a callback that its URL alone stands for."""
    return isinstance(callback, dict) and "url" in callback and callback == default_callback(callback["url"])


def _is_set(value: Any) -> bool:
    """True if a field with this value overrides the job's."""
    return value not in (None, "", {})


def _holds(sparse: dict[str, Any], path: str) -> bool:
    """True if the overrides have this path, even as null."""
    *sections, last = path.split(".")
    section = sparse.get(sections[0], {}) if sections else sparse
    return not isinstance(section, dict) or last in section
