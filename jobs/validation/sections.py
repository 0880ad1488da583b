"""The nested parts of a job's definition: what to send, what counts as success, when to try again, what to keep."""

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
from jobs.definition.templates import OPENING
from jobs.errors import UnknownRetryPolicyError
from jobs.models import Backoff
from jobs.services.retry_policies import RULES, find_policy, resolved
from jobs.validation.assertions import AssertionField
from jobs.validation.fields import Body, FalseOnly, Headers, NullOnly, TargetUrl
from jobs.validation.templates import check_templates

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: It carries no body, and neither does its answer.
BODILESS = "HEAD"
MAX_ATTEMPTS = 20
MAX_DELAY_MS = 7 * 24 * 3600 * 1000
MAX_CERT_CHARACTERS = 64 * 1024
DEFAULT_KEEP_LAST = 100
_SECRET = re.compile(rf"\{{\{{\s*secrets\.{SECRET_NAME_PATTERN}\s*\}}\}}")
_STATUS = re.compile(r"[1-5][0-9]{2}|[1-5]xx")
_CONTENT_TYPE = "content-type"


class ClientCertSerializer(StrictSerializer):
    """The certificate that a call shows where its endpoint asks for one."""

    cert = Text(
        max_length=MAX_CERT_CHARACTERS,
        help_text="PEM: the certificate, and those between it and its authority; or a secret, as `{{secrets.CERT}}`.",
    )
    key = Text(max_length=MAX_CERT_CHARACTERS, help_text="A secret that holds its key in PEM: `{{secrets.KEY}}`.")

    def validate_cert(self, value: str) -> str:
        if OPENING in value:
            if not _SECRET.fullmatch(value):
                raise ValidationError("Should be PEM, or one secret, as in {{secrets.CERT}}.", code="invalid")
            return value
        try:
            x509.load_pem_x509_certificates(value.encode())
        except ValueError as error:
            raise ValidationError("Should be one or more certificates in PEM form.", code="invalid") from error
        return value

    def validate_key(self, value: str) -> str:
        if not _SECRET.fullmatch(value):
            told = "A key is never kept in a job: keep it as a secret, and write {{secrets.NAME}}."
            raise ValidationError(told, code="not_a_secret")
        return value


