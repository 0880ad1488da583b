"""Create, edit and delete a job by its form, through the API's serializer."""

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
from dashboard.base.access import access_of
from dashboard.forms import JobForm
from dashboard.forms.schedule import TIMEZONES
from dashboard.forms.variables import suggested_secrets, suggested_variables
from dashboard.jobs.lookups import base_context, get_writable_job
from dashboard.jobs.schedule_preview import FIELDS as PREVIEW_FIELDS
from dashboard.workflows.waiting import count_waiting, waiting_words
from jobs.models import Job


def add(job_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    access = access_of(request)
    if not access.writes_somewhere:
        raise PermissionDenied
    workspace = access.workspace_for(request.GET.get("workspace"))
    form = JobForm(request.POST or None, workspace=workspace, kind=request.GET.get("kind"))
    job = _saved(request, form, workspace=workspace, job=None)
    if job is not None:
        job_admin.log_addition(request, job, "Created.")
        messages.success(request, f"Job created: {job.name}.")
        return redirect("admin:jobs_job_page", job.pk)
    elsewhere = [row for row in access.workspaces if row != workspace and access.writes(row.pk)]
    return _page(job_admin, request, form, title="Create job", workspace=workspace, elsewhere=elsewhere)


def change(job_admin: "ModelAdmin[Any]", request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    job = get_writable_job(request, job_id)
    form = JobForm(request.POST or None, workspace=job.workspace, job=job)
    saved = _saved(request, form, workspace=job.workspace, job=job)
    if saved is not None:
        job_admin.log_change(request, saved, "Changed.")
        messages.success(request, f"Job saved: {saved.name}.")
        return redirect("admin:jobs_job_page", saved.pk)
    return _page(job_admin, request, form, title="Edit", original=job, workspace=job.workspace)


def confirm_delete(job_admin: "ModelAdmin[Any]", request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Ask for confirmation. Its form posts to ExecutionAdmin, since deleting a job cancels executions."""
    job = get_writable_job(request, job_id)
    context = {**base_context(job_admin, request, title="Delete"), "original": job, "job": job}
    context["waiting"] = waiting_words(count_waiting(job))
    return TemplateResponse(request, "admin/jobs/job/delete.html", context)


def _saved(request: HttpRequest, form: JobForm, *, workspace: Workspace, job: Job | None) -> Job | None:
    """Save the posted form. Returns the job, or None after putting the errors in the form."""
    if request.method != "POST":
        return None
    serializer = checked(form, workspace=workspace, job=job)
    if serializer is None:
        return None
    try:
        return save_validated(serializer, actor=Actor.of_user(request.user))
    except ValidationError as error:
        form.show_errors((each["field"] or "", each["detail"]) for each in field_errors(error.detail))
    except HourhandError as error:
        form.show_errors([(error.field or "", error.detail)])
    return None


def checked(form: JobForm, *, workspace: Workspace, job: Job | None) -> JobSerializer | None:
    """Validate a posted form by the API's serializer, without saving. Returns None after putting errors in the form."""
    is_valid = form.is_valid()
    context = {"workspace": workspace, "now": timezone.now()}
    serializer = JobSerializer(job, data=form.definition(), context=context)
    try:
        # Fields that the form can't read don't hide the serializer's errors in the others.
        serializer.is_valid(raise_exception=True)
    except ValidationError as error:
        form.show_errors((each["field"] or "", each["detail"]) for each in field_errors(error.detail))
        return None
    except HourhandError as error:
        form.show_errors([(error.field or "", error.detail)])
        return None
    return serializer if is_valid else None


def _page(job_admin: "ModelAdmin[Any]", request: HttpRequest, form: JobForm, **more: Any) -> HttpResponse:
    context = {
        **base_context(job_admin, request, title=more.pop("title")),
        "form": form,
        "timezones": TIMEZONES,
        "preview_url": _preview_url(more.get("original")),
        "preview_fields": PREVIEW_FIELDS,
        "check_url": _check_url(more["workspace"], more.get("original")),
        "variables": suggested_variables(),
        "secrets": suggested_secrets(more["workspace"]),
        **more,
    }
    return TemplateResponse(request, "admin/jobs/job/form.html", context)


def _preview_url(job: Job | None) -> str:
    url = reverse("admin:jobs_job_preview")
    return f"{url}?job={job.pk}" if job else url


def _check_url(workspace: Workspace, job: Job | None) -> str:
    url = reverse("admin:jobs_job_check_workflow")
    return f"{url}?job={job.pk}" if job else f"{url}?workspace={workspace.slug}"
