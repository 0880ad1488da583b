"""What applying files would change: computed by the server, put together here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hourhand.client import Client
from hourhand.client.types import Job

CREATED, UPDATED, UNCHANGED, FAILED, REMOVED = "created", "updated", "unchanged", "failed", "removed"


@dataclass(frozen=True)
class JobFile:
    """A file of jobs: its name, its text and the format that the import takes it as."""

    name: str
    text: str
    kind: str


@dataclass(frozen=True)
class Settings:
    """How files are applied. `owner` is the `managed_by` of their jobs; None: none is set."""

    owner: str | None = None
    prunes: bool = False
    environment: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Return the options of each import."""
        where = {} if self.environment is None else {"environment": self.environment}
        return {"managed_by": self.owner, **where}


@dataclass(frozen=True)
class PlannedJob:
    """What would happen to one job of a file. `item` is the server's answer about it."""

    file: JobFile
    item: Any

    @property
    def result(self) -> str:
        return str(self.item["result"])

    @property
    def name(self) -> str:
        return str(self.item["slug"] or f"job {self.item['index'] + 1}")


@dataclass(frozen=True)
class Plan:
    """What would happen to the jobs of all files. `surplus` are jobs of the owner that no file has."""

    jobs: tuple[PlannedJob, ...]
    surplus: tuple[Job, ...]
    settings: Settings

    @property
    def removed(self) -> tuple[Job, ...]:
        return self.surplus if self.settings.prunes else ()

    def count(self, result: str) -> int:
        return len(self.removed) if result == REMOVED else sum(job.result == result for job in self.jobs)

    @property
    def has_changes(self) -> bool:
        return any(self.count(result) for result in (CREATED, UPDATED, REMOVED))

    def revisions_of(self, file: JobFile) -> dict[str, str | None]:
        """Return what the plan knows of the jobs of a file, for the server to compare when they are applied."""
        return {job.item["slug"]: job.item["revision"] for job in self.jobs if job.file is file}

    def files(self) -> list[JobFile]:
        """Return the files with jobs to create or change."""
        files = {job.file.name: job.file for job in self.jobs if job.result in {CREATED, UPDATED}}
        return list(files.values())

    def as_object(self) -> dict[str, Any]:
        """Return the plan for JSON and YAML."""
        counts = {result: self.count(result) for result in (CREATED, UPDATED, UNCHANGED, FAILED, REMOVED)}
        return {**counts, "jobs": list(self.entries())}

    def entries(self) -> Iterator[dict[str, Any]]:
        for job in self.jobs:
            yield {"file": job.file.name, **job.item}
        for surplus in self.removed:
            yield {"file": None, "slug": surplus["slug"], "result": REMOVED, "managed_by": self.settings.owner}


def make_plan(client: Client, files: Sequence[JobFile], settings: Settings) -> Plan:
    """Ask the server what an import of each file would do, and which jobs of the owner no file has."""
    jobs: list[PlannedJob] = []
    seen: dict[str, JobFile] = {}
    for file in files:
        imported = client.jobs.import_file(file.text, format=file.kind, dry_run=True, **settings.options)
        jobs += [PlannedJob(file, _unless_repeated(item, file, seen)) for item in imported["items"]]
    surplus: list[Job] = []
    if settings.owner is not None:
        surplus = [job for job in client.jobs.list(managed_by=settings.owner, sort="name") if job["slug"] not in seen]
    return Plan(tuple(jobs), tuple(surplus), settings)


def _unless_repeated(item: Any, file: JobFile, seen: dict[str, JobFile]) -> Any:
    """Return what the server says of a job, or that another file has it too."""
    slug = item["slug"]
    if slug is None:
        return item
    other = seen.setdefault(slug, file)
    if other is file:
        return item
    error = {"field": "slug", "code": "repeated", "detail": f"{other.name} has a job with this slug too."}
    return {**item, "result": FAILED, "changes": [], "firings": {}, "errors": [error]}
