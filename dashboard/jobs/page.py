"""The page of one job: what it does, when it fires next, how it is in each environment, and its versions.

Its cards of history come from template tags: `dashboard/templatetags/`.
"""

import uuid
from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from dashboard.accounts.access import access_of
from dashboard.jobs.pausing import PauseForm, pause_everywhere, pause_forms
from dashboard.jobs.places import EnvironmentPanel, plans_of
from dashboard.jobs.reach import base_context, definition_of, job_in_sight
from dashboard.jobs.telling import told
from dashboard.jobs.versions import latest, slugs_of
from jobs.models import Job
from jobs.services.unreadable import why_unreadable

_VERSIONS = 5
#: The page shows so many characters of a body; the form has all of it.
_SHOWN_BODY = 16 * 1024


def show(
    job_admin: "ModelAdmin[Any]", request: HttpRequest, job_id: uuid.UUID, *, refused: PauseForm | None = None
) -> HttpResponse:
    """The page; `refused` is a pause that somebody asked for in vain, to be shown with what is wrong."""
    job, now = job_in_sight(request, job_id), timezone.now()
    config = definition_of(job)
    places = [EnvironmentPanel.of(row, config, now) for row in _environments(job)]
    body = config["request"]["body"] or ""
    context = {
        **base_context(job_admin, request, title=job.name),
        "original": job,
        "job": job,
        "config": config,
        "unreadable": why_unreadable(job, job.current_version) if job.current_version else None,
        "facts": told(config),
        "body": body[:_SHOWN_BODY],
        "body_is_cut": len(body) > _SHOWN_BODY,
        "places": pause_forms(places, refused),
        "everywhere": pause_everywhere(places, config["timezone"], refused),
        "plans": plans_of(job, config, places, now),
        "versions": latest(job, slugs_of(job), count=_VERSIONS),
        "now_at": now,
        "may_change": access_of(request).writes(job.workspace_id),
    }
    return TemplateResponse(request, "admin/jobs/job/page.html", context)


def _environments(job: Job) -> Any:
    return job.job_environments.select_related("environment").order_by("environment__created_at", "environment_id")
