"""What a finished attempt means: succeeded, try again, or give up. Pure: randomness is an argument."""

import random
from dataclasses import dataclass

from jobs.definition.contract import RetryDefinition
from runs.failures import FailureReason, RetriedBy


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The execution is done."""


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Another attempt, `delay_ms` from now."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The execution has failed for good."""

    reason: FailureReason


@dataclass(frozen=True, slots=True)
class Canceled:
    """The execution was canceled: neither a success nor a failure. `sent`: its request may have been sent."""

    sent: bool = True


@dataclass(frozen=True, slots=True)
class StepDone:
    """A workflow's step is over, and the workflow decides what follows. `reason` is None if the step succeeded."""

    reason: FailureReason | None


@dataclass(frozen=True, slots=True)
class PollIn:
    """A workflow's step succeeded without what it polls for. It calls again, `delay_ms` from now."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class StepCanceled:
    """A workflow's step was canceled, and its `finally` is to run. `sent`: as of Canceled."""

    sent: bool = True


Verdict = Succeeded | RetryIn | GiveUp | Canceled | StepDone | PollIn | StepCanceled
SUCCEEDED = Succeeded()


def verdict(
    policy: RetryDefinition,
    *,
    attempt: int,
    reason: FailureReason | None,
    status_code: int | None = None,
    retry_after_ms: int | None = None,
    rng: random.Random,
) -> Verdict:
    """Decide what follows attempt number `attempt` (1-based), which ended with `reason` (None: it succeeded).

    `retry_after_ms` is the response's own wish. If its status is what failed, it can lengthen the wait, up to the
    policy's maximum.
    """
    if reason is None:
        return SUCCEEDED
    if attempt >= policy.max_attempts or not _worth_retrying(policy, reason, status_code):
        return GiveUp(reason)
    delay_ms = _backoff_ms(policy, attempt, rng)
    if policy.honor_retry_after and retry_after_ms is not None and reason.retried_by is RetriedBy.STATUSES:
        delay_ms = max(delay_ms, min(retry_after_ms, policy.max_delay_ms))
    return RetryIn(delay_ms)


def _worth_retrying(policy: RetryDefinition, reason: FailureReason, status_code: int | None) -> bool:
    match reason.retried_by:
        case RetriedBy.NOTHING:
            return False
        case RetriedBy.STATUSES:
            return status_code in policy.on_statuses and status_code not in policy.except_statuses
        case switch:
            return bool(getattr(policy, switch.value))


def _backoff_ms(policy: RetryDefinition, attempt: int, rng: random.Random) -> int:
    """The wait after attempt `attempt`: capped, then spread over its upper half if jitter is on.

    `delay_ms` is the wait after the first attempt; exponential doubles it each time, linear adds it. A list repeats its
    last entry.
    """
    match policy.backoff:
        case "exponential":
            delay = policy.delay_ms * 2 ** (attempt - 1)
        case "linear":
            delay = policy.delay_ms * attempt
        case "list":
            delay = policy.delays_ms[min(attempt, len(policy.delays_ms)) - 1]
        case _:
            delay = policy.delay_ms
    delay = min(delay, policy.max_delay_ms)
    return round(delay * rng.uniform(0.5, 1.0)) if policy.jitter else delay
