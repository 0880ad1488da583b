"""The workflow of a job as it is saved: its steps in order, each with the variables that it may use."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from core import exact_json
from core.validation.fields import BoundedList
from core.validation.strict import StrictSerializer
from jobs.definition.assertions import InvalidAssertionError
from jobs.definition.assertions.values import json_value
from jobs.definition.facts import OPENING
from jobs.definition.workflow.contract import MAX_FINALLY, MAX_STEPS, MAX_WAIT_SECONDS, StepType
from jobs.definition.workflow.scope import PLAIN, TemplateScope
from jobs.validation.steps import STEP_SERIALIZERS, FinallyStepSerializer, StepSerializer, WaitSeconds
from jobs.validation.templates import check_text

MAX_OUTPUT_BYTES = 64 * 1024
DEFAULT_TIMEOUT_SECONDS = 30 * 24 * 3600
_WAITS = (StepType.WEBHOOK, StepType.APPROVAL)


class StepField(serializers.Field):
    """One step, in the shape of its type, in `scope`."""

    serializers: Mapping[str, type[StepSerializer]] = STEP_SERIALIZERS
    scope = PLAIN

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            raise ValidationError("Should be a JSON object.", code="invalid")
        kind = data.get("type")
        if not isinstance(kind, str) or kind not in self.serializers:
            detail = ErrorDetail(f"Should be one of {', '.join(self.serializers)}.", code="invalid_choice")
            raise ValidationError({"type": [detail]})
        step: dict[str, Any] = dict(self._serializer(kind).run_validation(data))
        return step

    def _serializer(self, kind: str) -> StepSerializer:
        """Return the serializer of a type, made once for all steps: building one costs more than a validation."""
        if not hasattr(self, "_built"):
            self._built: dict[str, StepSerializer] = {}
            self._steps_context = dict(self.context)
        self._steps_context["scope"] = self.scope
        if kind not in self._built:
            self._built[kind] = self.serializers[kind](context=self._steps_context)
        return self._built[kind]

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(
    PolymorphicProxySerializer(component_name="Step", serializers={**STEP_SERIALIZERS}, resource_type_field_name="type")
)
class AnyStep(StepField):
    """One step of any type."""


@extend_schema_field(FinallyStepSerializer)
class FinallyStep(StepField):
    """One step of `finally`: a call."""

    serializers = {StepType.HTTP.value: FinallyStepSerializer}


class Steps(BoundedList):
    """Steps in order. `preceding` are the steps before them, as sent; each sees those before it."""

    preceding: Sequence[Any] = ()
    child: StepField

    def run_child_validation(self, data: list[Any]) -> list[Any]:
        steps: list[Any] = []
        errors: dict[Any, Any] = {}
        waits = wait_ids([*self.preceding, *data])
        for index, item in enumerate(data):
            before = [*self.preceding, *data[:index]]
            self.child.scope = TemplateScope(extracted_names(before), waits)
            try:
                steps.append(self.child.run_validation(item))
            except ValidationError as error:
                errors[index] = error.detail
            if (step_id := _id_of(item)) is not None and step_id in map(_id_of, before):
                repeated = {"id": [ErrorDetail(f"Another step has the id {step_id[:40]}.", code="repeated")]}
                wrong = errors.get(index)
                errors[index] = {**wrong, **repeated} if isinstance(wrong, dict) else repeated
        if errors:
            raise ValidationError(errors)
        return steps


class OutputTemplate(serializers.JSONField):
    """Any JSON value whose texts may have variables."""

    scope = PLAIN

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        try:
            json_value(value)
        except InvalidAssertionError as error:
            raise ValidationError(str(error), code="invalid") from error
        if len(exact_json.compact(value).encode(errors="surrogatepass")) > MAX_OUTPUT_BYTES:
            raise ValidationError("Should be at most 64 KiB.", code="too_large")
        self._check(value)
        return value

    def _check(self, value: Any) -> None:
        """Raises ValidationError with each wrong text at its place."""
        if isinstance(value, str):
            check_text(value, self.scope)
            return
        items: Iterable[tuple[Any, Any]] = ()
        if isinstance(value, dict):
            items = value.items()
        elif isinstance(value, list):
            items = enumerate(value)
        errors = {}
        for name, inner in items:
            try:
                if OPENING in str(name):
                    raise ValidationError("Names have no variables.", code="invalid_template")
                self._check(inner)
            except ValidationError as error:
                errors[name] = error.detail
        if errors:
            raise ValidationError(errors)


class WorkflowSerializer(StrictSerializer):
    """Steps that run one after another in one execution."""

    timeout_seconds = WaitSeconds(
        default=DEFAULT_TIMEOUT_SECONDS,
        help_text=f"Seconds for the whole of it, waits included; at most {MAX_WAIT_SECONDS:,}, 366 days.",
    )
    steps = Steps(
        child=AnyStep(), min_length=1, max_length=MAX_STEPS, help_text="The steps in the order in which they run."
    )
    output = OutputTemplate(
        allow_null=True,
        default=None,
        help_text="The result of the execution: any JSON whose texts may have variables. A text of one variable keeps "
        "the type of its value. Null: the answer of the last step.",
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        output = fields.pop("output")
        last = Steps(  # `finally` is no name in Python
            child=FinallyStep(),
            default=list,
            max_length=MAX_FINALLY,
            help_text="Calls after success, failure, cancellation and timeout, for ten minutes at most. Their "
            "failure is shown, and changes nothing.",
        )
        return {**fields, "finally": last, "output": output}

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            steps = data.get("steps")
            sent = steps[:MAX_STEPS] if isinstance(steps, list) else []
            self.fields["finally"].preceding = sent  # type: ignore[attr-defined]
            self.fields["output"].scope = TemplateScope(extracted_names(sent), wait_ids(sent))  # type: ignore[attr-defined]
        return super().to_internal_value(data)


def extracted_names(steps: Iterable[Any]) -> dict[str, Collection[str]]:
    """Return by id what each of these steps, as sent, extracts."""
    names: dict[str, Collection[str]] = {}
    for step in steps:
        if (step_id := _id_of(step)) is not None:
            extract = step.get("extract")
            names[step_id] = tuple(map(str, extract)) if isinstance(extract, Mapping) else ()
    return names


def wait_ids(steps: Iterable[Any]) -> frozenset[str]:
    """Return the ids of the steps, as sent, that have a URL."""
    return frozenset(step_id for step in steps if (step_id := _id_of(step)) is not None and step.get("type") in _WAITS)


def _id_of(step: Any) -> str | None:
    step_id = step.get("id") if isinstance(step, Mapping) else None
    return step_id if isinstance(step_id, str) else None
