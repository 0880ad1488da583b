"""The request that an execution sends: the job's own words and Hourhand's headers. Pure."""

import datetime
from dataclasses import dataclass, field

from jobs.definition import RequestDefinition
from runs.attempts import Sent
from runs.redaction import redact_headers


@dataclass(frozen=True, slots=True)
class Firing:
    """What a request says about its execution. `attempt` counts from 1."""

    execution_id: str
    job_slug: str
    attempt: int
    scheduled_for: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """The part of a job's request that is the same for all its executions, made once per version."""

    definition: RequestDefinition
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    redacted: dict[str, str]

    @classmethod
    def of(cls, definition: RequestDefinition, *, user_agent: str) -> "PreparedRequest":
        """`user_agent` is sent unless the job names one."""
        headers = definition.headers
        if not any(name.lower() == "user-agent" for name, _ in headers):
            headers = (*headers, ("User-Agent", user_agent))
        return cls(definition, headers, redact_headers(headers))

    def headers_for(self, firing: Firing) -> tuple[tuple[str, str], ...]:
        """Every header to send besides those that libcurl writes itself."""
        return self.headers + _own_headers(firing)

    def sent_for(self, firing: Firing) -> Sent:
        """The request as history keeps it."""
        own = {name.lower(): value for name, value in _own_headers(firing)}
        call = self.definition
        return Sent(call.method, call.url, {**self.redacted, **own}, call.body)


def _own_headers(firing: Firing) -> tuple[tuple[str, str], ...]:
    """Hourhand's own headers. None of them tells a secret."""
    own = (
        ("X-Hourhand-Execution-Id", firing.execution_id),
        ("X-Hourhand-Job", firing.job_slug),
        ("X-Hourhand-Attempt", str(firing.attempt)),
        ("Idempotency-Key", firing.execution_id),
    )
    if firing.scheduled_for is None:
        return own
    instant = firing.scheduled_for.astimezone(datetime.UTC).isoformat(timespec="milliseconds")
    return (*own, ("X-Hourhand-Scheduled-For", instant.replace("+00:00", "Z")))
