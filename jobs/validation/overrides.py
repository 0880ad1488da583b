"""Validate environment overrides: sparse, and valid only together with their job's definition."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from core.validation.strict import unknown_names
from jobs.definition.calls import STEP_LISTS, WORKFLOW, is_workflow
from jobs.definition.overrides import OVERRIDABLE, SECTIONS, merged
from jobs.validation.callback import without_short_form
from jobs.validation.definition import DefinitionSerializer
from jobs.validation.kinds import with_defaults
from jobs.validation.representation import SECTION_FIELDS, STEP_FIELDS

#: Fields of steps, of one type or another, that an environment may override.
_OF_STEPS = tuple(
    dict.fromkeys(name for fields in STEP_FIELDS.values() for name in fields if name not in ("id", "type"))
)


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {},
        "description": f"The fields that differ in this environment, of {', '.join(OVERRIDABLE)}. "
        f"{', '.join(SECTIONS)} are merged field by field, `workflow` by the id of its steps, as in "
        '`{"workflow": {"steps": {"create": {"request": {...}}}}}`; headers and lists replace the job\'s. A new '
        "value replaces all overrides.",
        "example": {"request": {"url": "https://staging.example.com/report"}, "schedule": "0 6 * * *"},
    }
)
class Overrides(serializers.Field):
    """A sparse definition; only its shape is checked."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        sparse, errors = _object(data, OVERRIDABLE), _Errors()
        for section in sparse.keys() & {*SECTIONS, WORKFLOW}:
            with errors.at(section):
                sparse[section] = _section(section, sparse[section])
        errors.raise_any()
        return {field: value for field, value in sparse.items() if value != {} or field not in (*SECTIONS, WORKFLOW)}

    def to_representation(self, value: Any) -> Any:
        return value


class _Errors(dict[str, Any]):
    """The details of errors by field."""

    @contextmanager
    def at(self, field: str) -> Iterator[None]:
        try:
            yield
        except ValidationError as error:
            self[field] = error.detail

    def raise_any(self) -> None:
        if self:
            raise ValidationError(dict(self))


def _section(section: str, data: Any) -> dict[str, Any]:
    """Return some fields of a section. Raises ValidationError for others."""
    if section == WORKFLOW:
        return _workflow(data)
    sparse = _object(data, SECTION_FIELDS[section])
    if section == "retry" and sparse.get("policy") is not None:
        problem = "Only null is supported here: environments override rules, and the job names the policy."
        raise ValidationError({"policy": [ErrorDetail(problem, code="unsupported")]})
    return sparse


def _workflow(data: Any) -> dict[str, Any]:
    """Return a sparse workflow, its steps by id."""
    sparse, errors = _object(data, ("timeout_seconds", "steps")), _Errors()
    by_id = sparse.pop("steps", {})
    if not isinstance(by_id, Mapping):
        detail = ErrorDetail("Should be a JSON object: some fields of some steps, by the step's id.", code="invalid")
        raise ValidationError({"steps": [detail]})
    steps = {}
    for step_id, step in by_id.items():
        with errors.at(step_id):
            steps[step_id] = _step(step)
    if errors:
        raise ValidationError({"steps": dict(errors)})
    filled = {step_id: step for step_id, step in steps.items() if step}
    return {**sparse, **({"steps": filled} if filled else {})}


def _step(data: Any) -> dict[str, Any]:
    sparse, errors = _object(data, _OF_STEPS), _Errors()
    for section in sparse.keys() & set(SECTIONS):
        with errors.at(section):
            sparse[section] = _section(section, sparse[section])
    errors.raise_any()
    return {name: value for name, value in sparse.items() if value != {} or name not in SECTIONS}


def _object(data: Any, fields: Collection[str]) -> dict[str, Any]:
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
    _refuse_unknown_steps(sparse, definition)
    effective = merged(without_short_form(definition), sparse)
    whole = DefinitionSerializer(data=effective, context=context)
    if not whole.is_valid():
        raise ValidationError(_by_step(whole.errors, effective))
    valid = whole.definition
    return {field: _stored(field, valid.get(field), definition.get(field), given) for field, given in sparse.items()}


