"""The steps of a workflow as they are saved, one serializer for each type.

The context of their serializers has `workspace`, `now`, and `scope`: the variables that mean something at the step.
"""

import datetime
import re
from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from core.validation.fields import BoundedDict, BoundedList, Choice, Flag, Instant, Text, Whole, instant_text
from core.validation.strict import StrictSerializer
from jobs.definition.assertions import MAX_ASSERTIONS
from jobs.definition.conditions import MAX_CONDITIONS
from jobs.definition.facts import EXTRACTED_PATTERN, OPENING, STEP_ID_PATTERN, STEP_PROPERTIES
from jobs.definition.json_paths import CompiledPath, InvalidJsonPathError
from jobs.definition.webhook import NO_WEBHOOK
from jobs.definition.workflow.contract import (
    FINALLY_SECONDS,
    MAX_EXTRACTED,
    MAX_WAIT_SECONDS,
    OnFailure,
    StepType,
)
from jobs.definition.workflow.scope import TemplateScope
from jobs.validation.approval import (
    MAX_APPROVERS,
    MAX_FORM_FIELDS,
    Approver,
    FormFieldSerializer,
    check_approvers,
    repeated_names,
)
from jobs.validation.assertions import AnyJson, AssertionField, JsonPath
from jobs.validation.sections import (
    BODILESS,
    RequestSerializer,
    RetrySerializer,
    SuccessSerializer,
    body_assertion_errors,
)
from jobs.validation.templates import check_condition, check_text
from jobs.validation.webhook import ConditionSerializer, WebhookVerifySerializer

MAX_MESSAGE_CHARACTERS = 2000
MAX_UNTIL_CHARACTERS = 1000
MAX_REQUIRED = 20
DAY_SECONDS = 24 * 3600
_ID = re.compile(STEP_ID_PATTERN)
_EXTRACTED = re.compile(EXTRACTED_PATTERN)


class WaitSeconds(Whole):
    """Seconds of a wait, up to 366 days unless `max_value` says less."""

    def __init__(self, *, max_value: int = MAX_WAIT_SECONDS, **options: Any) -> None:
        super().__init__(min_value=1, max_value=max_value, **options)


class StepConditionSerializer(ConditionSerializer):
    """One comparison of values that are there before the step."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        check_condition(attrs, self.context["scope"])
        return attrs


class AcceptConditionSerializer(ConditionSerializer):
    """One comparison of a value in the body of the request that would resume the step."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        check_condition(attrs, TemplateScope(has_body=True))
        return attrs


class StepSerializer(StrictSerializer):
    """What all steps have."""

    id = Text(
        max_length=40,
        help_text="Its name in variables and in the history: a-z, 0-9 and _, a letter first; unique in the workflow.",
    )
    on_failure = Choice(
        choices=list(OnFailure),
        default=OnFailure.FAIL.value,
        help_text="What follows if the step fails: the workflow fails, goes on, or ends here as a success (`stop`).",
    )
    #: The type of the steps that the subclass validates.
    step_type: StepType

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        first = {
            "id": fields.pop("id"),
            "type": Choice(choices=(self.step_type.value,), help_text="What the step does."),
            "if": BoundedList(  # `if` is no name in Python
                child=StepConditionSerializer(),
                default=list,
                max_length=MAX_CONDITIONS,
                help_text="Conditions that must all hold; else the step is skipped.",
            ),
        }
        last = {"on_failure": fields.pop("on_failure")}
        return {**first, **fields, **last}

    def validate_id(self, value: str) -> str:
        if not _ID.fullmatch(value):
            raise ValidationError("Should be a-z, 0-9 and _, a letter first, at most 40.", code="invalid")
        return value


class PollSerializer(StrictSerializer):
    """Call again until the response is as expected."""

    until = BoundedList(
        child=AssertionField(),
        min_length=1,
        max_length=MAX_ASSERTIONS,
        help_text="Assertions that must all hold; until then a successful response counts as not yet.",
    )
    every_seconds = Whole(
        default=10, min_value=1, max_value=DAY_SECONDS, help_text="Seconds from one response to the next call."
    )
    timeout_seconds = WaitSeconds(default=3600, help_text="Seconds from the first call; then the step fails.")


