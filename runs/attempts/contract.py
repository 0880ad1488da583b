"""One attempt as values: what was claimed, what was sent and received, and how it ended. Pure.

Ids are text here, as Postgres gives and takes them: the firing path never computes with them. Every run makes all of
these, so they are named tuples: a third of the time of a frozen dataclass.
"""

import datetime
from typing import NamedTuple

from runs.attempts.retry import Verdict
from runs.failures import FailureReason

#: The id of an execution, and the number of one of its attempts. Whatever is held, renewed, aborted, given back or
#: recorded is identified by both: a worker that was stopped for a while may hold an attempt that is lost already.
AttemptKey = tuple[str, int]

#: The error of a run that was canceled in flight.
IN_FLIGHT_CANCELED = "Canceled in flight; the request may have arrived."
#: Its error once its worker has reported that nothing was sent yet.
UNSENT_CANCELED = "Canceled before the request was sent."


class Attempt(NamedTuple):
    """An execution that a worker holds. `lease_owner` and `number` are the fencing token."""

    run_id: str
    lease_owner: str
    execution_id: str
    workspace_id: str
    job_id: str
    environment_id: str
    job_environment_id: str
    job_version_id: str
    trigger: str
    number: int
    #: Of a workflow: the step that this attempt calls, and which run of that step it is, from 1.
    step: str = ""
    step_number: int = 0

    @property
    def run_number(self) -> int:
        """The number of the attempt's run: of a workflow, within its step."""
        return self.step_number or self.number

    @property
    def key(self) -> AttemptKey:
        """Identifies the attempt within the installation."""
        return self.execution_id, self.number


class Sent(NamedTuple):
    """The request as history keeps it. `headers` is a JSON object: names in lower case, values redacted."""

    method: str
    url: str
    headers: str
    body: bytes | None


class Received(NamedTuple):
    """The response, as far as it came and within the engine's limits. Its repr shows none of it.

    `headers`: names in lower case; repeated ones are joined with ", ", set-cookie with a line feed; past 200 lines or
    64 KiB the rest is left out. `body`: the first 64 KiB after content decoding. `body_bytes`: how many decoded bytes
    came, read to at most 1 MiB (and the rest of one chunk). `body_truncated`: the endpoint's whole body is longer, was
    cut, or broke off. `note`: a sentence for people on how the body was read, if there is something to say.
    """

    status_code: int
    headers: dict[str, str]
    body: bytes
    body_bytes: int
    body_truncated: bool
    http_version: str
    note: str | None = None

    def __repr__(self) -> str:
        return f"Received({self.status_code}, body_bytes={self.body_bytes}, http_version={self.http_version!r})"


class Timings(NamedTuple):
    """Whole milliseconds. None: that phase did not happen (a kept connection has no first three) or did not end.

    `dns_ms`, `connect_ms` and `tls_ms` say how long that phase took; a name whose addresses were known took 0.
    `first_byte_ms` and `total_ms` count from the start, when the request took its place among those under way.
    """

    dns_ms: int | None = None
    connect_ms: int | None = None
    tls_ms: int | None = None
    first_byte_ms: int | None = None
    total_ms: int | None = None


class Ending(NamedTuple):
    """How an attempt ended, and what follows. `started_at` and `finished_at` are on the database's clock."""

    verdict: Verdict
    failure_reason: FailureReason | None
    error: str
    started_at: datetime.datetime
    finished_at: datetime.datetime


class StepResult(NamedTuple):
    """What a workflow's step brought, and where the workflow is then.

    `output` and `extracted` are JSON; `private` is encrypted JSON of what of both is secret. `next_step` is the step
    that most likely follows. A step that polls is called until `poll_until`; `counted_runs` of it came before its last
    poll. `private` is in base64. `workflow_output`: the JSON that
    the whole workflow results in, where its success is known to end it.
    """

    next_step: str
    counted_runs: int = 0
    output: str | None = None
    extracted: str | None = None
    private: str | None = None
    poll_until: datetime.datetime | None = None
    workflow_output: str | None = None


class FinishedAttempt(NamedTuple):
    """All that is recorded of one attempt. `queue_ms`: from when it was due to its start; None: not known.

    `step` is set for the call of a workflow's step.
    """

    attempt: Attempt
    sent: Sent
    received: Received | None
    remote_ip: str | None
    queue_ms: int | None
    timings: Timings
    ending: Ending
    worker: str
    step: StepResult | None = None
