"""The page of one job: what it does, when it fires next, how it is in each environment, what happened lately."""

import datetime
import json
import uuid
import zoneinfo
from typing import TYPE_CHECKING, Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.admin.access import access_of
from accounts.differences import differing
from jobs.admin.words import is_paused, job_preview, place_look, place_words
from jobs.api.shown import shown_overrides
from jobs.api.versions import Slugs, spelled
from jobs.models import Job, JobEnvironment, JobVersion
from scheduler_project.dashboard import chips

if TYPE_CHECKING:
    from jobs.admin.job import JobAdmin

_FIRINGS = 10
_EXECUTIONS = 20
_VERSIONS = 10
_SHOWN_CHARACTERS = 200


def parsed(reference: str) -> uuid.UUID:
    """The UUID in an address. Raises Http404 for anything else."""
    try:
        return uuid.UUID(reference)
    except ValueError as error:
        raise Http404 from error


def job_in_sight(request: HttpRequest, job_id: uuid.UUID) -> Job:
    """The job of this address, with its definition. Raises Http404 when it is deleted or somebody else's."""
    jobs = Job.objects.live().select_related("workspace", "current_version__created_by")
    job = access_of(request).narrow(jobs).filter(pk=job_id).first()
    if job is None or job.current_version is None:
        raise Http404
    return job


def definition_of(job: Job) -> dict[str, Any]:
    """The definition of a job in sight, which always has one."""
    config: dict[str, Any] = job.current_version.config if job.current_version else {}
    return config


def base_context(job_admin: "JobAdmin", request: HttpRequest, *, title: str) -> dict[str, Any]:
    """What every page of the dashboard around a job needs."""
    request.current_app = job_admin.admin_site.name
    return {**job_admin.admin_site.each_context(request), "opts": job_admin.opts, "title": title}


def show(job_admin: "JobAdmin", request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    job, now = job_in_sight(request, job_id), timezone.now()
    config = definition_of(job)
    executions = list(job.executions.light().select_related("environment").order_by("-due_at", "-pk")[:_EXECUTIONS])
    slugs = {one.pk: one.slug for one in job.workspace.environments.all()}
    context = {
        **base_context(job_admin, request, title=job.name),
        "original": job,
        "job": job,
        "config": config,
        "headers": config["request"]["headers"].items(),
        "preview": job_preview(config, anchor=job.created_at, now=now, count=_FIRINGS),
        "zone": zoneinfo.ZoneInfo(config["timezone"]),
        "now_at": now,
        "places": [_Place(row, now, shown_overrides(config, row.environment_id)) for row in _environments(job)],
        "executions": executions,
        "strip": executions[::-1],
        "versions": _versions(job, slugs),
        "may_change": access_of(request).writes(job.workspace_id),
    }
    return TemplateResponse(request, "admin/jobs/job/page.html", context)


def _versions(job: Job, slugs: Slugs) -> list["_ShownVersion"]:
    """The latest versions, each with what it changed."""
    found = list(job.versions.numbered().select_related("created_by")[: _VERSIONS + 1])
    before = [*found[1:], None]
    return [_ShownVersion(one, old, slugs) for one, old in zip(found, before, strict=True)][:_VERSIONS]


class _ShownVersion:
    def __init__(self, version: JobVersion, before: JobVersion | None, slugs: Slugs) -> None:
        self.version = version
        found = differing(spelled(before, slugs), spelled(version, slugs)) if before else ()
        self.changes = [(path, _short(old), _short(new)) for path, old, new in found]


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return written if len(written) <= _SHOWN_CHARACTERS else f"{written[:_SHOWN_CHARACTERS]}…"


def _environments(job: Job) -> Any:
    return job.job_environments.select_related("environment").order_by("environment__created_at", "environment_id")


class _Place:
    """A job's state in one environment, as the page shows it."""

    def __init__(self, row: JobEnvironment, now: datetime.datetime, overrides: dict[str, Any]) -> None:
        self.row = row
        self.overrides = json.dumps(overrides, indent=2, ensure_ascii=False) if overrides else None
        self.chip = chips.chip(place_look(row, now))
        self.words = place_words(row, now)
        self.is_paused = is_paused(row, now)