class FinallyPollSerializer(PollSerializer):
    """Call again until the response is as expected, within the ten minutes of `finally`."""

    timeout_seconds = WaitSeconds(
        default=FINALLY_SECONDS,
        max_value=FINALLY_SECONDS,
        help_text="Seconds from the first call; then the step fails.",
    )


class ExtractionSerializer(StrictSerializer):
    """A value to take from the response."""

    path = JsonPath()
    default = AnyJson(required=False, allow_null=True, help_text="The value if the path selects nothing: any JSON.")
    secret = Flag(default=False, help_text="Whether to encrypt the value and redact it everywhere.")


@extend_schema_field(
    {
        "description": "A JSON path (RFC 9535), or an object with the path, a default, and whether it is secret.",
        "oneOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "A JSON path (RFC 9535) into the body."},
                    "default": {"description": "The value if the path selects nothing: any JSON.", "nullable": True},
                    "secret": {
                        "type": "boolean",
                        "default": False,
                        "description": "Whether to encrypt the value and redact it everywhere.",
                    },
                },
                "required": ["path"],
                "additionalProperties": False,
            },
        ],
    }
)
class ExtractionField(serializers.Field):
    """A value to take from the response, by its path alone or with options. Stored as it is written."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str):
            try:
                CompiledPath.of(data)
            except InvalidJsonPathError as error:
                raise ValidationError(str(error), code="invalid") from error
            return data
        if not isinstance(data, Mapping):
            raise ValidationError("Should be a JSON path, or an object with one.", code="invalid")
        written: dict[str, Any] = dict(ExtractionSerializer().run_validation(data))
        try:
            CompiledPath.of(written["path"])
        except InvalidJsonPathError as error:
            raise ValidationError({"path": [ErrorDetail(str(error), code="invalid")]}) from error
        return written

    def to_representation(self, value: Any) -> Any:
        return value


class Extractions(BoundedDict):
    """Values to take from the response, by name."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        values = super().to_internal_value(data)
        errors: dict[str, Any] = {}
        for name in values:
            if name in STEP_PROPERTIES:
                errors[name] = [ErrorDetail(f"Every step has {name} already: choose another name.", code="reserved")]
            elif not _EXTRACTED.fullmatch(name):
                detail = "Should be a-z, A-Z, 0-9 and _, no digit first, at most 40."
                errors[name] = [ErrorDetail(detail, code="invalid")]
        if errors:
            raise ValidationError(errors)
        return values


class HttpStepSerializer(StepSerializer):
    """An HTTP call, as of a job, that can be repeated until its response is as expected."""

    step_type = StepType.HTTP
    sections = ("success", "retry")

    request = RequestSerializer(help_text="The HTTP call to make.")
    success = SuccessSerializer(required=False, help_text="Which responses count as success.")
    retry = RetrySerializer(required=False, help_text="Whether and when to retry after a failure.")
    extract = Extractions(
        child=ExtractionField(),
        default=dict,
        max_length=MAX_EXTRACTED,
        help_text="Values to take from the response, by name, for `{{steps.ID.NAME}}` in later steps.",
    )
    poll = PollSerializer(
        allow_null=True, default=None, help_text="When to call again after a success, and how long; null: one call."
    )

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            data = {**{section: {} for section in self.sections}, **data}
        return super().to_internal_value(data)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        request, poll = attrs["request"], attrs["poll"]
        errors: dict[str, Any] = {}
        if wrong := body_assertion_errors(request, attrs["success"]):
            errors["success"] = {"assertions": wrong}
        if poll and (wrong := body_assertion_errors(request, {"assertions": poll["until"]})):
            errors["poll"] = {"until": wrong}
        if request["method"] == BODILESS and attrs["extract"]:
            detail = "The response to a HEAD request has no body: extract nothing, or choose another method."
            errors["extract"] = [ErrorDetail(detail, code="conflicting")]
        if errors:
            raise ValidationError(errors)
        return attrs


class FinallyStepSerializer(HttpStepSerializer):
    """An HTTP call after the end of the workflow, however it ended."""

    poll = FinallyPollSerializer(
        allow_null=True, default=None, help_text="When to call again after a success, and how long; null: one call."
    )


