"""Fields that take exactly their own JSON type: "3" is no number here, and 1 is no boolean."""

import datetime
import math
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.instants import instant_text


class Text(serializers.CharField):
    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class Number(serializers.FloatField):
    """A number; whole ones stay whole."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool) or not isinstance(data, (int, float)) or not math.isfinite(data):
            self.fail("invalid")
        return int(data) if int(data) == data else data

    def to_representation(self, value: Any) -> Any:
        return value


class Flag(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Choice(serializers.ChoiceField):
    """One of a few words. An error names them all."""

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
            found = datetime.datetime.fromisoformat(value)
            if found.tzinfo is None:
                if not self.naive_is_utc:
                    self.fail("no_offset")
                found = found.replace(tzinfo=datetime.UTC)
            return found.astimezone(datetime.UTC)
        except (TypeError, ValueError, OverflowError) as error:
            if isinstance(error, serializers.ValidationError):
                raise
            self.fail("invalid")

    def to_representation(self, value: datetime.datetime) -> str:
        return instant_text(value)


@extend_schema_field({"type": "string"})
class CommaList(serializers.Field):
    """Several values of one query parameter, separated by commas; in a body, a list of them too."""

    default_error_messages = {"blank": "Should name at least one."}

    def __init__(self, *, child: serializers.Field, **options: Any) -> None:
        self.child = child
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> list[Any]:
        named = data if isinstance(data, list) else str(data).split(",")
        parts = [part.strip() for part in map(str, named) if part.strip()]
        if not parts:
            self.fail("blank")
        return [self.child.run_validation(part) for part in parts]

    def to_representation(self, value: Any) -> Any:
        return value