class RequestSerializer(StrictSerializer):
    """The HTTP call to make."""

    url = TargetUrl(max_length=2048)
    method = Choice(choices=METHODS, default="POST", help_text="The HTTP method. Redirects are followed with none.")
    headers = Headers(
        default=dict,
        help_text="By name, at most 64, and 16 KiB together; values may hold template variables.",
    )
    body = Body(allow_null=True, default=None)
    timeout_seconds = Number(
        default=30,
        min_value=1,
        max_value=300,
        help_text="How long the whole call may take, from resolving the name to the last byte of the answer.",
    )
    tls_verify = Flag(default=True, help_text="Whether the endpoint's certificate has to be trusted.")
    ca_cert = Text(
        allow_null=True,
        default=None,
        max_length=MAX_CERT_CHARACTERS,
        help_text="PEM certificates to trust instead of the usual ones; null: those.",
    )
    client_cert = ClientCertSerializer(
        allow_null=True,
        default=None,
        help_text="What to show an endpoint that asks for a client certificate; null: nothing.",
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
            if text and attrs["method"] == BODILESS:
                told = "A HEAD request carries no body: leave it out, or choose another method."
                raise ValidationError({"body": [ErrorDetail(told, code="conflicting")]})
        check_templates(attrs, self.context["workspace"])
        return attrs


def wrong_for_head(request: Mapping[str, Any], success: Mapping[str, Any]) -> dict[int, Any]:
    """What is wrong, by their places, with assertions about the body of an answer that has none."""
    if request["method"] != BODILESS:
        return {}
    told = "The answer to a HEAD request has no body: nothing can be asserted of it."
    return {
        place: {"type": [ErrorDetail(told, code="conflicting")]}
        for place, assertion in enumerate(success["assertions"])
        if assertion["type"].startswith(("body_", "json_path_"))
    }


class StatusOrClass(Text):
    """A status code or a class of them: 204, "204" or "2xx". Kept as text."""

    def to_internal_value(self, data: Any) -> str:
        text = str(data) if isinstance(data, int) and not isinstance(data, bool) else super().to_internal_value(data)
        if not _STATUS.fullmatch(text):
            raise ValidationError('Should be a status code such as "204", or a class such as "2xx".', code="invalid")
        return text


class SuccessSerializer(StrictSerializer):
    """What counts as success."""

    statuses = BoundedList(
        child=StatusOrClass(),
        min_length=1,
        max_length=50,
        default=lambda: ["2xx"],
        help_text="Codes and classes, as `204` and `2xx`.",
    )
    assertions = BoundedList(
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

    max_attempts = Whole(
        default=3,
        min_value=1,
        max_value=MAX_ATTEMPTS,
        help_text="How many attempts an execution has, the first included; 1: it is never tried again.",
    )
    backoff = Choice(
        choices=Backoff.values,
        default="exponential",
        help_text="The waits after attempts 1, 2, 3: `delay_ms` times 1, 2, 4 (`exponential`), times 1, 2, 3 "
        "(`linear`), as it is (`fixed`), or those of `delays_ms` (`list`).",
    )
    delay_ms = DelayMs(
        default=250,
        help_text="Milliseconds before the second attempt, which `backoff` multiplies; without effect for `list`.",
    )
    max_delay_ms = DelayMs(
        default=10_800_000, help_text="No wait is longer, in milliseconds, whatever `backoff` and `Retry-After` say."
    )
    delays_ms = BoundedList(
        child=DelayMs(),
        allow_null=True,
        default=None,
        min_length=1,
        max_length=MAX_ATTEMPTS,
        help_text="Milliseconds to wait after each attempt, the last as often as needed: for `list`, else null.",
    )
    jitter = Flag(default=True, help_text="Whether each wait is drawn from half of it to all of it.")
    on_statuses = BoundedList(
        child=StatusCode(),
        default=lambda: [429, 500, 502, 503, 504],
        max_length=100,
        help_text="Statuses that are tried again, of those that do not count as success.",
    )
    except_statuses = BoundedList(
        child=StatusCode(),
        default=list,
        max_length=100,
        help_text="Statuses that are not tried again, though they are in `on_statuses`.",
    )
    on_timeout = Flag(default=True, help_text="Whether to try again after `timeout`.")
    on_connection_error = Flag(default=True, help_text="Whether to try again after `connection_error`, `dns_error`.")
    on_assertion = Flag(default=False, help_text="Whether to try again after `assertion_failed`.")
    on_worker_lost = Flag(
        default=True, help_text="Whether to try again after `worker_lost`: the request may have arrived."
    )
    honor_retry_after = Flag(
        default=True,
        help_text="Whether `Retry-After` lengthens the wait, of an answer whose status is tried again.",
    )

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

    keep_last = Whole(
        default=DEFAULT_KEEP_LAST,
        min_value=1,
        max_value=100_000,
        help_text="Keep so many ended executions, the newest of all environments, and so many failed ones.",
    )
    keep_days = Whole(
        allow_null=True,
        default=None,
        min_value=1,
        max_value=3650,
        help_text="Keep those that were due within so many days as well; null: none for its age.",
    )

    def to_internal_value(self, data: Any) -> Any:
        """What is left out is within what the workspace's plan keeps."""
        if isinstance(data, Mapping) and "keep_last" not in data:
            most = retention_caps(self.context["workspace"]).keep_last
            data = {**data, "keep_last": DEFAULT_KEEP_LAST if most is None else min(most, DEFAULT_KEEP_LAST)}
        return super().to_internal_value(data)


class WebhookSerializer(StrictSerializer):
    """The inbound trigger; off until it comes."""

    enabled = FalseOnly(help_text="Only false so far.")
    url = NullOnly(help_text="Only null so far.")
    secret_set = FalseOnly(help_text="Only false so far.")
