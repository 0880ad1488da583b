"""Making, changing and deleting a job by its form. The API's validator judges, the API's verbs act."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from accounts.actors import Actor
from accounts.models import Workspace
from api.base.problems import field_errors
from api.jobs.serializers import JobSerializer, save_validated
from core.errors import HourhandError
from dashboard.accounts.access import access_of
from dashboard.forms import JobForm
from dashboard.forms.schedule import TIMEZONES
from dashboard.forms.variables import suggested_secrets, suggested_variables
from dashboard.jobs.previewing import FIELDS
from dashboard.jobs.reach import base_context, writable_job
from jobs.models import Job


def add(job_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    access = access_of(request)
    if not access.writes_somewhere:
        raise PermissionDenied
    workspace = access.workspace_for(request.GET.get("workspace"))
    form = JobForm(request.POST or None, workspace=workspace)
    job = _saved(request, form, workspace=workspace, job=None)
    if job is not None:
        job_admin.log_addition(request, job, "Made.")
        messages.success(request, f"Job created: {job.name}.")
        return redirect("admin:jobs_job_page", job.pk)
    elsewhere = [row for row in access.workspaces if row != workspace and access.writes(row.pk)]
    return _page(job_admin, request, form, title="Create job", workspace=workspace, elsewhere=elsewhere)


def change(job_admin: "ModelAdmin[Any]", request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    job = writable_job(request, job_id)
    form = JobForm(request.POST or None, workspace=job.workspace, job=job)
    saved = _saved(request, form, workspace=job.workspace, job=job)
    if saved is not None:
        job_admin.log_change(request, saved, "Changed.")
        messages.success(request, f"{saved.name} is saved.")
        return redirect("admin:jobs_job_page", saved.pk)
    return _page(job_admin, request, form, title="Edit", original=job, workspace=job.workspace)


def ask_to_delete(job_admin: "ModelAdmin[Any]", request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Ask first. Its button is among those of executions, which deleting a job reaches too."""
    job = writable_job(request, job_id)
    context = {**base_context(job_admin, request, title="Delete"), "original": job, "job": job}
    return TemplateResponse(request, "admin/jobs/job/delete.html", context)


def _saved(request: HttpRequest, form: JobForm, *, workspace: Workspace, job: Job | None) -> Job | None:
    """The job that this form makes of what was sent; None, and its errors in the form, when it can't."""
    if request.method != "POST":
        return None
    is_readable = form.is_valid()
    context = {"workspace": workspace, "now": timezone.now()}
    serializer = JobSerializer(job, data=form.definition(), context=context)
    try:
        # What the form can't read does not hide what the validator says of the rest.
        serializer.is_valid(raise_exception=True)
        if not is_readable:
            return None
        saved = save_validated(serializer, actor=Actor.of_user(request.user))
    except ValidationError as error:
        form.show_errors((wrong["field"] or "", wrong["detail"]) for wrong in field_errors(error.detail))
    except HourhandError as error:
        form.show_errors([(error.field or "", error.detail)])
    else:
        return saved
    return None


def _page(job_admin: "ModelAdmin[Any]", request: HttpRequest, form: JobForm, **more: Any) -> HttpResponse:
    context = {
        **base_context(job_admin, request, title=more.pop("title")),
        "form": form,
        "timezones": TIMEZONES,
        "preview_url": _preview_url(more.get("original")),
        "preview_fields": FIELDS,
        "variables": suggested_variables(),
        "secrets": suggested_secrets(more["workspace"]),
        **more,
    }
    return TemplateResponse(request, "admin/jobs/job/form.html", context)


def _preview_url(job: Job | None) -> str:
    url = reverse("admin:jobs_job_preview")
    return f"{url}?job={job.pk}" if job else url
