"""Assertions on the wire: one shape for each type, and what can't be compiled is refused when the job is saved."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from core.validation.fields import Choice, Flag, Text, Whole
from core.validation.strict import StrictSerializer
from jobs.definition.assertions import (
    ASSERTION_TYPES,
    MAX_TEXT_CHARACTERS,
    InvalidAssertionError,
    Shape,
    compile_assertion,
)
from jobs.definition.headers import is_name
from jobs.definition.json_paths import MAX_PATH_CHARACTERS

MAX_VALUE_BYTES = 16 * 1024
MAX_RESPONSE_TIME_MS = 3_600_000


def _named(shape: Shape) -> Choice:
    """The field that holds one of the types of a shape."""
    return Choice(
        choices=tuple(name for name, known in ASSERTION_TYPES.items() if known.shape is shape),
        help_text="What of the answer is looked at, and how it is compared.",
    )


class JsonPath(Text):
    def __init__(self) -> None:
        super().__init__(
            max_length=MAX_PATH_CHARACTERS,
            trim_whitespace=False,
            help_text="Of a JSON path: one of RFC 9535 into the body, as `$.status`.",
        )


class _AssertionSerializer(StrictSerializer):
    """What all types share: whatever can't be compiled is told by the field that is wrong."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        try:
            compile_assertion(attrs)
        except InvalidAssertionError as error:
            raise ValidationError({error.field: [ErrorDetail(str(error), code="invalid")]}) from error
        return attrs


class StatusAssertionSerializer(_AssertionSerializer):
    """The status is exactly this one."""

    type = _named(Shape.STATUS)
    value = Whole(min_value=100, max_value=599, help_text="Of a status: the only one that holds.")


class HeaderAssertionSerializer(_AssertionSerializer):
    """A header is, or contains, this text. Names in any case; a repeated header is joined with a comma."""

    type = _named(Shape.HEADER)
    name = Text(max_length=200, help_text="Of a header: which one, in any case.")
    value = Text(
        max_length=MAX_TEXT_CHARACTERS,
        trim_whitespace=False,
        allow_blank=True,
        help_text="Of a header: what it is, or contains, in this case.",
    )

    def validate_name(self, name: str) -> str:
        if not is_name(name):
            raise ValidationError("Is no name of a header.", code="invalid")
        return name


class BodyAssertionSerializer(_AssertionSerializer):
    """The body contains this text, or doesn't, or matches this pattern of RE2's syntax somewhere."""

    type = _named(Shape.TEXT)
    value = Text(
        max_length=MAX_TEXT_CHARACTERS,
        trim_whitespace=False,
        help_text="Of a body: text to look for in it, or the pattern.",
    )


@extend_schema_field({"description": "Any JSON value.", "nullable": True})
class AnyJson(serializers.JSONField):
    def to_internal_value(self, value: Any) -> Any:
        found = super().to_internal_value(value)
        if len(str(found)) > MAX_VALUE_BYTES:
            raise ValidationError("Is at most 16 KiB.", code="too_large")
        return found


class JsonPathEqualsSerializer(_AssertionSerializer):
    """Everything that the JSON path leads to is this value, and it leads somewhere."""

    type = _named(Shape.JSON)
    path = JsonPath()
    value = AnyJson(allow_null=True, help_text="Of `json_path_equals`: any JSON that all it leads to is equal to.")


class JsonPathExistsSerializer(_AssertionSerializer):
    """The JSON path leads somewhere; or, with a `value` of false, nowhere."""

    type = _named(Shape.PRESENCE)
    path = JsonPath()
    value = Flag(default=True, help_text="Of `json_path_exists`: whether it leads somewhere.")


class ResponseTimeAssertionSerializer(_AssertionSerializer):
    """The whole call took less than this many milliseconds."""

    type = _named(Shape.MILLISECONDS)
    value = Whole(
        min_value=1, max_value=MAX_RESPONSE_TIME_MS, help_text="Of a response time: milliseconds that it stays under."
    )


_SHAPES: dict[Shape, type[_AssertionSerializer]] = {
    Shape.STATUS: StatusAssertionSerializer,
    Shape.HEADER: HeaderAssertionSerializer,
    Shape.TEXT: BodyAssertionSerializer,
    Shape.JSON: JsonPathEqualsSerializer,
    Shape.PRESENCE: JsonPathExistsSerializer,
    Shape.MILLISECONDS: ResponseTimeAssertionSerializer,
}
_SERIALIZERS = {name: _SHAPES[known.shape] for name, known in ASSERTION_TYPES.items()}


@extend_schema_field(
    PolymorphicProxySerializer(
        component_name="Assertion", serializers={**_SERIALIZERS}, resource_type_field_name="type"
    )
)
class AssertionField(serializers.Field):
    """One assertion, as its type wants it."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            raise ValidationError("Should be a JSON object.", code="invalid")
        kind = data.get("type")
        if not isinstance(kind, str) or kind not in _SERIALIZERS:
            detail = ErrorDetail(f"Should be one of {', '.join(_SERIALIZERS)}.", code="invalid_choice")
            raise ValidationError({"type": [detail]})
        read: dict[str, Any] = dict(_SERIALIZERS[kind]().run_validation(data))
        return read

    def to_representation(self, value: Any) -> Any:
        return value
