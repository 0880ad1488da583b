"""Validate environment overrides: sparse, and valid only together with their job's definition."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from core.validation.strict import unknown_names
from jobs.definition.overrides import OVERRIDABLE, SECTIONS, merged
from jobs.validation.callback import without_short_form
from jobs.validation.definition import DefinitionSerializer
from jobs.validation.representation import SECTION_FIELDS


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {},
        "description": f"The fields that differ in this environment, of {', '.join(OVERRIDABLE)}. "
        f"{', '.join(SECTIONS)} are merged field by field; headers and lists replace the job's. A new "
        "value replaces all overrides.",
        "example": {"request": {"url": "https://staging.example.com/report"}, "schedule": "0 6 * * *"},
    }
)
class Overrides(serializers.Field):
    """A sparse definition; only its shape is checked."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        sparse = _object(data, OVERRIDABLE)
        errors: dict[str, Any] = {}
        for section in sparse.keys() & set(SECTIONS):
            try:
                sparse[section] = _object(sparse[section], SECTION_FIELDS[section])
            except ValidationError as error:
                errors[section] = error.detail
        if (sparse.get("retry") or {}).get("policy") is not None and "retry" not in errors:
            problem = "Only null is supported here: environments override rules, and the job names the policy."
            errors["retry"] = {"policy": [ErrorDetail(problem, code="unsupported")]}
        if errors:
            raise ValidationError(errors)
        return {field: value for field, value in sparse.items() if value != {} or field not in SECTIONS}

    def to_representation(self, value: Any) -> Any:
        return value


def _object(data: Any, fields: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise ValidationError({"non_field_errors": [ErrorDetail("Should be a JSON object.", code="invalid")]})
    unknown = unknown_names(data, fields, message="Environments can't override this field.", code="unknown_field")
    if unknown:
        raise ValidationError(unknown)
    return dict(data)


def checked_overrides(sparse: dict[str, Any], definition: dict[str, Any], *, context: dict[str, Any]) -> dict[str, Any]:
    """Return overrides as a version stores them. Raises ValidationError unless they are valid with `definition`.

    `context` is that of a DefinitionSerializer. Errors name fields within the overrides.
    """
    whole = DefinitionSerializer(data=merged(without_short_form(definition), sparse), context=context)
    whole.is_valid(raise_exception=True)
    valid = whole.definition
    return {
        field: _changed(valid[field], definition[field], given) if field in SECTIONS else valid.get(field)
        for field, given in sparse.items()
    }


def override_errors(sparse: Mapping[str, Any], data: Mapping[str, Any], *, context: dict[str, Any]) -> dict[str, Any]:
    """Return the errors of overrides whose job's definition is invalid too, for the fields that they name.

    Both are as sent. Empty if the overrides are not of the right shape.
    """
    try:
        given = Overrides().to_internal_value(sparse)
    except ValidationError:
        return {}
    sections = {name: value if isinstance(value := data.get(name), Mapping) else {} for name in SECTIONS}
    whole = merged({**(without_short_form(data) if "callback" in given else data), **sections}, given)
    serializer = DefinitionSerializer(data=whole, context=context)
    serializer.is_valid()
    errors = {field: detail for field, detail in serializer.errors.items() if field in given}
    return {
        field: {name: problem for name, problem in detail.items() if name in given[field]}
        if field in SECTIONS and isinstance(detail, dict)
        else detail
        for field, detail in errors.items()
    }


def _changed(section: dict[str, Any], common: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the given fields and those derived from them: a JSON body adds its content type."""
    return {name: value for name, value in section.items() if name in given or value != common.get(name)}
