"""The list of failure reasons."""

from runs.failures import FailureReason


def test_each_reason_says_whether_a_retry_can_make_sense_and_what_it_means() -> None:
    for reason in FailureReason:
        assert isinstance(reason.retryable, bool)
        assert reason.description


def test_what_cannot_change_by_itself_is_not_worth_a_retry() -> None:
    assert {reason for reason in FailureReason if not reason.retryable} == {
        FailureReason.SSL_ERROR,
        FailureReason.INVALID_URL,
        FailureReason.SSRF_BLOCKED,
        FailureReason.QUOTA_EXCEEDED,
        FailureReason.REJECTED,
        FailureReason.WAIT_EXPIRED,
        FailureReason.UNKNOWN,
    }


def test_the_stored_values_are_the_contract() -> None:
    assert [str(reason) for reason in FailureReason] == [
        "timeout", "connection_error", "dns_error", "ssl_error", "http_client_error", "http_server_error",
        "unexpected_status", "assertion_failed", "invalid_url", "ssrf_blocked", "quota_exceeded", "worker_lost",
        "nonzero_exit", "agent_lost", "rejected", "wait_expired", "unknown",
    ]  # fmt: skip
