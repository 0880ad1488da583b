"""The sections of a job's definition: request, success, retry and retention."""

import json
import re
import ssl
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from accounts.names import SECRET_NAME_PATTERN
from accounts.plans import retention_caps
from core.validation.fields import BoundedList, Choice, Flag, Number, Text, Whole
from core.validation.strict import StrictSerializer
from jobs.definition.assertions import MAX_ASSERTIONS
from jobs.definition.facts import OPENING
from jobs.definition.workflow.scope import PLAIN
from jobs.errors import UnknownRetryPolicyError
from jobs.models import Backoff
from jobs.services.retry_policies import RULES, find_policy, resolved
from jobs.validation.assertions import AssertionField
from jobs.validation.fields import Body, Headers, TargetUrl
from jobs.validation.templates import check_templates

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: Neither the request nor the response has a body.
BODILESS = "HEAD"
MAX_ATTEMPTS = 20
MAX_DELAY_MS = 7 * 24 * 3600 * 1000
MAX_CERT_CHARACTERS = 64 * 1024
DEFAULT_KEEP_LAST = 100
_SECRET = re.compile(rf"\{{\{{\s*secrets\.{SECRET_NAME_PATTERN}\s*\}}\}}")
_STATUS = re.compile(r"[1-5][0-9]{2}|[1-5]xx")
_CONTENT_TYPE = "content-type"


class ClientCertSerializer(StrictSerializer):
    """The client certificate of a call, for endpoints that ask for one."""

    cert = Text(
        max_length=MAX_CERT_CHARACTERS,
        help_text="PEM: the certificate and its intermediate certificates; or a secret, as in `{{secrets.CERT}}`.",
    )
    key = Text(max_length=MAX_CERT_CHARACTERS, help_text="A secret with its key in PEM, as in `{{secrets.KEY}}`.")

    def validate_cert(self, value: str) -> str:
        if OPENING in value:
            if not _SECRET.fullmatch(value):
                raise ValidationError("Should be PEM, or a secret, as in {{secrets.CERT}}.", code="invalid")
            return value
        try:
            x509.load_pem_x509_certificates(value.encode())
        except ValueError as error:
            raise ValidationError("Should be one or more certificates in PEM form.", code="invalid") from error
        return value

    def validate_key(self, value: str) -> str:
        if not _SECRET.fullmatch(value):
            problem = "Should be a secret, as in {{secrets.NAME}}: jobs never store a key."
            raise ValidationError(problem, code="not_a_secret")
        return value


