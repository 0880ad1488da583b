"""The button that makes a test call, as the API does."""

import uuid
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.actors import Actor
from core.errors import HourhandError
from dashboard.runs.attempt import ShownRun
from dashboard.runs.buttons import get_job_environment
from runs.testcalls.calls import call_once


def test_call_button(request: HttpRequest, job_environment_id: uuid.UUID) -> HttpResponse:
    """Call a job's endpoint once, without a record, and wait for the response.

    Renders a part of the job's page for htmx, else a page of its own.
    """
    job_environment = get_job_environment(request, job_environment_id)
    context: dict[str, Any] = {"job": job_environment.job, "environment": job_environment.environment}
    try:
        run = call_once(job_environment=job_environment, actor=Actor.of_user(request.user), now=timezone.now())
    except HourhandError as error:
        context["error"] = error.detail
    else:
        context["attempt"] = ShownRun.of(run)
    if request.headers.get("HX-Request") == "true":
        return TemplateResponse(request, "admin/runs/test_call.html", context)
    request.current_app = admin.site.name
    page = {**admin.site.each_context(request), "title": "Test call", **context}
    return TemplateResponse(request, "admin/runs/test_call_page.html", page)
