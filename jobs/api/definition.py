"""The nested parts of a job's definition: what to send, what counts as success, when to try again, what to keep."""

import json
import re
import ssl
from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from accounts.plans import retention_caps
from jobs.api.assertions import AssertionField
from jobs.api.fields import Body, Headers, NullOnly, TargetUrl, only
from jobs.api.templates import check_templates
from jobs.assertions import MAX_ASSERTIONS
from jobs.errors import UnknownRetryPolicyError
from jobs.models import Backoff
from jobs.retry_policies import RULES, find_policy, resolved
from scheduler_project.api.fields import Choice, Flag, Number, Text, Whole
from scheduler_project.api.strict import StrictSerializer

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MAX_ATTEMPTS = 20
MAX_DELAY_MS = 7 * 24 * 3600 * 1000
MAX_CERT_CHARACTERS = 64 * 1024
DEFAULT_KEEP_LAST = 100
_STATUS = re.compile(r"[1-5][0-9]{2}|[1-5]xx")
_CONTENT_TYPE = "content-type"


class RequestSerializer(StrictSerializer):
    """The HTTP call to make."""

    url = TargetUrl(max_length=2048)
    method = Choice(choices=METHODS, default="POST")
    headers = Headers(default=dict)
    body = Body(allow_null=True, default=None)
    timeout_seconds = Number(default=30, min_value=1, max_value=300)
    tls_verify = Flag(default=True)
    ca_cert = Text(
        allow_null=True, default=None, max_length=MAX_CERT_CHARACTERS, help_text="PEM certificates to trust instead."
    )

    def validate_ca_cert(self, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=value)
        except (ssl.SSLError, ValueError, TypeError) as error:  # TypeError: it holds more than ASCII
            raise ValidationError("Should be one or more certificates in PEM form.", code="invalid") from error
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Keep a JSON body as its text, with its content type unless the caller gave one."""
        body = attrs["body"]
        if body is not None:
            text, is_json = body
            headers = attrs["headers"]
            if is_json and not any(name.lower() == _CONTENT_TYPE for name in headers):
                headers = {**headers, "Content-Type": "application/json"}
            attrs = {**attrs, "body": text, "headers": headers}
        check_templates(attrs, self.context["workspace"])
        return attrs


class StatusOrClass(Text):
    """A status code or a class of them: 204, "204" or "2xx". Kept as text."""

    def to_internal_value(self, data: Any) -> str:
        text = str(data) if isinstance(data, int) and not isinstance(data, bool) else super().to_internal_value(data)
        if not _STATUS.fullmatch(text):
            raise ValidationError('Should be a status code such as "204", or a class such as "2xx".', code="invalid")
        return text


class SuccessSerializer(StrictSerializer):
    """What counts as success."""

    statuses = serializers.ListField(
        child=StatusOrClass(), min_length=1, max_length=50, default=lambda: ["2xx"], help_text="Codes and classes."
    )
    assertions = serializers.ListField(
        child=AssertionField(), default=list, max_length=MAX_ASSERTIONS, help_text="What else must hold of the answer."
    )


class StatusCode(Whole):
    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=100, max_value=599, **options)


class DelayMs(Whole):
    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_value=MAX_DELAY_MS, **options)


class RetryRulesSerializer(StrictSerializer):
    """When to try again, and after how long."""

    max_attempts = Whole(default=3, min_value=1, max_value=MAX_ATTEMPTS)
    backoff = Choice(choices=Backoff.values, default="exponential")
    delay_ms = DelayMs(default=250)
    max_delay_ms = DelayMs(default=10_800_000)
    delays_ms = serializers.ListField(
        child=DelayMs(), allow_null=True, default=None, min_length=1, max_length=MAX_ATTEMPTS
    )
    jitter = Flag(default=True)
    on_statuses = serializers.ListField(child=StatusCode(), default=lambda: [429, 500, 502, 503, 504], max_length=100)
    except_statuses = serializers.ListField(child=StatusCode(), default=list, max_length=100)
    on_timeout = Flag(default=True)
    on_connection_error = Flag(default=True)
    on_assertion = Flag(default=False)
    on_worker_lost = Flag(default=True)
    honor_retry_after = Flag(default=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        is_list = attrs["backoff"] == "list"
        if is_list and attrs["delays_ms"] is None:
            raise ValidationError({"delays_ms": [ErrorDetail('Needed for the backoff "list".', code="required")]})
        if not is_list and attrs["delays_ms"] is not None:
            detail = ErrorDetail('Only for the backoff "list"; else null.', code="conflicting")
            raise ValidationError({"delays_ms": [detail]})
        return attrs


class RetrySerializer(RetryRulesSerializer):
    """When to try again, and after how long: the rules of a retry policy, or of the job's own."""

    policy = Text(
        allow_null=True,
        default=None,
        max_length=100,
        help_text="The slug of a retry policy, whose rules then stand in the fields below. What is sent in those has "
        "to agree.",
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        return {"policy": fields.pop("policy"), **fields}

    def to_internal_value(self, data: Any) -> Any:
        attrs: dict[str, Any] = super().to_internal_value(data)
        return attrs if attrs["policy"] is None else self._of_policy(attrs, given=data)

    def _of_policy(self, attrs: dict[str, Any], *, given: Mapping[str, Any]) -> dict[str, Any]:
        """The policy's rules. A `given` one that says otherwise would change nothing, so it is refused."""
        try:
            found = resolved(attrs, find_policy(self.context["workspace"], attrs["policy"]))
        except UnknownRetryPolicyError as error:
            raise ValidationError({"policy": [ErrorDetail(error.detail, code=error.code)]}) from error
        vain = [rule for rule in RULES if rule in given and attrs[rule] != found[rule]]
        if vain:
            raise ValidationError({rule: [_overruled(found["policy"], found[rule])] for rule in vain})
        return found


def _overruled(policy: str, value: Any) -> ErrorDetail:
    told = f"The retry policy {policy} says {json.dumps(value)} here. Change the policy, or set retry.policy to null."
    return ErrorDetail(told, code="conflicting")


class RetentionSerializer(StrictSerializer):
    """How much history to keep."""

    keep_last = Whole(default=DEFAULT_KEEP_LAST, min_value=1, max_value=100_000)
    keep_days = Whole(allow_null=True, default=None, min_value=1, max_value=3650)

    def to_internal_value(self, data: Any) -> Any:
        """What is left out is within what the workspace's plan keeps."""
        if isinstance(data, Mapping) and "keep_last" not in data:
            most = retention_caps(self.context["workspace"]).keep_last
            data = {**data, "keep_last": DEFAULT_KEEP_LAST if most is None else min(most, DEFAULT_KEEP_LAST)}
        return super().to_internal_value(data)


class WebhookSerializer(StrictSerializer):
    """The inbound trigger; off until it comes."""

    enabled = Flag(default=False, validators=[only(False)])
    url = NullOnly(help_text="Only null so far.")
    secret_set = Flag(default=False, validators=[only(False)])
