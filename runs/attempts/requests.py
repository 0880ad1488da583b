"""The request that an execution sends: the job's own, and Hourhand's headers. Pure."""

import datetime
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from jobs.definition.contract import RequestDefinition
from runs.attempts.contract import Sent
from runs.attempts.redaction import REDACTED, is_harmless, redact_headers
from runs.postgres_text import as_json

Headers = tuple[tuple[str, str], ...]


class Firing(NamedTuple):
    """What a request's headers say about its execution. `attempt` counts from 1."""

    execution_id: str
    job_slug: str
    attempt: int
    scheduled_for: datetime.datetime | None
    #: The step of a workflow, and what tells its call from others of the execution: empty for a job's own request.
    step: str = ""
    key: str = ""

    @property
    def headers(self) -> Headers:
        """Hourhand's own headers. None holds a secret."""
        own: Headers = (
            ("X-Hourhand-Execution-Id", self.execution_id),
            ("X-Hourhand-Job", self.job_slug),
            ("X-Hourhand-Attempt", str(self.attempt)),
            ("Idempotency-Key", self.key or self.execution_id),
        )
        if self.step:
            own = (*own, ("X-Hourhand-Step", self.step))
        if self.scheduled_for is None:
            return own
        instant = self.scheduled_for.astimezone(datetime.UTC).isoformat(timespec="milliseconds")
        return (*own, ("X-Hourhand-Scheduled-For", instant.replace("+00:00", "Z")))


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """The part of a job's request that all its executions share, built once per version."""

    definition: RequestDefinition
    headers: Headers = field(repr=False)
    #: The headers as history keeps them: a JSON object, open at its end for those of an execution.
    redacted: str

    @classmethod
    def of(cls, definition: RequestDefinition, *, user_agent: str, allowed: Collection[str] = ()) -> "PreparedRequest":
        """`user_agent` is sent unless the job sets one. History shows the `allowed` headers, given in lower case."""
        headers = definition.headers
        if not any(name.lower() == "user-agent" for name, _ in headers):
            headers = (*headers, ("User-Agent", user_agent))
        return cls(definition, headers, as_json(redact_headers(headers, allowed=allowed)).removesuffix("}"))

    def sent(self, own: Headers) -> Sent:
        """The request as history keeps it, with the headers that Hourhand adds, which need no escaping."""
        call, redacted = self.definition, self.redacted
        for name, value in own:
            opening, harmless = _member(name)
            redacted += f'{opening}{value if harmless else REDACTED}"'
        return Sent(call.method, call.url, redacted + "}", call.body)


@lru_cache(maxsize=64)
def _member(name: str) -> tuple[str, bool]:
    """The JSON of one of Hourhand's headers, up to its value, and whether history shows that value."""
    return f', "{name.lower()}": "', is_harmless(name)
