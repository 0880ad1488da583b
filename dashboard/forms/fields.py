"""Form fields, and the translation of the API's values to their text and back."""

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
#: The attribute of fields in which variables are suggested.
_SUGGESTING = {"data-takes-variables": ""}
_MONOSPACED = {"class": "hh-mono", "spellcheck": "false", "autocapitalize": "off", "autocomplete": "off"}


class Area(widgets.UnfoldAdminTextareaWidget):
    """Uses Django's template: Unfold's drops a leading line break."""

    template_name = "django/forms/widgets/textarea.html"


class Lines(forms.CharField):
    """Text of several lines. Browsers send every line break as CR LF, which this turns into LF."""

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


def local_time_field(*, label: str, help_text: str) -> forms.CharField:
    """A local time in the job's time zone; `local_time` and `instant` convert it."""
    return text(label=label, help_text=help_text, type="datetime-local", step="1")


def local_time(instant_text: str, zone: datetime.tzinfo) -> str:
    """An instant of the job object as the shortest text for a browser's datetime field."""
    try:
        local = datetime.datetime.fromisoformat(instant_text).astimezone(zone)
    except ValueError:
        return instant_text  # the version can't be read: show it unchanged
    spec = "milliseconds" if local.microsecond else "seconds" if local.second else "minutes"
    return local.replace(tzinfo=None).isoformat(timespec=spec)


def instant(local_text: str, zone: datetime.tzinfo) -> str:
    """A local time as an instant in UTC. Raises forms.ValidationError.

    A time that a clock change repeats is the first of the two; one that it skips is shifted.
    """
    try:
        local = datetime.datetime.fromisoformat(local_text).replace(tzinfo=zone)
        return local.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
    except ValueError as error:
        raise forms.ValidationError("Should be a date and a time such as 2026-03-15T02:00.") from error
    except OverflowError as error:
        raise forms.ValidationError("This time is out of range.") from error


def json_in(text: str) -> Any:
    """Parse JSON as the API parses a body. Raises forms.ValidationError."""
    try:
        value = json_value(text)
        refuse_unstorable(value)
    except RecursionError as error:
        raise forms.ValidationError("Nested too deeply.") from error
    except ValueError as error:
        raise forms.ValidationError(f"Invalid JSON: {why_no_json(error)}.") from error
    except (ParseError, ValidationError) as error:
        details = ", ".join(str(each["detail"]) for each in field_errors(error.detail))
        raise forms.ValidationError(details) from error
    return value


def comma_separated(text: str) -> list[str]:
    return [part for part in (item.strip() for item in text.split(",")) if part]


def whole_numbers(text: str) -> list[int]:
    """Parse whole numbers separated by commas. Raises forms.ValidationError."""
    parts = comma_separated(text)
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise forms.ValidationError("Should be whole numbers, separated by commas.")
    return [int(part) for part in parts]


def api_field(path: str) -> Any:
    """The serializer's field at a dotted path of the job object."""
    field: Any = _API
    for part in path.split("."):
        field = field.fields[part]
    return field


def api_choices(path: str, labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """The choices of the serializer's field, with `labels`."""
    return [(value, labels.get(value, value)) for value in api_field(path).choices]


def api_default(path: str) -> Any:
    """The serializer's default; None for a required field."""
    try:
        return api_field(path).get_default()
    except SkipField:
        return None


def value_at(definition: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path of a job object, None if absent."""
    value: Any = definition
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def to_text(field: str, value: Any) -> Any:
    """A value of the API's job object as the content of its field."""
    match value:
        case dict() if field == "headers":
            return "\n".join(f"{name}: {content}" for name, content in value.items())
        case dict():
            return json.dumps(value)
        case float() if value.is_integer():
            return int(value)
        case list() if field == "callback_on":
            return value
        case list():
            return ", ".join(str(item) for item in value)
    return value
