"""The fields that the form is made of, and how values of the API's job object are spelled in them."""

import datetime
import json
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.fields import SkipField
from unfold import widgets

from api.base.parsing import json_value, refuse_unstorable, why_no_json
from api.base.problems import field_errors
from api.jobs.serializers import JobSerializer

_API = JobSerializer()
#: Of a field whose text may hold variables: they are suggested in it.
_SUGGESTING = {"data-takes-variables": ""}
_MONOSPACED = {"class": "hh-mono", "spellcheck": "false", "autocapitalize": "off", "autocomplete": "off"}


class Area(widgets.UnfoldAdminTextareaWidget):
    """Django's own template, unlike the theme's, keeps a line break that a text begins with."""

    template_name = "django/forms/widgets/textarea.html"


class Lines(forms.CharField):
    """Text of several lines. A browser sends each line break as CR LF, whatever was there or typed."""

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(super().has_changed(self.to_python(initial), data))


def text(
    *, required: bool = False, label: str = "", help_text: str = "", takes_variables: bool = False, **attributes: Any
) -> forms.CharField:
    suggesting = _SUGGESTING if takes_variables else {}
    widget = widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", **suggesting, **attributes})
    return forms.CharField(required=required, label=label or None, help_text=help_text, widget=widget)


def area(
    *,
    rows: int,
    label: str = "",
    help_text: str = "",
    mono: bool = True,
    strip: bool = True,
    takes_variables: bool = False,
    **attributes: Any,
) -> Lines:
    suggesting = _SUGGESTING if takes_variables else {}
    widget = Area(attrs={"rows": rows, **(_MONOSPACED if mono else {}), **suggesting, **attributes})
    return Lines(required=False, label=label or None, help_text=help_text, strip=strip, widget=widget)


def number(
    *, label: str, help_text: str = "", min_value: int | None = None, max_value: int | None = None
) -> forms.IntegerField:
    return forms.IntegerField(
        required=False,
        label=label,
        help_text=help_text,
        min_value=min_value,
        max_value=max_value,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
    )


def seconds(*, label: str, help_text: str = "") -> forms.FloatField:
    widget = widgets.UnfoldAdminIntegerFieldWidget(attrs={"step": "any"})
    return forms.FloatField(required=False, label=label, help_text=help_text, widget=widget)


def choice(choices: Iterable[tuple[str, str]], **options: Any) -> forms.ChoiceField:
    return forms.ChoiceField(choices=list(choices), widget=widgets.UnfoldAdminSelectWidget(), **options)


def flag(label: str, help_text: str = "") -> forms.BooleanField:
    widget = widgets.UnfoldBooleanSwitchWidget()
    return forms.BooleanField(required=False, label=label, help_text=help_text, widget=widget)


def wall_clock(*, label: str, help_text: str) -> forms.CharField:
    """A time on the job's wall clock; `wall_time` and `instant` translate it."""
    return text(label=label, help_text=help_text, type="datetime-local", step="1")


def wall_time(instant_text: str, zone: datetime.tzinfo) -> str:
    """An instant of the job object as a browser's datetime field holds it, as short as it can be."""
    try:
        local = datetime.datetime.fromisoformat(instant_text).astimezone(zone)
    except ValueError:
        return instant_text  # A version that can't be read: the form shows what it says.
    spec = "milliseconds" if local.microsecond else "seconds" if local.second else "minutes"
    return local.replace(tzinfo=None).isoformat(timespec=spec)


def instant(wall_text: str, zone: datetime.tzinfo) -> str:
    """The other way round, in UTC. Of a time that the clock shows twice the first; one that it skips is shifted."""
    try:
        local = datetime.datetime.fromisoformat(wall_text).replace(tzinfo=zone)
        return local.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
    except ValueError as error:
        raise forms.ValidationError("Should be a date and a time, as in 2026-03-15T02:00.") from error
    except OverflowError as error:
        raise forms.ValidationError("This time is out of range.") from error


def json_in(written: str) -> Any:
    """What a JSON text says, read as the API reads a body. Raises forms.ValidationError."""
    try:
        found = json_value(written)
        refuse_unstorable(found)
    except RecursionError as error:
        raise forms.ValidationError("This is nested too deep.") from error
    except ValueError as error:
        raise forms.ValidationError(f"This is no JSON: {why_no_json(error)}.") from error
    except (ParseError, ValidationError) as error:
        told = ", ".join(str(one["detail"]) for one in field_errors(error.detail))
        raise forms.ValidationError(told) from error
    return found


def listed(written: str) -> list[str]:
    """What stands between commas."""
    return [part for part in (item.strip() for item in written.split(",")) if part]


def whole_numbers(written: str) -> list[int]:
    parts = listed(written)
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise forms.ValidationError("Should be whole numbers, separated by commas.")
    return [int(part) for part in parts]


def api_field(path: str) -> Any:
    """The API's field at a dotted path of the job object."""
    found: Any = _API
    for part in path.split("."):
        found = found.fields[part]
    return found


def api_choices(path: str, labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """What the API knows there, so that the form offers neither more nor less, in the words of `labels`."""
    return [(value, labels.get(value, value)) for value in api_field(path).choices]


def api_default(path: str) -> Any:
    """What the API takes for a field that is left out; None for one that can't be."""
    try:
        return api_field(path).get_default()
    except SkipField:
        return None


def value_at(definition: Mapping[str, Any], path: str) -> Any:
    """What stands at a dotted path of a job object; None where nothing does."""
    found: Any = definition
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def spell(field: str, value: Any) -> Any:
    """A value of the API's job object as its text field holds it."""
    match value:
        case dict() if field == "headers":
            return "\n".join(f"{name}: {content}" for name, content in value.items())
        case dict():
            return json.dumps(value)
        case float() if value.is_integer():
            return int(value)
        case list():
            return ", ".join(str(item) for item in value)
    return value