def override_errors(sparse: Mapping[str, Any], data: Mapping[str, Any], *, context: dict[str, Any]) -> dict[str, Any]:
    """Return the errors of overrides whose job's definition is invalid too, for the fields that they name.

    Both are as sent. Empty if the overrides are not of the right shape.
    """
    try:
        given = Overrides().to_internal_value(sparse)
    except ValidationError:
        return {}
    data = with_defaults(without_short_form(data) if "callback" in given else data)
    effective = merged({**data, **_sections(data)}, given)
    whole = DefinitionSerializer(data=effective, context=context)
    whole.is_valid()
    return _of_given(_by_step(whole.errors, effective), given)


def _sections(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections of a call as sent, replacing those of an unknown shape, into which nothing can be merged."""
    if is_workflow(data):
        return {}
    return {name: value if isinstance(value := data.get(name), Mapping) else {} for name in SECTIONS}


def _of_given(errors: Mapping[Any, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the errors of the given fields, at any depth."""
    kept = {}
    for field, detail in errors.items():
        if field in given:
            both = isinstance(detail, Mapping) and isinstance(given[field], Mapping)
            kept[field] = _of_given(detail, given[field]) if both else detail
    return {field: detail for field, detail in kept.items() if detail}


def _refuse_unknown_steps(sparse: Mapping[str, Any], definition: Mapping[str, Any]) -> None:
    if not is_workflow(definition):
        return
    ids = list(_steps_by_id(definition))
    unknown = [step_id for step_id in sparse.get(WORKFLOW, {}).get("steps", {}) if step_id not in ids]
    if unknown:
        problem = f"The workflow has no such step. Its steps: {', '.join(ids)}."
        errors = {step_id: [ErrorDetail(problem, code="unknown_step")] for step_id in unknown}
        raise ValidationError({WORKFLOW: {"steps": errors}})


def _steps_by_id(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {step["id"]: step for part in STEP_LISTS for step in definition[WORKFLOW][part]}


def _by_step(errors: Mapping[str, Any], effective: Mapping[str, Any]) -> dict[str, Any]:
    """Name the steps in the errors of an effective definition by their ids, as overrides do."""
    inner, workflow = errors.get(WORKFLOW), effective.get(WORKFLOW)
    if not (isinstance(inner, Mapping) and isinstance(workflow, Mapping)):
        return dict(errors)
    steps = {}
    for part in STEP_LISTS:
        by_index = inner.get(part)
        for index, detail in by_index.items() if isinstance(by_index, Mapping) else ():
            step = workflow[part][index] if isinstance(index, int) else None
            steps[str(step.get("id", index) if isinstance(step, Mapping) else index)] = detail
    others = {
        name: detail for name, detail in inner.items() if name not in STEP_LISTS or not isinstance(detail, Mapping)
    }
    return {**errors, WORKFLOW: {**others, **({"steps": steps} if steps else {})}}


def _stored(field: str, valid: Any, common: Any, given: Any) -> Any:
    """Return the valid values of what is given of a field."""
    if field == WORKFLOW:
        return _stored_workflow(valid, common, given)
    return _changed(valid, common, given) if field in SECTIONS else valid


def _stored_workflow(valid: dict[str, Any], common: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    steps, steps_before = _steps_by_id({WORKFLOW: valid}), _steps_by_id({WORKFLOW: common})
    return {
        name: {
            step_id: {
                field: _stored(field, steps[step_id][field], steps_before[step_id][field], inner)
                for field, inner in step.items()
            }
            for step_id, step in value.items()
        }
        if name == "steps"
        else valid[name]
        for name, value in given.items()
    }


def _changed(section: dict[str, Any], common: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the given fields and those derived from them: a JSON body adds its content type."""
    return {name: value for name, value in section.items() if name in given or value != common.get(name)}
