"""The API's objects, with the API's own names. An object may have more fields than its type names."""

from typing import Any, Literal, TypedDict

ExecutionStatus = Literal["pending", "running", "waiting", "succeeded", "failed", "canceled", "skipped"]
#: The statuses in which an execution has ended.
TERMINAL: frozenset[str] = frozenset({"succeeded", "failed", "canceled", "skipped"})


class JobState(TypedDict, total=False):
    """A job in one environment."""

    enabled: bool
    paused: bool
    paused_until: str | None
    pause_note: str
    overrides: dict[str, Any]
    next_fire_at: str | None
    last_status: str | None
    consecutive_failures: int


class Job(TypedDict, total=False):
    """A job: what to do and when."""

    id: str
    slug: str
    name: str
    description: str
    tags: list[str]
    kind: str
    schedule: Any
    schedule_normalized: Any
    schedule_description: str | None
    schedule_type: str
    timezone: str
    starts_at: str | None
    ends_at: str | None
    jitter_seconds: int
    dst_gap: str
    dst_fold: str
    overlap: str
    misfire: str
    misfire_grace_seconds: int
    request: dict[str, Any] | None
    success: dict[str, Any] | None
    retry: dict[str, Any] | None
    callback_url: str | None
    callback: dict[str, Any] | None
    concurrency: int | None
    workflow: dict[str, Any] | None
    webhook: dict[str, Any]
    managed_by: str | None
    retention: dict[str, Any]
    environments: dict[str, JobState]
    version: int
    created_at: str
    updated_at: str
    deleted_at: str | None


class SentRequest(TypedDict, total=False):
    """The request of a run as sent, with most header values redacted."""

    method: str
    url: str
    headers: dict[str, str]
    body: str | None
    body_encoding: str


class ReceivedResponse(TypedDict, total=False):
    """The response of a run as received."""

    status_code: int
    headers: dict[str, str]
    body: str | None
    body_truncated: bool
    body_bytes: int | None
    body_note: str | None
    body_encoding: str
    http_version: str | None
    remote_ip: str | None


class Run(TypedDict, total=False):
    """One attempt of an execution: one HTTP exchange."""

    id: str
    execution: str | None
    job: str
    job_version: int | None
    environment: str
    step: str | None
    attempt: int
    trigger: str
    retry: dict[str, Any] | None
    status: str
    failure_reason: str | None
    error: str | None
    started_at: str
    finished_at: str | None
    duration_ms: int | None
    timings: dict[str, int | None]
    request: SentRequest
    response: ReceivedResponse | None
    worker: str | None


class Waiting(TypedDict, total=False):
    """What an execution waits for."""

    kind: str
    step: str
    since: str | None
    expires_at: str | None
    resume_url: str | None


class Execution(TypedDict, total=False):
    """One execution of a job. Lists leave out `input`, `output`, `steps` and `runs`."""

    id: str
    job: str
    job_id: str
    job_name: str
    job_version: int
    job_version_current: int | None
    environment: str
    trigger: str
    status: ExecutionStatus
    skip_reason: str | None
    occurrences: int
    scheduled_for: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    next_attempt_at: str | None
    pending_duration_ms: int | None
    run_duration_ms: int | None
    total_duration_ms: int | None
    lateness_ms: int | None
    attempts: int
    max_attempts: int | None
    failure_reason: str | None
    error: str | None
    replay_of: str | None
    retry_of: str | None
    final_response: dict[str, Any] | None
    waiting: Waiting | None
    callback: dict[str, Any] | None
    input: Any
    output: Any
    steps: list[dict[str, Any]]
    runs: list[Run]


class BulkOperation(TypedDict, total=False):
    """Executions selected by a filter, replayed, retried or canceled in the background."""

    id: str
    kind: str
    state: Literal["running", "completed", "canceled"]
    matched: int
    more: bool
    done: int
    skipped: int
    remaining: int
    ids: list[str]
    created_at: str
    finished_at: str | None


class BulkMatch(TypedDict):
    """What a bulk operation would process."""

    dry_run: bool
    matched: int
    more: bool
    ids: list[str]


class Secret(TypedDict):
    """A secret, without its value."""

    id: str
    name: str
    environment: str | None
    created_at: str
    updated_at: str


class SchedulePreview(TypedDict):
    """The meaning of a schedule."""

    normalized: Any
    description: str | None
    type: str
    next: list[str]
    warnings: list[str]


class ImportedItem(TypedDict, total=False):
    """What an import did, or would do, with one job of a file."""

    index: int
    line: int
    slug: str | None
    result: Literal["created", "updated", "unchanged", "failed"]
    revision: str | None
    changes: list[dict[str, Any]]
    firings: dict[str, dict[str, list[str]]]
    notes: list[str]
    errors: list[dict[str, Any]]


class Imported(TypedDict):
    """The result of an import."""

    created: int
    updated: int
    unchanged: int
    failed: int
    items: list[ImportedItem]
