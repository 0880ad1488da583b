"""Overrides of an environment as they are sent: sparse, and right only as the whole that they make with their job."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from core.validation.strict import unknown_names
from jobs.definition.overrides import OVERRIDABLE, SECTIONS, merged
from jobs.validation.definition import DefinitionSerializer
from jobs.validation.representation import SECTION_FIELDS


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {},
        "description": f"What differs here, as in the job object: of {', '.join(OVERRIDABLE)}. {', '.join(SECTIONS)} "
        "are merged field by field; headers and lists replace the job's. Replaced as a whole when given.",
        "example": {"request": {"url": "https://staging.example.com/report"}, "schedule": "0 6 * * *"},
    }
)
class Overrides(serializers.Field):
    """A sparse definition, by its shape: which fields there may be."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        sparse = _object(data, OVERRIDABLE)
        errors: dict[str, Any] = {}
        for section in sparse.keys() & set(SECTIONS):
            try:
                sparse[section] = _object(sparse[section], SECTION_FIELDS[section])
            except ValidationError as error:
                errors[section] = error.detail
        if (sparse.get("retry") or {}).get("policy") is not None and "retry" not in errors:
            told = "Only null is supported here: an environment overrides rules, and the job names the policy."
            errors["retry"] = {"policy": [ErrorDetail(told, code="unsupported")]}
        if errors:
            raise ValidationError(errors)
        return {field: value for field, value in sparse.items() if value != {} or field not in SECTIONS}

    def to_representation(self, value: Any) -> Any:
        return value


def _object(data: Any, fields: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise ValidationError({"non_field_errors": [ErrorDetail("Should be a JSON object.", code="invalid")]})
    unknown = unknown_names(data, fields, message="No environment can override this.", code="unknown_field")
    if unknown:
        raise ValidationError(unknown)
    return dict(data)


def checked_overrides(sparse: dict[str, Any], definition: dict[str, Any], *, context: dict[str, Any]) -> dict[str, Any]:
    """Overrides as a version keeps them, once the whole that they make with `definition` is valid.

    `context` is that of a DefinitionSerializer. Raises ValidationError, naming fields within the overrides.
    """
    whole = DefinitionSerializer(data=merged(definition, sparse), context=context)
    whole.is_valid(raise_exception=True)
    found = whole.definition
    return {
        field: _changed(found[field], definition[field], given) if field in SECTIONS else found[field]
        for field, given in sparse.items()
    }


def wrong_overrides(sparse: Mapping[str, Any], data: Mapping[str, Any], *, context: dict[str, Any]) -> dict[str, Any]:
    """What is wrong with overrides, beside a definition that is wrong itself: only of the fields that they name.

    Both as they were sent. Nothing where the overrides are not even of the right shape.
    """
    try:
        given = Overrides().to_internal_value(sparse)
    except ValidationError:
        return {}
    sections = {name: found if isinstance(found := data.get(name), Mapping) else {} for name in SECTIONS}
    whole = DefinitionSerializer(data=merged({**data, **sections}, given), context=context)
    whole.is_valid()
    found = {field: detail for field, detail in whole.errors.items() if field in given}
    return {
        field: {name: told for name, told in detail.items() if name in given[field]}
        if field in SECTIONS and isinstance(detail, dict)
        else detail
        for field, detail in found.items()
    }


def _changed(section: dict[str, Any], common: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The fields that were given, and what follows from them: a JSON body brings its content type."""
    return {name: value for name, value in section.items() if name in given or value != common.get(name)}
