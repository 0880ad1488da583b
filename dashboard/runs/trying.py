"""The button that tries a job out: the call that the API makes, shown where it was asked for."""

import uuid
from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.actors import Actor
from core.errors import HourhandError
from dashboard.accounts.access import access_of
from dashboard.runs.buttons import require_writer
from dashboard.runs.page import ShownRun
from jobs.models import JobEnvironment
from runs.testcalls.calls import call_once


def try_out_button(request: HttpRequest, job_environment_id: uuid.UUID) -> HttpResponse:
    """One call of a job as it is saved, which is not kept. Answers when it has ended: a part of the job's page where a
    script asks, else a page.
    """
    rows = JobEnvironment.objects.select_related("job__current_version", "environment")
    row = access_of(request).narrow(rows).filter(pk=job_environment_id, job__deleted_at__isnull=True).first()
    if row is None:
        raise Http404
    require_writer(request, row.workspace_id)
    tried: dict[str, Any] = {"job": row.job, "environment": row.environment}
    try:
        run = call_once(job_environment=row, actor=Actor.of_user(request.user), now=timezone.now())
    except HourhandError as error:
        tried["refusal"] = error.detail
    else:
        tried["attempt"] = ShownRun.of(run)
    if request.headers.get("HX-Request") == "true":
        return TemplateResponse(request, "admin/runs/tried.html", tried)
    request.current_app = admin.site.name
    page = {**admin.site.each_context(request), "title": "Test call", **tried}
    return TemplateResponse(request, "admin/runs/tried_page.html", page)
