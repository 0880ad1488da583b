"""Fields that take only their own JSON type: "3" is not a number, and 1 is not a boolean."""

import datetime
import math
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty

from core.instants import EARLIEST, LATEST, InvalidInstantError, instant_text, read_instant
from core.slugs import SlugRule

#: The most values in one query parameter.
MAX_NAMED = 1000
_OUT_OF_RANGE = f"Should be in the years {EARLIEST.year} to {LATEST.year}."


class Text(serializers.CharField):
    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Slug(Text):
    """Text that a rule accepts as a slug."""

    def __init__(self, rule: SlugRule, **options: Any) -> None:
        self.rule = rule
        super().__init__(**options)

    def run_validation(self, data: Any = empty) -> str:
        slug: str = super().run_validation(data)
        if not self.rule.accepts(slug):
            raise serializers.ValidationError(self.rule.error, code="invalid")
        return slug


class Whole(serializers.IntegerField):
    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class Number(serializers.FloatField):
    """A number; a whole one is an int."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool) or not isinstance(data, (int, float)) or not _is_finite(data):
            self.fail("invalid")
        return int(data) if int(data) == data else data

    def to_representation(self, value: Any) -> Any:
        return value


def _is_finite(number: float) -> bool:
    """Whether a float can hold it; a whole number may be too large."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


class Flag(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Choice(serializers.ChoiceField):
    """One of a few words; the error names them all."""

    def __init__(self, choices: Any, **options: Any) -> None:
        super().__init__(choices, **options)
        self.error_messages["invalid_choice"] = f"Should be one of {', '.join(map(str, self.choices))}."

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        return super().to_internal_value(data)


class Instant(serializers.DateTimeField):
    """A point in time. Text without an offset is refused, or taken for UTC with `naive_is_utc`."""

    default_error_messages = {
        "invalid": "Should be an ISO 8601 time, as in 2026-03-15T02:00:00Z.",
        "no_offset": "Should end in Z or an offset, as in 2026-03-15T02:00:00Z.",
    }

    def __init__(self, *, naive_is_utc: bool = False, **options: Any) -> None:
        self.naive_is_utc = naive_is_utc
        super().__init__(**options)

    def to_internal_value(self, value: Any) -> datetime.datetime:
        try:
            return self.read(value)
        except InvalidInstantError as error:
            if error.code != "out_of_range":
                self.fail(error.code)
            raise serializers.ValidationError(_OUT_OF_RANGE, code="invalid") from error

    def read(self, text: str) -> datetime.datetime:
        return read_instant(text, zone=datetime.UTC if self.naive_is_utc else None)

    def to_representation(self, value: datetime.datetime) -> str:
        return instant_text(value)


class BoundedList(serializers.ListField):
    """A list. One that is too long is refused before its items, possibly millions, are validated."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        values: list[Any] = super().to_internal_value(data)
        return values


class BoundedDict(serializers.DictField):
    """At most `max_length` values by name; too many are refused before any is validated."""

    default_error_messages = {"max_length": "Should name at most {max_length}."}

    def __init__(self, *, max_length: int, **options: Any) -> None:
        self.max_length = max_length
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, dict) and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        values: dict[str, Any] = super().to_internal_value(data)
        return values


class Bound(Instant):
    """The begin or end of a span; UTC if it has no offset. One beyond EARLIEST or LATEST is moved there."""

    def __init__(self, help_text: str) -> None:
        help_text = f"{help_text} ISO 8601; UTC if it has no offset."
        super().__init__(required=False, naive_is_utc=True, help_text=help_text)

    def read(self, text: str) -> datetime.datetime:
        return read_instant(text, zone=datetime.UTC, is_bound=True)


@extend_schema_field({"type": "string"})
class CommaList(serializers.Field):
    """The comma-separated values of a query parameter; in a body, a list is valid too."""

    default_error_messages = {"blank": "Should name at least one.", "max_length": "Should name at most {max_length}."}

    def __init__(self, *, child: serializers.Field, **options: Any) -> None:
        self.child = child
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> list[Any]:
        values = data if isinstance(data, list) else str(data).split(",")
        parts = [part.strip() for part in map(str, values) if part.strip()]
        if not parts:
            self.fail("blank")
        if len(parts) > MAX_NAMED:
            self.fail("max_length", max_length=MAX_NAMED)
        return [self.child.run_validation(part) for part in parts]

    def to_representation(self, value: Any) -> Any:
        return value
