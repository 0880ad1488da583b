"""The errors of executions, runs and test calls."""

from core.errors import ConflictError, HourhandError


class JobGoneError(ConflictError):
    code = "job_deleted"

    def __init__(self, slug: str) -> None:
        super().__init__(f"The job {slug} is deleted; only its original configuration can be replayed.")


class JobNotEnabledError(ConflictError):
    code = "job_not_enabled"

    def __init__(self, job: str, environment: str) -> None:
        super().__init__(f"The job {job} is not enabled in {environment}.", field="environment")


class NotForWorkflowsError(ConflictError):
    """The verb is about the one call of a job, and a workflow has several."""

    code = "not_for_workflows"

    def __init__(self, slug: str, instead: str) -> None:
        super().__init__(f"The job {slug} is a workflow, whose calls are in its steps: {instead}.")


class ExecutionNotCancelableError(ConflictError):
    code = "execution_not_cancelable"

    def __init__(self, status: str) -> None:
        super().__init__(f"The execution is {status}; only one that has not ended can be canceled.")


class ExecutionNotRetryableError(ConflictError):
    code = "execution_not_retryable"

    def __init__(self, status: str) -> None:
        super().__init__(f"The execution is {status}; only one that has failed can be retried.")


class AmbiguousLedgerError(ConflictError):
    """A job has a ledger in each of its environments, and none was named."""

    code = "environment_ambiguous"

    def __init__(self, slugs: list[str]) -> None:
        super().__init__(f"Name an environment: the job is in {', '.join(slugs)}.", field="environment")


class CallbackPendingError(ConflictError):
    code = "callback_pending"

    def __init__(self) -> None:
        super().__init__("The callback is pending; only one that is delivered or failed can be sent again.")


class BulkOperationEndedError(ConflictError):
    code = "bulk_operation_ended"

    def __init__(self, state: str) -> None:
        super().__init__(f"The operation is {state}; only one that is running can be canceled.")


class UnavailableError(HourhandError):
    """Not possible at the moment, through no fault of the caller."""

    code = "unavailable"
    status = 503


class NoWorkerError(UnavailableError):
    code = "no_worker"

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"No worker took the call within {seconds:g} seconds; nothing was sent. Check that a worker is running "
            "(bin/up starts them): one that is draining or has lost Redis takes no calls."
        )


class BrokerAwayError(UnavailableError):
    code = "broker_away"

    def __init__(self) -> None:
        super().__init__("Redis can't be reached, so no worker can take the call; nothing was sent. Try again later.")


class CallLostError(UnavailableError):
    """A worker took a test call, and its result is unknown."""

    code = "call_lost"


class BusyError(HourhandError):
    """Too many at a time; `wait` says after how many seconds to try again."""

    code = "busy"
    status = 429

    def __init__(self, detail: str, *, wait: int) -> None:
        super().__init__(detail)
        self.wait = wait


class TooManyTestCallsError(BusyError):
    code = "too_many_test_calls"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, wait=1)


class CallCrowdedError(BusyError):
    """The worker is at its limit of calls to the host, or of the workspace."""

    code = "host_busy"

    def __init__(self, seconds: float) -> None:
        super().__init__(
            "The worker has reached its limit of concurrent calls to this host or in this workspace; nothing was sent.",
            wait=max(1, round(seconds)),
        )
