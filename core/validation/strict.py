"""Serializers that refuse unknown fields, so that no typo is silently ignored."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

MAX_LIMIT = 100
DEFAULT_LIMIT = 50
MAX_OFFSET = 10_000
MAX_PARAMETER_LENGTH = 1000
MAX_CURSOR_LENGTH = 4000  # a cursor may hold a name of 200 characters at 16 each
#: The most unknown names that an error lists.
_NAMED = 50
#: Finding a similar name is slow: only for the first few unknown names, and only for names of ordinary length.
_HINTS = 10
_TYPED = 60


def unknown_names(data: Mapping[Any, Any], fields: Collection[str], *, message: str, code: str) -> dict[str, Any]:
    """Make an error for each name in `data` that is not in `fields`, with the field of a similar name."""
    names = [str(name) for name in data if name not in fields]
    errors: dict[str, Any] = {
        name: [ErrorDetail(message + (_hint(name, fields) if index < _HINTS else ""), code=code)]
        for index, name in enumerate(names[:_NAMED])
    }
    if len(names) > _NAMED:
        more = f"There are {len(names) - _NAMED:,} more such names."
        errors["non_field_errors"] = [ErrorDetail(more, code=code)]
    return errors


def _hint(name: str, fields: Collection[str]) -> str:
    near = difflib.get_close_matches(name, fields, n=1) if len(name) <= _TYPED else []
    return f" Did you mean {near[0]}?" if near else ""


def by_field(error: ValidationError) -> dict[str, Any]:
    """The details of an error by field."""
    return dict(error.detail) if isinstance(error.detail, dict) else {"non_field_errors": error.detail}


class StrictSerializer(serializers.Serializer):
    """Reports every unknown field of the input beside all other errors."""

    unknown = "Unknown field."
    unknown_code = "unknown_field"

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise ValidationError({"non_field_errors": [ErrorDetail("Should be a JSON object.", code="invalid")]})
        errors = unknown_names(data, self.fields, message=self.unknown, code=self.unknown_code)
        try:
            value = super().to_internal_value(data)
        except ValidationError as error:
            errors = by_field(error) | errors
        if errors:
            raise ValidationError(errors)
        return value


class Query(StrictSerializer):
    """The query parameters of a route: those that the subclass declares."""

    unknown = "Unknown query parameter."
    unknown_code = "unknown_parameter"

    @classmethod
    def read(cls, parameters: QueryDict) -> dict[str, Any]:
        """Validate the parameters of a request. Raises ValidationError, which names each invalid one."""
        repeated = [name for name, values in parameters.lists() if len(values) > 1]
        if repeated:
            raise ValidationError({name: [ErrorDetail("Given more than once.", code="repeated")] for name in repeated})
        too_long = {
            name: _max_length_of(name) for name, value in parameters.items() if len(str(value)) > _max_length_of(name)
        }
        if too_long:
            detail = "Should be at most {} characters."
            raise ValidationError(
                {name: [ErrorDetail(detail.format(limit), "max_length")] for name, limit in too_long.items()}
            )
        query = cls(data=parameters.dict())
        query.is_valid(raise_exception=True)
        return query.validated_data


def _max_length_of(name: str) -> int:
    return MAX_CURSOR_LENGTH if name == "cursor" else MAX_PARAMETER_LENGTH


class ListQuery(Query):
    """The parameters of every list."""

    limit = serializers.IntegerField(
        default=DEFAULT_LIMIT, min_value=1, max_value=MAX_LIMIT, help_text="How many results a page holds."
    )
    cursor = serializers.CharField(required=False, help_text="Opaque; from the `next` or `previous` of another page.")
    offset = serializers.IntegerField(
        required=False, min_value=0, max_value=MAX_OFFSET, help_text="How many results to skip, instead of a cursor."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "cursor" in attrs and "offset" in attrs:
            raise ValidationError({"offset": [ErrorDetail("Give either cursor or offset.", code="conflicting")]})
        return attrs
