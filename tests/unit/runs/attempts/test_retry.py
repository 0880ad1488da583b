"""The verdict on a finished attempt."""

import dataclasses
import random

import pytest

from jobs.definition.contract import JobDefinition, RetryDefinition
from runs.attempts.retry import SUCCEEDED, GiveUp, RetryIn, verdict
from runs.failures import FailureReason
from tests.support.jobs import job_config

DEFAULT = JobDefinition.of(job_config()).retry


def policy(**changes) -> RetryDefinition:
    return dataclasses.replace(DEFAULT, **changes)


def judge(retry=DEFAULT, *, attempt=1, reason=FailureReason.HTTP_SERVER_ERROR, status=503, **more):
    return verdict(retry, attempt=attempt, reason=reason, status_code=status, rng=random.Random(7), **more)


def test_success_needs_no_policy():
    assert judge(reason=None, status=200) == SUCCEEDED


def test_by_default_the_first_wait_is_delay_ms_and_doubles():
    steady = policy(jitter=False)
    assert [judge(steady, attempt=attempt) for attempt in (1, 2)] == [RetryIn(250), RetryIn(500)]


def test_jitter_spreads_the_wait_over_its_upper_half():
    waits = [verdict(DEFAULT, attempt=1, reason=FailureReason.TIMEOUT, rng=random.Random(seed)) for seed in range(200)]
    assert all(125 <= wait.delay_ms <= 250 for wait in waits)
    assert len({wait.delay_ms for wait in waits}) > 50


def test_the_last_attempt_gives_up():
    assert judge(attempt=3) == GiveUp(FailureReason.HTTP_SERVER_ERROR)


@pytest.mark.parametrize("status", [400, 401, 404, 501])
def test_a_status_that_is_not_listed_is_not_retried(status):
    reason = FailureReason.HTTP_CLIENT_ERROR if status < 500 else FailureReason.HTTP_SERVER_ERROR
    assert judge(status=status, reason=reason) == GiveUp(reason)


def test_an_excepted_status_is_not_retried_though_listed():
    assert isinstance(judge(policy(except_statuses=frozenset({503}))), GiveUp)


@pytest.mark.parametrize(
    ("reason", "switch"),
    [
        (FailureReason.TIMEOUT, "on_timeout"),
        (FailureReason.CONNECTION_ERROR, "on_connection_error"),
        (FailureReason.DNS_ERROR, "on_connection_error"),
        (FailureReason.WORKER_LOST, "on_worker_lost"),
        (FailureReason.ASSERTION_FAILED, "on_assertion"),
    ],
)
def test_each_kind_of_failure_has_its_switch(reason, switch):
    assert isinstance(judge(policy(**{switch: True}), reason=reason, status=None), RetryIn)
    assert judge(policy(**{switch: False}), reason=reason, status=None) == GiveUp(reason)


@pytest.mark.parametrize("reason", [FailureReason.SSRF_BLOCKED, FailureReason.INVALID_URL, FailureReason.SSL_ERROR])
def test_permanent_failures_give_up_at_once(reason):
    assert judge(reason=reason, status=None) == GiveUp(reason)


@pytest.mark.parametrize("delay_ms", [0, 1, 250, 2000, 60_000])
@pytest.mark.parametrize(
    ("backoff", "factors"), [("exponential", [1, 2, 4, 8]), ("linear", [1, 2, 3, 4]), ("fixed", [1, 1, 1, 1])]
)
def test_the_first_wait_is_the_initial_delay(backoff, factors, delay_ms):
    steady = policy(backoff=backoff, delay_ms=delay_ms, max_attempts=9, jitter=False)
    waits = [judge(steady, attempt=attempt).delay_ms for attempt in (1, 2, 3, 4)]
    assert waits == [delay_ms * factor for factor in factors]


def test_linear_fixed_and_list_backoff():
    kinds = {
        "linear": policy(backoff="linear", max_attempts=9, jitter=False),
        "fixed": policy(backoff="fixed", max_attempts=9, jitter=False),
        "list": policy(backoff="list", delays_ms=(10, 70), max_attempts=9, jitter=False),
    }
    waits = {kind: [judge(retry, attempt=attempt).delay_ms for attempt in (1, 2, 3)] for kind, retry in kinds.items()}
    assert waits == {"linear": [250, 500, 750], "fixed": [250, 250, 250], "list": [10, 70, 70]}


def test_the_wait_is_capped():
    assert judge(policy(max_attempts=20, jitter=False, max_delay_ms=3000), attempt=19) == RetryIn(3000)


def test_retry_after_lengthens_the_wait_up_to_the_cap():
    steady = policy(jitter=False, max_delay_ms=60_000)
    assert judge(steady, retry_after_ms=5000) == RetryIn(5000)
    assert judge(steady, retry_after_ms=10_000_000) == RetryIn(60_000)
    assert judge(steady, retry_after_ms=1) == RetryIn(250)
    assert judge(policy(jitter=False, honor_retry_after=False), retry_after_ms=5000) == RetryIn(250)


@pytest.mark.parametrize("reason", [FailureReason.ASSERTION_FAILED, FailureReason.TIMEOUT])
def test_retry_after_counts_only_for_a_status_that_is_retried(reason):
    assert judge(policy(jitter=False, on_assertion=True), reason=reason, status=200, retry_after_ms=5000) == RetryIn(
        250
    )
