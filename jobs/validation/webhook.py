"""The inbound webhook of a job as it is saved: how senders prove themselves, what is kept, what fires."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from accounts.models import Secret
from core.validation.fields import BoundedList, Choice, Flag, Text
from core.validation.strict import StrictSerializer
from jobs.definition.conditions import MAX_CONDITIONS, UNARY, InvalidConditionError, Operator, compile_condition
from jobs.definition.headers import is_name
from jobs.definition.webhook import MAX_KEPT_HEADERS, NO_WEBHOOK, SECRET_REFERENCE
from jobs.definition.webhook_signatures import Preset
from jobs.definition.workflow.scope import PLAIN, out_of_scope
from jobs.validation.assertions import AnyJson

MAX_VALUE_CHARACTERS = 1000
_OWN_HEADER_PREFIXES = ("authorization", "cookie", "proxy-authorization")


class ConditionSerializer(StrictSerializer):
    """One comparison of a value that the request brought."""

    value = Text(
        max_length=MAX_VALUE_CHARACTERS,
        trim_whitespace=False,
        help_text="Text with variables, such as `{{input.action}}`. A single variable keeps the type of its value.",
    )
    op = Choice(
        choices=list(Operator),
        help_text="How `value` is compared with `to`. `matches` takes an RE2 pattern, `in` a list; `gt`, `gte`, `lt` "
        "and `lte` compare numbers; `exists` and `not_exists` take no `to`.",
    )
    to = AnyJson(
        required=False,
        allow_null=True,
        help_text="Any JSON, or text with variables. Left out for `exists`, `not_exists`.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["op"] not in UNARY and "to" not in attrs:
            raise ValidationError(
                {"to": [ErrorDetail(f"{attrs['op']} needs a value to compare with.", code="required")]}
            )
        try:
            compile_condition(attrs)
        except InvalidConditionError as error:
            raise ValidationError({error.field: [ErrorDetail(str(error), code=error.code)]}) from error
        return attrs


class WebhookVerifySerializer(StrictSerializer):
    """How senders prove themselves."""

    preset = Choice(
        choices=list(Preset),
        default=Preset.NONE.value,
        help_text="Whose scheme signs the requests: `standard_webhooks` (also Svix), `github`, `stripe`, `slack`. "
        "`header` compares a header with the secret, `basic` the user and password; `none` trusts the URL alone.",
    )
    secret = Text(
        allow_null=True,
        default=None,
        max_length=100,
        help_text="The secret to verify with, as `{{secrets.NAME}}`; for `basic` it holds `user:password`.",
    )
    header = Text(
        allow_null=True,
        default=None,
        max_length=200,
        help_text="The header to compare, for the preset `header`; else null.",
    )

    def validate_secret(self, value: str | None) -> str | None:
        if value is None:
            return None
        reference = SECRET_REFERENCE.fullmatch(value)
        if reference is None:
            raise ValidationError(
                "Should name a secret, as in {{secrets.NAME}}; a job holds no secret.", code="not_a_secret"
            )
        if reference["name"] not in Secret.objects.names_in(self.context["workspace"]):
            raise ValidationError(f"There is no secret {reference['name']} in this workspace.", code="unknown_secret")
        return value

    def validate_header(self, value: str | None) -> str | None:
        if value is not None and not is_name(value):
            raise ValidationError("Is no name of a header.", code="invalid")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        preset = attrs["preset"]
        uses = {"secret": preset != Preset.NONE, "header": preset == Preset.HEADER}
        errors = {}
        for field, used in uses.items():
            if used and attrs[field] is None:
                errors[field] = [ErrorDetail(f"The preset {preset} needs a {field}.", code="required")]
            elif not used and attrs[field] is not None:
                errors[field] = [ErrorDetail(f"The preset {preset} uses no {field}: leave it out.", code="conflicting")]
        if errors:
            raise ValidationError(errors)
        return attrs


class WebhookSerializer(StrictSerializer):
    """The inbound trigger: a URL of the job's own that others call."""

    enabled = Flag(default=False, help_text="Whether requests to the URL run the job.")
    url = Text(
        read_only=True,
        allow_null=True,
        help_text="The secret URL, for who may change the job; null for others, and while the webhook is off.",
    )
    url_set = Flag(read_only=True, help_text="Whether there is a URL, shown or not.")
    verify = WebhookVerifySerializer(
        default=lambda: dict(NO_WEBHOOK["verify"]), help_text="How senders prove themselves."
    )
    headers = BoundedList(
        child=Text(max_length=100),
        default=list,
        max_length=MAX_KEPT_HEADERS,
        help_text="Headers to keep, as `{{trigger.headers.NAME}}` and in the history. No other is kept.",
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        conditions = BoundedList(
            child=ConditionSerializer(),
            default=list,
            max_length=MAX_CONDITIONS,
            help_text="Conditions that must all hold; else the request is ignored.",
        )
        return {**super().get_fields(), "if": conditions}  # `if` is no name in Python

    def validate_headers(self, names: list[str]) -> list[str]:
        for name in names:
            if not is_name(name):
                raise ValidationError(f"{name[:80]} is no name of a header.", code="invalid")
            if name.lower() in _OWN_HEADER_PREFIXES:
                raise ValidationError(f"{name} carries credentials and is never kept.", code="invalid")
        return list({name.lower(): name for name in names}.values())

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        kept = {name.lower() for name in attrs["headers"]}
        errors: dict[Any, Any] = {
            number: wrong for number, condition in enumerate(attrs["if"]) if (wrong := _unknown_in(condition, kept))
        }
        if errors:
            raise ValidationError({"if": errors})
        return attrs


def _unknown_in(condition: Mapping[str, Any], kept: set[str]) -> dict[str, Any]:
    """What is wrong with the variables of a condition: it sees what the request brought, and no secret."""
    for variable in sorted(compile_condition(condition).variables):
        if variable.startswith("secrets."):
            return {"value": [ErrorDetail("Conditions hold no secret.", code="unknown_variable")]}
        if variable.startswith("trigger.headers.") and variable.split(".", 2)[2].lower() not in kept:
            detail = f"{{{{{variable}}}}} is not kept: add the header to webhook.headers."
            return {"value": [ErrorDetail(detail, code="unknown_variable")]}
        if problem := out_of_scope([variable], PLAIN):
            return {"value": [ErrorDetail(problem, code="unknown_variable")]}
    return {}


def stored_webhook(webhook: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a version keeps: nothing where all is as in a job without a webhook, which older releases can read."""
    stored = {name: webhook[name] for name in NO_WEBHOOK}
    return None if stored == NO_WEBHOOK else stored
