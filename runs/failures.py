"""Why a run failed: the one list of reasons, and for each if another attempt can make sense. Pure."""

import enum


class FailureReason(enum.StrEnum):
    """The `failure_reason` of a run, as stored, shown and filtered on."""

    TIMEOUT = "timeout"
    CONNECTION_ERROR = "connection_error"
    DNS_ERROR = "dns_error"
    SSL_ERROR = "ssl_error"
    HTTP_CLIENT_ERROR = "http_client_error"
    HTTP_SERVER_ERROR = "http_server_error"
    UNEXPECTED_STATUS = "unexpected_status"
    ASSERTION_FAILED = "assertion_failed"
    INVALID_URL = "invalid_url"
    SSRF_BLOCKED = "ssrf_blocked"
    QUOTA_EXCEEDED = "quota_exceeded"
    WORKER_LOST = "worker_lost"
    NONZERO_EXIT = "nonzero_exit"
    AGENT_LOST = "agent_lost"
    REJECTED = "rejected"
    WAIT_EXPIRED = "wait_expired"
    UNKNOWN = "unknown"

    @property
    def retryable(self) -> bool:
        """If the same request could end otherwise a little later. What a job then does is its retry policy's choice."""
        return _KINDS[self][0]

    @property
    def description(self) -> str:
        """A phrase for people that completes "the run failed: ..."."""
        return _KINDS[self][1]


#: Each reason once: can a retry make sense, and what it means.
_KINDS: dict[FailureReason, tuple[bool, str]] = {
    FailureReason.TIMEOUT: (True, "no complete answer within the job's timeout"),
    FailureReason.CONNECTION_ERROR: (True, "the connection could not be made or broke off"),
    FailureReason.DNS_ERROR: (True, "the host name could not be resolved"),
    # A certificate does not mend itself within a backoff. A handshake cut off by the network is a connection error.
    FailureReason.SSL_ERROR: (False, "TLS failed, most often because the certificate is not trusted"),
    FailureReason.HTTP_CLIENT_ERROR: (True, "the endpoint answered with a 4xx status"),
    FailureReason.HTTP_SERVER_ERROR: (True, "the endpoint answered with a 5xx status"),
    FailureReason.UNEXPECTED_STATUS: (True, "the endpoint answered with a status that does not count as success"),
    FailureReason.ASSERTION_FAILED: (True, "the answer did not hold what the job asserts"),
    FailureReason.INVALID_URL: (False, "the request cannot be sent as it is written"),
    FailureReason.SSRF_BLOCKED: (False, "the address or port is not one that this installation may call"),
    FailureReason.QUOTA_EXCEEDED: (False, "the workspace's plan does not allow another run"),
    FailureReason.WORKER_LOST: (True, "the worker that held the run stopped before it ended"),
    FailureReason.NONZERO_EXIT: (True, "the command ended with an exit code other than 0"),
    FailureReason.AGENT_LOST: (True, "the agent that ran the command was not heard from again"),
    FailureReason.REJECTED: (False, "someone rejected the approval it waited for"),
    FailureReason.WAIT_EXPIRED: (False, "what it waited for did not come in time"),
    FailureReason.UNKNOWN: (False, "a fault of Hourhand's own; its log says more"),
}
