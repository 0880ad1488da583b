"""Serializers of assertions, one for each shape. An assertion that can't be compiled is refused."""

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


def _type_field(shape: Shape) -> Choice:
    """Return the field of the types with this shape."""
    return Choice(
        choices=tuple(name for name, kind in ASSERTION_TYPES.items() if kind.shape is shape),
        help_text="What part of the response is checked, and how.",
    )


class JsonPath(Text):
    def __init__(self) -> None:
        super().__init__(
            max_length=MAX_PATH_CHARACTERS,
            trim_whitespace=False,
            help_text="A JSON path (RFC 9535) into the body, such as `$.status`.",
        )


class _AssertionSerializer(StrictSerializer):
    """An assertion that is compiled to validate it; the error names the wrong field."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        try:
            compile_assertion(attrs)
        except InvalidAssertionError as error:
            raise ValidationError({error.field: [ErrorDetail(str(error), code="invalid")]}) from error
        return attrs


class StatusAssertionSerializer(_AssertionSerializer):
    """The status is this code."""

    type = _type_field(Shape.STATUS)
    value = Whole(min_value=100, max_value=599, help_text="The expected status code.")


class HeaderAssertionSerializer(_AssertionSerializer):
    """A header equals, or contains, this text. Repeated headers are joined with a comma."""

    type = _type_field(Shape.HEADER)
    name = Text(max_length=200, help_text="The header's name, case-insensitive.")
    value = Text(
        max_length=MAX_TEXT_CHARACTERS,
        trim_whitespace=False,
        allow_blank=True,
        help_text="Text that the header equals or contains, case-sensitive.",
    )

    def validate_name(self, name: str) -> str:
        if not is_name(name):
            raise ValidationError("Should be a valid header name.", code="invalid")
        return name


class BodyAssertionSerializer(_AssertionSerializer):
    """The body contains this text, does not contain it, or has a match of this pattern (RE2 syntax)."""

    type = _type_field(Shape.TEXT)
    value = Text(
        max_length=MAX_TEXT_CHARACTERS,
        trim_whitespace=False,
        help_text="Text to search the body for, or the pattern.",
    )


@extend_schema_field({"description": "Any JSON value.", "nullable": True})
class AnyJson(serializers.JSONField):
    def to_internal_value(self, value: Any) -> Any:
        json_value = super().to_internal_value(value)
        if len(str(json_value)) > MAX_VALUE_BYTES:
            raise ValidationError("Should be at most 16 KiB.", code="too_large")
        return json_value


class JsonPathEqualsSerializer(_AssertionSerializer):
    """The JSON path selects at least one value, and all selected values equal this one."""

    type = _type_field(Shape.JSON)
    path = JsonPath()
    value = AnyJson(allow_null=True, help_text="The expected value: any JSON.")


class JsonPathExistsSerializer(_AssertionSerializer):
    """The JSON path selects something; with a `value` of false, nothing."""

    type = _type_field(Shape.PRESENCE)
    path = JsonPath()
    value = Flag(default=True, help_text="Whether the path must select something.")


class ResponseTimeAssertionSerializer(_AssertionSerializer):
    """The whole call took less than this many milliseconds."""

    type = _type_field(Shape.MILLISECONDS)
    value = Whole(min_value=1, max_value=MAX_RESPONSE_TIME_MS, help_text="Milliseconds; the call must take less.")


_SHAPES: dict[Shape, type[_AssertionSerializer]] = {
    Shape.STATUS: StatusAssertionSerializer,
    Shape.HEADER: HeaderAssertionSerializer,
    Shape.TEXT: BodyAssertionSerializer,
    Shape.JSON: JsonPathEqualsSerializer,
    Shape.PRESENCE: JsonPathExistsSerializer,
    Shape.MILLISECONDS: ResponseTimeAssertionSerializer,
}
_SERIALIZERS = {name: _SHAPES[kind.shape] for name, kind in ASSERTION_TYPES.items()}


@extend_schema_field(
    PolymorphicProxySerializer(
        component_name="Assertion", serializers={**_SERIALIZERS}, resource_type_field_name="type"
    )
)
class AssertionField(serializers.Field):
    """One assertion, in the shape of its type."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            raise ValidationError("Should be a JSON object.", code="invalid")
        kind = data.get("type")
        if not isinstance(kind, str) or kind not in _SERIALIZERS:
            detail = ErrorDetail(f"Should be one of {', '.join(_SERIALIZERS)}.", code="invalid_choice")
            raise ValidationError({"type": [detail]})
        assertion: dict[str, Any] = dict(_SERIALIZERS[kind]().run_validation(data))
        return assertion

    def to_representation(self, value: Any) -> Any:
        return value
