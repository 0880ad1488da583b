"""The result of a claim: the claimed row, and the attempt with its request."""

import datetime
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jobs.definition.contract import JobDefinition
from jobs.definition.workflow.contract import WorkflowDefinition
from runs.attempts.contract import Attempt, Sent
from runs.failures import FailureReason
from runs.live_tail.publish import publish
from runs.workflows.progress import StepCall
from workers.delivery.contract import DeliveryRequest

_MAX_LISTED = 20  # the most executions that a log line lists


class ClaimedRow(NamedTuple):
    """An execution as a claim's statement returns it. Ids are text; `claimed_at` is the database's clock."""

    execution_id: str
    workspace_id: str
    job_id: str
    environment_id: str
    job_environment_id: str
    job_version_id: str
    trigger: str
    attempts: int
    scheduled_for: datetime.datetime | None
    next_attempt_at: datetime.datetime
    claimed_at: datetime.datetime
    #: Of a workflow that has begun: the step it is at, and that step's runs; and when the execution started.
    step: str = ""
    step_attempts: int = 0
    started_at: datetime.datetime | None = None


class AttemptRefusal(NamedTuple):
    """Why a claimed attempt fails without being sent."""

    reason: FailureReason
    error: str


class Claimed(NamedTuple):
    """An attempt that this worker holds, and its request, which is sent unless there is a `refusal`.

    `claimed_at` is the database's clock at `claimed_monotonic`; all later instants are computed from it.
    `asked_monotonic` is from before the claim was sent: the lease ends no earlier than its duration after that.
    `queue_ms` is how long the execution had been due. `secrets` holds the values that its run must not show.
    `counted_in` is the month whose usage includes it; None if its workspace's plan does not allow it.
    `is_too_heavy`: there was no memory for its body, which was left out; the attempt is to be given back. `step` is the
    step of a workflow that it calls.
    """

    attempt: Attempt
    request: DeliveryRequest
    sent: Sent
    definition: JobDefinition
    claimed_at: datetime.datetime
    claimed_monotonic: float
    asked_monotonic: float
    queue_ms: int
    secrets: tuple[str, ...] = ()
    refusal: AttemptRefusal | None = None
    counted_in: datetime.date | None = None
    is_too_heavy: bool = False
    step: StepCall | None = None

    @property
    def retries(self) -> int:
        """Which attempt this is, as the retry policy counts."""
        return self.attempt.number if self.step is None else self.step.attempt

    @property
    def whole(self) -> JobDefinition | WorkflowDefinition:
        """The definition of its job."""
        return self.definition if self.step is None else self.step.workflow

    @property
    def is_limited(self) -> bool:
        """Whether its job has a concurrency limit."""
        return self.whole.concurrency is not None

    @property
    def bodies(self) -> tuple[bytes | None, bytes | None]:
        """The body as sent, and as history stores it: they differ only in secrets."""
        return self.request.body, self.sent.body

    def __repr__(self) -> str:
        return f"Claimed({self.request!r}, {self.claimed_at!r})"


def publish_changes(claimed: Iterable[Claimed]) -> None:
    """Publish to the live tail that these executions have changed."""
    publish((item.attempt.workspace_id, item.attempt.execution_id) for item in claimed)


def listed(claimed: Sequence[Claimed]) -> list[str]:
    """The ids of these executions, as far as a log line lists them."""
    return [item.attempt.execution_id for item in claimed[:_MAX_LISTED]]