class RequestSerializer(StrictSerializer):
    """The HTTP call to make.

    The context has `workspace` and, for a step of a workflow, `scope`.
    """

    url = TargetUrl(max_length=2048)
    method = Choice(choices=METHODS, default="POST", help_text="The HTTP method. Redirects are never followed.")
    headers = Headers(
        default=dict,
        help_text="By name: at most 64, and 16 KiB in total. Values may contain template variables.",
    )
    body = Body(allow_null=True, default=None)
    timeout_seconds = Number(
        default=30,
        min_value=1,
        max_value=300,
        help_text="The timeout of the whole call, from resolving the name to the last byte of the response.",
    )
    tls_verify = Flag(default=True, help_text="Whether to verify the endpoint's certificate.")
    ca_cert = Text(
        allow_null=True,
        default=None,
        max_length=MAX_CERT_CHARACTERS,
        help_text="PEM certificates to trust instead of the usual authorities; null: the usual ones.",
    )
    client_cert = ClientCertSerializer(
        allow_null=True,
        default=None,
        help_text="The client certificate for an endpoint that asks for one; null: none.",
    )

    def validate_ca_cert(self, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=value)
        except (ssl.SSLError, ValueError, TypeError) as error:  # TypeError: not ASCII
            raise ValidationError("Should be one or more certificates in PEM form.", code="invalid") from error
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Replace a JSON body by its text, and add its content type unless one is given."""
        body = attrs["body"]
        if body is not None:
            text, is_json = body
            headers = attrs["headers"]
            if is_json and not any(name.lower() == _CONTENT_TYPE for name in headers):
                headers = {**headers, "Content-Type": "application/json"}
            attrs = {**attrs, "body": text, "headers": headers}
            if text and attrs["method"] == BODILESS:
                problem = "A HEAD request has no body: leave it out, or choose another method."
                raise ValidationError({"body": [ErrorDetail(problem, code="conflicting")]})
        check_templates(attrs, self.context["workspace"], self.context.get("scope", PLAIN))
        return attrs


def body_assertion_errors(request: Mapping[str, Any], success: Mapping[str, Any]) -> dict[int, Any]:
    """Return errors, by index, for assertions about the body of a response to HEAD, which has none."""
    if request["method"] != BODILESS:
        return {}
    problem = "The response to a HEAD request has no body to check: remove this assertion, or choose another method."
    return {
        index: {"type": [ErrorDetail(problem, code="conflicting")]}
        for index, assertion in enumerate(success["assertions"])
        if assertion["type"].startswith(("body_", "json_path_"))
    }


class StatusOrClass(Text):
    """A status code or a class of codes: 204, "204" or "2xx". Stored as text."""

    def to_internal_value(self, data: Any) -> str:
        text = str(data) if isinstance(data, int) and not isinstance(data, bool) else super().to_internal_value(data)
        if not _STATUS.fullmatch(text):
            raise ValidationError('Should be a status code such as "204", or a class such as "2xx".', code="invalid")
        return text


class SuccessSerializer(StrictSerializer):
    """Which responses count as success."""

    statuses = BoundedList(
        child=StatusOrClass(),
        min_length=1,
        max_length=50,
        default=lambda: ["2xx"],
        help_text="Codes and classes, such as `204` and `2xx`.",
    )
    assertions = BoundedList(
        child=AssertionField(), default=list, max_length=MAX_ASSERTIONS, help_text="Further conditions on the response."
    )


class StatusCode(Whole):
    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=100, max_value=599, **options)


class DelayMs(Whole):
    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_value=MAX_DELAY_MS, **options)


class RetryRulesSerializer(StrictSerializer):
    """When to retry, and after how long."""

    max_attempts = Whole(
        default=3,
        min_value=1,
        max_value=MAX_ATTEMPTS,
        help_text="The most attempts of an execution, the first included; 1: no retry.",
    )
    backoff = Choice(
        choices=Backoff.values,
        default="exponential",
        help_text="The delays after attempts 1, 2, 3: `delay_ms` times 1, 2, 4 (`exponential`), times 1, 2, 3 "
        "(`linear`), times 1 (`fixed`), or those of `delays_ms` (`list`).",
    )
    delay_ms = DelayMs(
        default=250,
        help_text="Milliseconds before the second attempt, multiplied by `backoff`; unused by `list`.",
    )
    max_delay_ms = DelayMs(
        default=10_800_000, help_text="The longest delay, in milliseconds, whatever `backoff` and `Retry-After` say."
    )
    delays_ms = BoundedList(
        child=DelayMs(),
        allow_null=True,
        default=None,
        min_length=1,
        max_length=MAX_ATTEMPTS,
        help_text="Milliseconds to wait after each attempt, for `list`, else null. The last one repeats.",
    )
    jitter = Flag(default=True, help_text="Whether each delay is random, between half of it and all of it.")
    on_statuses = BoundedList(
        child=StatusCode(),
        default=lambda: [429, 500, 502, 503, 504],
        max_length=100,
        help_text="Statuses to retry, among those that do not count as success.",
    )
    except_statuses = BoundedList(
        child=StatusCode(),
        default=list,
        max_length=100,
        help_text="Statuses not to retry, even if they are in `on_statuses`.",
    )
    on_timeout = Flag(default=True, help_text="Whether to retry after `timeout`.")
    on_connection_error = Flag(default=True, help_text="Whether to retry after `connection_error` and `dns_error`.")
    on_assertion = Flag(default=False, help_text="Whether to retry after `assertion_failed`.")
    on_worker_lost = Flag(default=True, help_text="Whether to retry after `worker_lost`: the request may have arrived.")
    honor_retry_after = Flag(
        default=True,
        help_text="Whether the `Retry-After` of a response that is retried lengthens the delay.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        is_list = attrs["backoff"] == "list"
        if is_list and attrs["delays_ms"] is None:
            raise ValidationError({"delays_ms": [ErrorDetail('Required for the backoff "list".', code="required")]})
        if not is_list and attrs["delays_ms"] is not None:
            detail = ErrorDetail('Only allowed for the backoff "list".', code="conflicting")
            raise ValidationError({"delays_ms": [detail]})
        return attrs


class RetrySerializer(RetryRulesSerializer):
    """When to retry, and after how long: the job's own rules, or those of a retry policy."""

    policy = Text(
        allow_null=True,
        default=None,
        max_length=100,
        help_text="The slug of a retry policy, whose rules then fill the fields below. A field that is sent must have "
        "the policy's value.",
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        return {"policy": fields.pop("policy"), **fields}

    def to_internal_value(self, data: Any) -> Any:
        attrs: dict[str, Any] = super().to_internal_value(data)
        return attrs if attrs["policy"] is None else self._resolve_policy(attrs, given=data)

    def _resolve_policy(self, attrs: dict[str, Any], *, given: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in the policy's rules. Refuses a `given` rule that differs, since it would have no effect."""
        try:
            rules = resolved(attrs, find_policy(self.context["workspace"], attrs["policy"]))
        except UnknownRetryPolicyError as error:
            raise ValidationError({"policy": [ErrorDetail(error.detail, code=error.code)]}) from error
        conflicting = [rule for rule in RULES if rule in given and attrs[rule] != rules[rule]]
        if conflicting:
            raise ValidationError({rule: [_policy_conflict(rules["policy"], rules[rule])] for rule in conflicting})
        return rules


def _policy_conflict(policy: str, value: Any) -> ErrorDetail:
    problem = f"The retry policy {policy} has {json.dumps(value)} here. Change the policy, or set retry.policy to null."
    return ErrorDetail(problem, code="conflicting")


class RetentionSerializer(StrictSerializer):
    """How much history to keep."""

    keep_last = Whole(
        default=DEFAULT_KEEP_LAST,
        min_value=1,
        max_value=100_000,
        help_text="How many ended executions to keep, the newest in all environments, and how many failed ones.",
    )
    keep_days = Whole(
        allow_null=True,
        default=None,
        min_value=1,
        max_value=3650,
        help_text="Also keep executions that were due within this many days; null: none by age.",
    )

    def to_internal_value(self, data: Any) -> Any:
        """Default `keep_last` to what the workspace's plan keeps, if that is less."""
        if isinstance(data, Mapping) and "keep_last" not in data:
            most = retention_caps(self.context["workspace"]).keep_last
            data = {**data, "keep_last": DEFAULT_KEEP_LAST if most is None else min(most, DEFAULT_KEEP_LAST)}
        return super().to_internal_value(data)
