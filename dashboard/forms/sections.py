"""The layout of the form: its sections, and which of their fields are folded away."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.forms import BaseForm, BoundField

#: Fields as wide as their section.
WIDE = frozenset(
    {
        "description", "policy", "ca_cert", "client_cert", "except_statuses", "webhook_enabled", "webhook_headers",
        "callback_url", "more", "message", "approvers", "output", "options",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FormSection:
    """`key` is used in ids; `advanced` fields are folded away while they have their defaults; a pair shares a line.

    `kind` is the kind of jobs that have the section; empty: all.
    """

    key: str
    title: str
    fields: tuple[str | tuple[str, str], ...]
    advanced: tuple[str, ...] = ()
    kind: str = ""


SECTIONS = (
    FormSection("what", "Job", ("name", "slug", "tags", "environments", "description")),
    FormSection(
        "when",
        "Schedule",
        ("schedule", "timezone"),
        (
            "starts_at", "ends_at", "misfire", "misfire_grace_seconds", "overlap", "concurrency", "dst_gap", "dst_fold",
            "jitter_seconds",
        ),
    ),
    FormSection(
        "call",
        "Request",
        (("method", "url"), "headers", "body", "timeout_seconds"),
        ("tls_verify", "ca_cert", "client_cert"),
        kind="http",
    ),
    FormSection("success", "Success criteria", ("success_statuses",), kind="http"),
    FormSection(
        "retry",
        "Retries",
        (
            "policy", "max_attempts", "on_statuses", "backoff", "delay_ms", "delays_ms", "max_delay_ms", "on_timeout",
            "on_connection_error",
        ),
        ("except_statuses", "on_assertion", "on_worker_lost", "jitter", "honor_retry_after"),
        kind="http",
    ),
    FormSection("workflow", "Workflow", (), kind="workflow"),
    FormSection(
        "webhook",
        "Webhook",
        ("webhook_enabled", "webhook_preset", "webhook_secret", "webhook_header", "webhook_headers"),
    ),
    FormSection("callback", "Callback", ("callback_url", "callback_on", "callback_include_body")),
    FormSection("history", "Retention", ("keep_last", "keep_days")),
    FormSection("where", "Environment overrides", ()),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FormLine:
    """Fields that share a line of the page's grid."""

    fields: list[BoundField]
    wide: bool


def lines_of(form: BaseForm, fields: Iterable[str | tuple[str, str]]) -> list[FormLine]:
    """Lay out fields of a form in lines."""
    lines = [(field,) if isinstance(field, str) else field for field in fields]
    return [FormLine([form[name] for name in line], line[0] in WIDE) for line in lines]
