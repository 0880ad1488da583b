"""Versions of jobs that this worker has read lately, each with what is the same for all its executions."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from jobs.definition.contract import JobDefinition
from jobs.definition.overrides import PerEnvironment
from jobs.definition.reading import per_environment, whole_definition_of
from jobs.definition.templates import BrokenTemplate, RequestTemplate
from runs.attempts.requests import PreparedRequest
from workers.worker.unread import Unread

_MOST = 10_000
_MOST_BYTES = 32 * 1024 * 1024  # of request bodies, which may be 1 MiB each
_VERSIONS = """
    SELECT version.id::text, job.slug, version.config
      FROM jobs_jobversion AS version JOIN jobs_job AS job ON job.id = version.job_id
     WHERE version.id = ANY(%s::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Version:
    """What is the same for every execution of a version in an environment."""

    slug: str
    definition: JobDefinition
    prepared: PreparedRequest
    template: RequestTemplate | BrokenTemplate | None

    @classmethod
    def of(cls, slug: str, config: dict[str, Any], user_agent: str) -> "Version":
        definition = whole_definition_of(config)
        call = definition.request
        prepared = PreparedRequest.of(call, user_agent=user_agent)
        return cls(slug, definition, prepared, RequestTemplate.of(call))


class Versions:
    """Remembers what it has read, within limits of their number and of their bodies' size; the oldest go first."""

    def __init__(self, user_agent: str) -> None:
        self._user_agent = user_agent
        self._known: dict[str, PerEnvironment[Version]] = {}
        self._bytes = 0

    def read(self, cursor: Any, ids: set[str]) -> Mapping[str, PerEnvironment[Version]]:
        """Those with these ids. What can't be read is an `Unread`, and is read anew each time."""
        found = {key: self._known[key] for key in ids if key in self._known}
        missing = ids - found.keys()
        if missing:
            cursor.execute(_VERSIONS, [list(missing)])
            for key, slug, config in cursor.fetchall():
                found[key] = per_environment(config, partial(self.of, slug), Unread)
                self._remember(key, found[key])
        return found

    def of(self, slug: str, config: dict[str, Any]) -> Version:
        """What a definition comes to."""
        return Version.of(slug, config, self._user_agent)

    def _remember(self, key: str, version: PerEnvironment[Version]) -> None:
        if any(isinstance(made, Unread) for made in version.all):
            return
        self._known[key] = version
        self._bytes += _size_of(version)
        while len(self._known) > _MOST or self._bytes > _MOST_BYTES:
            self._bytes -= _size_of(self._known.pop(next(iter(self._known))))


def _size_of(version: PerEnvironment[Version]) -> int:
    return sum(len(made.definition.request.body or b"") for made in version.all)
