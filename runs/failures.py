"""The reasons why a run fails, and for each what decides whether it is retried. Pure."""

import enum


class RetriedBy(enum.Enum):
    """The field of a job's retry policy that decides whether there is another attempt."""

    NOTHING = ""  # the same request would end the same way
    STATUSES = "on_statuses"
    TIMEOUT = "on_timeout"
    CONNECTION_ERROR = "on_connection_error"
    ASSERTION = "on_assertion"
    WORKER_LOST = "on_worker_lost"


class FailureReason(enum.StrEnum):
    """The `failure_reason` of a run, as stored, shown and filtered."""

    TIMEOUT = "timeout"
    CONNECTION_ERROR = "connection_error"
    DNS_ERROR = "dns_error"
    SSL_ERROR = "ssl_error"
    HTTP_CLIENT_ERROR = "http_client_error"
    HTTP_SERVER_ERROR = "http_server_error"
    UNEXPECTED_STATUS = "unexpected_status"
    ASSERTION_FAILED = "assertion_failed"
    EXTRACTION_FAILED = "extraction_failed"
    INVALID_URL = "invalid_url"
    TEMPLATE_ERROR = "template_error"
    SSRF_BLOCKED = "ssrf_blocked"
    QUOTA_EXCEEDED = "quota_exceeded"
    WORKER_LOST = "worker_lost"
    NONZERO_EXIT = "nonzero_exit"
    AGENT_LOST = "agent_lost"
    REJECTED = "rejected"
    WAIT_EXPIRED = "wait_expired"
    UNKNOWN = "unknown"

    @property
    def retried_by(self) -> RetriedBy:
        """The field of a job's retry policy that decides whether there is another attempt."""
        return _KINDS[self][0]

    @property
    def description(self) -> str:
        """A phrase for people that completes "the run failed: ..."."""
        return _KINDS[self][1]


#: The reasons that can occur in this release: the others belong to commands.
OCCURRING = tuple(
    reason for reason in FailureReason if reason not in {FailureReason.NONZERO_EXIT, FailureReason.AGENT_LOST}
)
#: For each reason, what decides whether it is retried, and what it means.
_KINDS: dict[FailureReason, tuple[RetriedBy, str]] = {
    FailureReason.TIMEOUT: (RetriedBy.TIMEOUT, "no complete response within the job's timeout"),
    FailureReason.CONNECTION_ERROR: (RetriedBy.CONNECTION_ERROR, "the connection could not be made or broke off"),
    FailureReason.DNS_ERROR: (RetriedBy.CONNECTION_ERROR, "the host name could not be resolved"),
    # A bad certificate stays bad during a backoff. A handshake that the network cuts off is a connection error.
    FailureReason.SSL_ERROR: (RetriedBy.NOTHING, "TLS failed, most often because the certificate is not trusted"),
    FailureReason.HTTP_CLIENT_ERROR: (RetriedBy.STATUSES, "the endpoint answered with a 4xx status"),
    FailureReason.HTTP_SERVER_ERROR: (RetriedBy.STATUSES, "the endpoint answered with a 5xx status"),
    FailureReason.UNEXPECTED_STATUS: (
        RetriedBy.STATUSES,
        "the endpoint answered with a status that does not count as success",
    ),
    FailureReason.ASSERTION_FAILED: (RetriedBy.ASSERTION, "the response did not fulfil the job's assertions"),
    FailureReason.EXTRACTION_FAILED: (RetriedBy.NOTHING, "the response lacks a value that the step takes from it"),
    FailureReason.INVALID_URL: (RetriedBy.NOTHING, "the URL can't be called"),
    FailureReason.TEMPLATE_ERROR: (
        RetriedBy.NOTHING,
        "the template can't be rendered with this execution's values",
    ),
    FailureReason.SSRF_BLOCKED: (RetriedBy.NOTHING, "this installation may not call the address or port"),
    FailureReason.QUOTA_EXCEEDED: (RetriedBy.NOTHING, "the workspace's plan does not allow another run"),
    FailureReason.WORKER_LOST: (RetriedBy.WORKER_LOST, "the worker that held the run stopped before it ended"),
    FailureReason.NONZERO_EXIT: (RetriedBy.NOTHING, "the command ended with an exit code other than 0"),
    FailureReason.AGENT_LOST: (RetriedBy.WORKER_LOST, "the agent that ran the command stopped reporting"),
    FailureReason.REJECTED: (RetriedBy.NOTHING, "the approval that it waited for was rejected"),
    FailureReason.WAIT_EXPIRED: (RetriedBy.NOTHING, "its wait expired"),
    FailureReason.UNKNOWN: (RetriedBy.NOTHING, "an internal error of Hourhand; see its log"),
}