class Until(Text):
    """An instant, or a text with variables that renders one."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if OPENING in text:
            check_text(text, self.context["scope"])
            return text
        at = Instant().to_internal_value(text)
        if at > self.context["now"] + datetime.timedelta(seconds=MAX_WAIT_SECONDS):
            raise ValidationError("Should be at most 366 days from now.", code="invalid")
        return instant_text(at)


class DelayStepSerializer(StepSerializer):
    """A pause, for some time or until an instant."""

    step_type = StepType.DELAY

    seconds = WaitSeconds(allow_null=True, default=None, help_text="How long to wait; null: `until` says.")
    until = Until(
        allow_null=True,
        default=None,
        max_length=MAX_UNTIL_CHARACTERS,
        help_text="When to go on: an ISO 8601 time, or text with variables that renders one; at once if it has passed. "
        "Null: `seconds` says.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs["seconds"] is None) == (attrs["until"] is None):
            given = attrs["seconds"] is not None
            detail = ErrorDetail("Give either seconds or until.", code="conflicting" if given else "required")
            raise ValidationError({"seconds": [detail]})
        return attrs


class WebhookStepSerializer(StepSerializer):
    """A wait for a request to a URL of the step's own, `{{steps.ID.resume_url}}`."""

    step_type = StepType.WEBHOOK

    timeout_seconds = WaitSeconds(default=7 * DAY_SECONDS, help_text="How long to wait.")
    on_timeout = Choice(
        choices=(OnFailure.FAIL.value, OnFailure.CONTINUE.value),
        default=OnFailure.FAIL.value,
        help_text="What the end of the wait does: the step fails, or the workflow goes on without a request.",
    )
    verify = WebhookVerifySerializer(
        default=lambda: dict(NO_WEBHOOK["verify"]), help_text="How senders prove themselves."
    )
    accept = BoundedList(
        child=AcceptConditionSerializer(),
        default=list,
        max_length=MAX_CONDITIONS,
        help_text="Conditions on `{{body.PATH}}` that must all hold; a request for which they don't is ignored.",
    )


class Message(Text):
    """A text with variables, for people."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        check_text(text, self.context["scope"])
        return text


class ApprovalStepSerializer(StepSerializer):
    """A wait for people who approve or reject."""

    step_type = StepType.APPROVAL

    message = Message(
        allow_null=True,
        default=None,
        max_length=MAX_MESSAGE_CHARACTERS,
        help_text="What is to be approved; it may contain template variables.",
    )
    approvers = BoundedList(
        child=Approver(),
        default=list,
        max_length=MAX_APPROVERS,
        help_text="Who may approve, as `role:admin` or `user:olga`; empty: whoever may run jobs.",
    )
    required = Whole(  # type: ignore[assignment]
        default=1,
        min_value=1,
        max_value=MAX_REQUIRED,
        help_text="How many people must approve; one who rejects is enough to reject.",
    )
    self_approval = Flag(default=True, help_text="Whether who started the execution may approve it.")
    form = BoundedList(
        child=FormFieldSerializer(),
        default=list,
        max_length=MAX_FORM_FIELDS,
        help_text="Fields that who approves fills in.",
    )
    timeout_seconds = WaitSeconds(default=DAY_SECONDS, help_text="How long to wait.")
    on_timeout = Choice(
        choices=("reject", OnFailure.CONTINUE.value),
        default="reject",
        help_text="What the end of the wait does: it rejects, or the workflow goes on without an approval.",
    )

    def validate_approvers(self, approvers: list[str]) -> list[str]:
        return list(dict.fromkeys(approvers))

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        errors: dict[str, Any] = {"form": wrong} if (wrong := repeated_names(attrs["form"])) else {}
        if errors:
            raise ValidationError(errors)
        check_approvers(attrs["approvers"], attrs["required"], self.context["workspace"])
        return attrs


STEP_SERIALIZERS: dict[str, type[StepSerializer]] = {
    serializer.step_type.value: serializer
    for serializer in (HttpStepSerializer, DelayStepSerializer, WebhookStepSerializer, ApprovalStepSerializer)
}
