"""How the form is laid out: which fields stand together, and which only where somebody asks for them."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.forms import BaseForm, BoundField

#: Fields as wide as their section.
WIDE = frozenset({"description", "policy", "ca_cert", "client_cert", "except_statuses", "more"})


@dataclass(frozen=True, slots=True)
class FormSection:
    """A part of the form. `key` names it in the page; `advanced` fields are folded away while they say nothing.

    A pair of fields stands in one line.
    """

    key: str
    title: str
    fields: tuple[str | tuple[str, str], ...]
    advanced: tuple[str, ...] = ()


SECTIONS = (
    FormSection("what", "What it is", ("name", "slug", "tags", "environments", "description")),
    FormSection(
        "when",
        "When it fires",
        ("schedule", "timezone"),
        (
            "starts_at", "ends_at", "misfire", "misfire_grace_seconds", "overlap", "concurrency", "dst_gap", "dst_fold",
            "jitter_seconds",
        ),
    ),
    FormSection(
        "call",
        "What it calls",
        (("method", "url"), "headers", "body", "timeout_seconds"),
        ("tls_verify", "ca_cert", "client_cert"),
    ),
    FormSection("success", "What counts as success", ("success_statuses",)),
    FormSection(
        "retry",
        "When it fails",
        (
            "policy", "max_attempts", "on_statuses", "backoff", "delay_ms", "delays_ms", "max_delay_ms", "on_timeout",
            "on_connection_error",
        ),
        ("except_statuses", "on_assertion", "on_worker_lost", "jitter", "honor_retry_after"),
    ),
    FormSection("history", "Retention", ("keep_last", "keep_days")),
    FormSection("where", "Environment overrides", ()),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FormLine:
    """Fields that stand in one line of the page's grid."""

    fields: list[BoundField]
    wide: bool


def lines_of(form: BaseForm, fields: Iterable[str | tuple[str, str]]) -> list[FormLine]:
    """These fields of a form, as the page lays them out."""
    lines = [(field,) if isinstance(field, str) else field for field in fields]
    return [FormLine([form[name] for name in line], line[0] in WIDE) for line in lines]
