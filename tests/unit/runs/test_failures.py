"""The list of failure reasons."""

import dataclasses

from jobs.definition.contract import RetryDefinition
from runs.failures import FailureReason, RetriedBy


def test_each_reason_says_what_it_means() -> None:
    assert all(reason.description for reason in FailureReason)


def test_each_reason_has_a_retry_rule_or_is_never_retried() -> None:
    rules = {field.name for field in dataclasses.fields(RetryDefinition)}
    assert {reason.retried_by.value for reason in FailureReason} - {""} <= rules


def test_permanent_failures_are_never_retried() -> None:
    assert {reason for reason in FailureReason if reason.retried_by is RetriedBy.NOTHING} == {
        FailureReason.SSL_ERROR,
        FailureReason.EXTRACTION_FAILED,
        FailureReason.INVALID_URL,
        FailureReason.TEMPLATE_ERROR,
        FailureReason.SSRF_BLOCKED,
        FailureReason.QUOTA_EXCEEDED,
        FailureReason.NONZERO_EXIT,
        FailureReason.REJECTED,
        FailureReason.WAIT_EXPIRED,
        FailureReason.UNKNOWN,
    }


def test_the_stored_values_are_the_contract() -> None:
    assert [str(reason) for reason in FailureReason] == [
        "timeout", "connection_error", "dns_error", "ssl_error", "http_client_error", "http_server_error",
        "unexpected_status", "assertion_failed", "extraction_failed", "invalid_url", "template_error", "ssrf_blocked",
        "quota_exceeded", "worker_lost", "nonzero_exit", "agent_lost", "rejected", "wait_expired", "unknown",
    ]  # fmt: skip
