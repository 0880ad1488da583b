"""The page of one job: its definition, next firings, state in each environment, recent executions and versions."""

import uuid
from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from dashboard.base.access import access_of
from dashboard.jobs.environments_panel import EnvironmentPanel, occurrence_previews
from dashboard.jobs.ledger import ledger_context
from dashboard.jobs.lookups import base_context, definition_of, get_job
from dashboard.jobs.pausing import PauseForm, pause_everywhere, pause_forms
from dashboard.jobs.summary import summarize
from dashboard.jobs.versions import environment_slugs, latest
from dashboard.jobs.webhook import webhook_context
from dashboard.runs.recent_outcomes import RecentOutcomes
from dashboard.workflows.flow import Flow
from dashboard.workflows.waiting import count_waiting, waiting_words
from jobs.definition.calls import is_workflow
from jobs.models import Job
from jobs.services.unreadable import why_unreadable

_VERSIONS = 5
#: Characters of a body that the page shows; the form shows all of it.
_SHOWN_BODY = 16 * 1024


def show(
    job_admin: "ModelAdmin[Any]", request: HttpRequest, job_id: uuid.UUID, *, invalid_pause: PauseForm | None = None
) -> HttpResponse:
    """Render the page; `invalid_pause` is shown with its errors in place of an empty form."""
    job, now = get_job(request, job_id), timezone.now()
    config = definition_of(job)
    panels = [EnvironmentPanel.of(job_environment, config, now) for job_environment in _job_environments(job)]
    body = (config["request"] or {}).get("body") or ""
    may_change, waiting, slugs = access_of(request).writes(job.workspace_id), count_waiting(job), environment_slugs(job)
    context = {
        **base_context(job_admin, request, title=job.name),
        "original": job,
        "job": job,
        "config": config,
        "is_workflow": is_workflow(config),
        "flow": Flow.of(config, slugs) if is_workflow(config) else None,
        "waiting": waiting_words(waiting),
        "unreadable": why_unreadable(job, job.current_version) if job.current_version else None,
        "facts": summarize(config),
        "body": body[:_SHOWN_BODY],
        "body_is_cut": len(body) > _SHOWN_BODY,
        "panels": pause_forms(panels, invalid_pause),
        "everywhere": pause_everywhere(panels, config["timezone"], invalid_pause),
        "previews": occurrence_previews(job, config, panels, now),
        "recent": RecentOutcomes.of(job, now),
        "ledger": ledger_context(request, job, timezone=config["timezone"], now=now),
        "versions": latest(job, slugs, count=_VERSIONS),
        "now_at": now,
        "webhook": webhook_context(request, job, config, may_change=may_change),
        "may_change": may_change,
    }
    return TemplateResponse(request, "admin/jobs/job/page.html", context)


def _job_environments(job: Job) -> Any:
    return job.job_environments.select_related("environment").order_by("environment__created_at", "environment_id")
