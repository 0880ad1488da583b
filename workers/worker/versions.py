"""A cache of job versions, each with what all its executions share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from jobs.definition.contract import JobDefinition
from jobs.definition.overrides import PerEnvironment
from jobs.definition.reading import per_environment, whole_definition_of, workflow_definition_of
from jobs.definition.templates import BrokenTemplate, RequestTemplate
from jobs.definition.workflow.contract import HttpStep, WorkflowDefinition
from runs.attempts.requests import PreparedRequest
from workers.worker.unreadable import UnreadableReason

_MAX_VERSIONS = 10_000
_MAX_BYTES = 32 * 1024 * 1024  # of request bodies, up to 1 MiB each
_VERSIONS = """
    SELECT version.id::text, job.slug, version.config
      FROM jobs_jobversion AS version JOIN jobs_job AS job ON job.id = version.job_id
     WHERE version.id = ANY(%s::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Version:
    """What all executions of a version in an environment share."""

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


@dataclass(frozen=True, slots=True)
class WorkflowVersion:
    """The same of a workflow: `calls` has what its http steps call, by their ids."""

    slug: str
    workflow: WorkflowDefinition
    calls: Mapping[str, Version]

    @classmethod
    def of(cls, slug: str, config: dict[str, Any], user_agent: str) -> "WorkflowVersion":
        workflow = workflow_definition_of(config)
        steps = (step for step in workflow.all_steps if isinstance(step, HttpStep))
        calls = {
            step.id: Version(
                slug,
                step.call,
                PreparedRequest.of(step.call.request, user_agent=user_agent),
                RequestTemplate.of(step.call.request),
            )
            for step in steps
        }
        return cls(slug, workflow, calls)


AnyVersion = Version | WorkflowVersion


class Versions:
    """Caches versions, which never change, up to limits of their number and of their bodies' size."""

    def __init__(self, user_agent: str) -> None:
        self._user_agent = user_agent
        self._cached: dict[str, PerEnvironment[AnyVersion]] = {}
        self._bytes = 0

    def read(self, cursor: Any, ids: set[str]) -> Mapping[str, PerEnvironment[AnyVersion]]:
        """The versions by id. One that can't be read is an `UnreadableReason`, and is not cached."""
        versions = {key: self._cached[key] for key in ids if key in self._cached}
        missing = ids - versions.keys()
        if missing:
            cursor.execute(_VERSIONS, [list(missing)])
            for key, slug, config in cursor.fetchall():
                versions[key] = per_environment(config, partial(self.of, slug), UnreadableReason)
                self._cache(key, versions[key])
        return versions

    def of(self, slug: str, config: dict[str, Any]) -> AnyVersion:
        """Make a version of a definition."""
        if config.get("kind") == "workflow":
            return WorkflowVersion.of(slug, config, self._user_agent)
        return Version.of(slug, config, self._user_agent)

    def _cache(self, key: str, versions: PerEnvironment[AnyVersion]) -> None:
        if any(isinstance(version, UnreadableReason) for version in versions.all):
            return
        self._cached[key] = versions
        self._bytes += _size_of(versions)
        while len(self._cached) > _MAX_VERSIONS or self._bytes > _MAX_BYTES:
            self._bytes -= _size_of(self._cached.pop(next(iter(self._cached))))


def _size_of(versions: PerEnvironment[AnyVersion]) -> int:
    calls = (call for version in versions.all for call in _calls(version))
    return sum(len(call.definition.request.body or b"") for call in calls)


def _calls(version: AnyVersion) -> Iterable[Version]:
    return version.calls.values() if isinstance(version, WorkflowVersion) else [version]
