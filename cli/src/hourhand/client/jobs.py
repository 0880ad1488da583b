"""Jobs of the API."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from hourhand.client.pages import filters_of, items
from hourhand.client.session import Session
from hourhand.client.types import Execution, Imported, Job, Run

#: A test call takes at most its timeout, which is up to 300 seconds, and 15 more.
_TEST_SECONDS = 330.0


class Jobs:
    """`client.jobs`. A job is named by its slug or its UUID."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, *, limit: int | None = None, **filters: Any) -> Iterator[Job]:
        """Yield jobs, at most `limit`. `filters` are those of `GET /jobs/`, such as `tag` and `search`."""
        return items(self._session, "/jobs/", filters_of(filters), limit=limit)

    def get(self, job: str) -> Job:
        found: Job = self._session.call("GET", _path(job))
        return found

    def create(self, definition: Mapping[str, Any]) -> Job:
        created: Job = self._session.call("POST", "/jobs/", body=dict(definition))
        return created

    def put(self, job: str, definition: Mapping[str, Any]) -> Job:
        """Create or replace the job with this slug."""
        saved: Job = self._session.call("PUT", _path(job), body=dict(definition))
        return saved

    def patch(self, job: str, changes: Mapping[str, Any]) -> Job:
        """Change only these fields."""
        saved: Job = self._session.call("PATCH", _path(job), body=dict(changes))
        return saved

    def delete(self, job: str, *, purge: bool = False, managed_by: str | None = None) -> None:
        """Delete a job; `purge` also removes its history. With `managed_by`, only if that is who manages it."""
        self._session.call("DELETE", _path(job), query={"purge": purge, "managed_by": managed_by})

    def run(self, job: str, **options: Any) -> Execution:
        """Run a job now. `options` are `environment`, `input`, `delay_seconds` and `callback_url`."""
        execution: Execution = self._session.call("POST", _path(job, "run"), body=options)
        return execution

    def test(self, job: str, changes: Mapping[str, Any] | None = None, **options: Any) -> Run:
        """Call a job's endpoint once, with unsaved `changes`. `options` are `environment` and `input`."""
        body = {**(changes or {}), **options}
        run: Run = self._session.call("POST", _path(job, "test"), body=body, timeout_seconds=_TEST_SECONDS)
        return run

    def pause(self, job: str, **options: Any) -> Job:
        """Pause a job. `options` are `environment`, `until` and `note`."""
        paused: Job = self._session.call("POST", _path(job, "pause"), body=options)
        return paused

    def resume(self, job: str, **options: Any) -> Job:
        """Resume a job. `options` is `environment`."""
        resumed: Job = self._session.call("POST", _path(job, "resume"), body=options)
        return resumed

    def executions(self, job: str, *, limit: int | None = None, **filters: Any) -> Iterator[Execution]:
        """Yield a job's executions, newest first."""
        return items(self._session, _path(job, "executions"), filters_of(filters), limit=limit)

    def stats(self, job: str, **filters: Any) -> dict[str, Any]:
        stats: dict[str, Any] = self._session.call("GET", _path(job, "stats"), query=filters_of(filters))
        return stats

    def versions(self, job: str, *, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield a job's versions, newest first."""
        return items(self._session, _path(job, "versions"), {}, limit=limit)

    def version(self, job: str, number: int) -> dict[str, Any]:
        version: dict[str, Any] = self._session.call("GET", _path(job, "versions", number))
        return version

    def diff(self, job: str, old: int, new: int) -> dict[str, Any]:
        """Return the fields that differ between two versions."""
        differences: dict[str, Any] = self._session.call("GET", _path(job, "versions", old, "diff", new))
        return differences

    def restore(self, job: str, number: int) -> Job:
        """Make a version the current one again, as a new version."""
        restored: Job = self._session.call("POST", _path(job, "versions", number, "restore"), body={})
        return restored

    def why(self, job: str, **query: Any) -> dict[str, Any]:
        """Explain why a job did or did not run. `query` is `at` and `environment`."""
        explanation: dict[str, Any] = self._session.call("GET", _path(job, "ledger", "at"), query=filters_of(query))
        return explanation

    def import_file(self, content: Any, *, format: str, **options: Any) -> Imported:  # noqa: A002 - the API's name
        """Import the jobs of a file. `options` are those of `POST /jobs/import/`, such as `dry_run`."""
        body = {"format": format, "content": content, **options}
        imported: Imported = self._session.call("POST", "/jobs/import/", body=body)
        return imported

    def export(self, *, format: str = "yaml") -> str:  # noqa: A002 - the API's name
        """Return all jobs as a file: `json`, `yaml` or `arazzo`."""
        return self._session.text("/jobs/export/", query={"format": format})


def _path(job: str, *parts: object) -> str:
    return "/".join(["/jobs", quote(job, safe=""), *map(str, parts), ""])
