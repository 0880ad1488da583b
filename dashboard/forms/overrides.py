"""What differs in one environment: fields for what people change most, and JSON for the rest.

An empty field says nothing: there the environment inherits the job's value. What no field can say, such as null for no
schedule, is in the JSON.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any, ClassVar

from django import forms
from django.forms.utils import pretty_name
from django.utils.html import format_html

from dashboard.forms.fields import area, choice, json_in, number, seconds, spell, text, value_at
from dashboard.forms.request import headers_in
from dashboard.forms.schedule import known_timezone, schedule_in
from dashboard.forms.sections import FormLine, lines_of
from jobs.definition.overrides import SECTIONS
from jobs.validation.sections import METHODS

_LINES = (
    "schedule", "timezone", ("method", "url"), "headers", "body", "timeout_seconds", "max_attempts", "more",
)  # fmt: skip


class OverridesForm(forms.Form):
    """What differs in one environment. `sparse()` is what the API takes, `show_error()` one of that one's errors."""

    #: Where each field stands in the overrides.
    PATHS: ClassVar[dict[str, str]] = {
        "schedule": "schedule",
        "timezone": "timezone",
        "method": "request.method",
        "url": "request.url",
        "headers": "request.headers",
        "body": "request.body",
        "timeout_seconds": "request.timeout_seconds",
        "max_attempts": "retry.max_attempts",
    }

    schedule = text(spellcheck="false")
    timezone = text(list="timezones")
    method = choice([("", "As the job"), *((method, method) for method in METHODS)], required=False)
    url = text(label="URL", spellcheck="false", inputmode="url", takes_variables=True)
    headers = area(rows=3, help_text="One a line. They replace all of the job's.", takes_variables=True)
    body = area(rows=3, strip=False, takes_variables=True)
    timeout_seconds = seconds(label="Timeout, seconds")
    max_attempts = number(label="Max attempts")
    more = area(
        rows=3,
        label="More, as JSON",
        help_text='What else differs, as in <code>{"overlap": "skip", "request": {"tls_verify": false}}</code>; also '
        'what should be nothing here, as in <code>{"schedule": null}</code>.',
        placeholder="{}",
    )

    def __init__(self, data: Any, *, slug: str, base: dict[str, Any], before: dict[str, Any]) -> None:
        """`base` is the definition of the job, `before` what this environment overrides of it as yet."""
        self.slug = slug
        self._said, self._rest = _split(before)
        initial = {field: spell(field, value) for field, value in self._said.items()}
        if self._rest:
            initial["more"] = json.dumps(self._rest, indent=2, ensure_ascii=False)
        super().__init__(data, initial=initial, prefix=f"overrides-{slug}")
        for name, field in self.fields.items():
            words = field.label or pretty_name(name)
            field.label = format_html('{}<span class="hh-unseen"> in {}</span>', words, slug)
            if name in self.PATHS and (common := spell(name, value_at(base, self.PATHS[name]))) is not None:
                field.widget.attrs["placeholder"] = common

    def clean_schedule(self) -> Any:
        return schedule_in(self.cleaned_data["schedule"])

    def clean_timezone(self) -> str:
        written: str = self.cleaned_data["timezone"]
        return known_timezone(written) if written else ""

    def clean_headers(self) -> dict[str, str]:
        return headers_in(self.cleaned_data["headers"])

    def clean_more(self) -> dict[str, Any]:
        written = self.cleaned_data["more"]
        found = json_in(written) if written.strip() else {}
        if not isinstance(found, dict):
            raise forms.ValidationError("Should be a JSON object.")
        for section in SECTIONS:
            if not isinstance(found.get(section, {}), dict):
                raise forms.ValidationError(f"{section}: Should be a JSON object.")
        return found

    def clean(self) -> dict[str, Any] | None:
        values = super().clean() or {}
        for field, path in self.PATHS.items():
            if _is_said(values.get(field)) and _holds(values.get("more", {}), path):
                self.add_error("more", f"{path}: This stands above already.")
        return values

    def sparse(self) -> dict[str, Any]:
        """What differs here, as the API takes it: exactly, where nobody touched it; nothing of what can't be read."""
        found = copy.deepcopy(self.cleaned_data.get("more", {}) if "more" in self.changed_data else self._rest)
        for field, path in self.PATHS.items():
            value = self.cleaned_data.get(field) if field in self.changed_data else self._said.get(field)
            if _is_said(value):
                *sections, last = path.split(".")
                place = found
                for section in sections:
                    place = place.setdefault(section, {})
                place[last] = value
        return found

    def show_error(self, path: str, told: str) -> None:
        """Put an error of the API's validator, at a dotted path within the overrides, beside the field it means."""
        field = next((name for name, known in self.PATHS.items() if f"{path}.".startswith(f"{known}.")), None)
        if field is None or _holds(self.cleaned_data.get("more", {}), self.PATHS[field]):
            self.add_error("more", f"{path}: {told}" if path else told)
        else:
            self.add_error(field, told)

    # -- the page ------------------------------------------------------------------------------------------------------

    @property
    def lines(self) -> list[FormLine]:
        return lines_of(self, _LINES)

    @property
    def differs(self) -> Iterator[str]:
        """The fields that say something, by their labels."""
        for name in self.fields:
            value = self[name].value()
            if value is not None and str(value).strip():
                yield str(self.base_fields[name].label or pretty_name(name))


def _split(sparse: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What fields can say of overrides, by field, and the rest."""
    said, rest = {}, copy.deepcopy(sparse)
    for field, path in OverridesForm.PATHS.items():
        value = value_at(rest, path)
        if not _is_said(value) or (field == "body" and not isinstance(value, str)):
            continue
        said[field] = value
        *sections, last = path.split(".")
        place = rest[sections[0]] if sections else rest
        del place[last]
        if not place and sections:
            del rest[sections[0]]
    return said, rest


def _is_said(value: Any) -> bool:
    """If an environment says something of its own by this value of a field."""
    return value not in (None, "", {})


def _holds(sparse: dict[str, Any], path: str) -> bool:
    """If something stands there, be it null."""
    *sections, last = path.split(".")
    return last in (sparse.get(sections[0], {}) if sections else sparse)
