"""What can't be done with executions, and why."""

from accounts.errors import ConflictError


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
