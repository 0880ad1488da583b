"""What can't be done with executions, and why."""

from core.errors import ConflictError, HourhandError


class JobGoneError(ConflictError):
    code = "job_deleted"

    def __init__(self, slug: str) -> None:
        super().__init__(f"The job {slug} is deleted; only its original configuration can be replayed.")


class JobNotEnabledError(ConflictError):
    code = "job_not_enabled"

    def __init__(self, job: str, environment: str) -> None:
        super().__init__(f"The job {job} is not enabled in {environment}.", field="environment")


class ExecutionNotCancelableError(ConflictError):
    code = "execution_not_cancelable"

    def __init__(self, status: str) -> None:
        super().__init__(f"The execution is {status}; only one that has not ended can be canceled.")


class ExecutionNotRetryableError(ConflictError):
    code = "execution_not_retryable"

    def __init__(self, status: str) -> None:
        super().__init__(f"The execution is {status}; only one that has failed can be retried.")


class AmbiguousLedgerError(ConflictError):
    """A job has a ledger in each of its environments."""

    code = "environment_ambiguous"

    def __init__(self, slugs: list[str]) -> None:
        super().__init__(f"Name an environment: the job is in {', '.join(slugs)}.", field="environment")


class BulkOperationEndedError(ConflictError):
    code = "bulk_operation_ended"

    def __init__(self, state: str) -> None:
        super().__init__(f"The operation is {state}; only one that is running can be canceled.")


class UnavailableError(HourhandError):
    """Not possible for now, through no fault of the caller's."""

    code = "unavailable"
    status = 503


class NoWorkerError(UnavailableError):
    code = "no_worker"

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"No worker took the call within {seconds:g} seconds, and nothing was sent. Is one running? bin/up starts "
            "them; one that is draining or has lost Redis takes no calls."
        )


class BrokerAwayError(UnavailableError):
    code = "broker_away"

    def __init__(self) -> None:
        super().__init__("Redis can't be reached, so no worker can be asked; nothing was sent. Try again later.")


class CallLostError(UnavailableError):
    """A worker took a test call, and what came of it is not known."""

    code = "call_lost"


class BusyError(HourhandError):
    """Too much of it at a time; `wait` says in how many seconds to ask again."""

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
    """The worker has as many calls under way to the host, or of the workspace, as it may have."""

    code = "host_busy"

    def __init__(self, seconds: float) -> None:
        super().__init__(
            "As many calls as one worker makes at a time are under way to this host or in this workspace; nothing was "
            "sent.",
            wait=max(1, round(seconds)),
        )
