"""The buttons of a job's page that belong to jobs: pause and resume. Each calls the verb that the API calls."""

import uuid
from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone

from accounts.actors import Actor
from accounts.admin.access import access_of
from accounts.errors import HourhandError
from jobs.admin.page import job_in_sight
from jobs.admin.pausing import PauseForm
from jobs.api.versions import restore_version
from jobs.models import Job, JobEnvironment
from jobs.services import pause, resume

if TYPE_CHECKING:
    from jobs.admin.job import JobAdmin


def pause_job(job_admin: "JobAdmin", request: HttpRequest, job_id: uuid.UUID) -> HttpResponseRedirect:
    job, rows = _job_and_places(request, job_id)
    form = PauseForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(str(text) for texts in form.errors.values() for text in texts))
    else:
        wanted = form.cleaned_data
        pause(
            job_environments=rows,
            until=wanted["until"],
            note=wanted["note"],
            actor=Actor.of_user(request.user),
            now=timezone.now(),
        )
        _tell(job_admin, request, job, f"Paused in {_named(rows)}.")
    return redirect("admin:jobs_job_page", job.pk)


def resume_job(job_admin: "JobAdmin", request: HttpRequest, job_id: uuid.UUID) -> HttpResponseRedirect:
    job, rows = _job_and_places(request, job_id)
    resume(job_environments=rows, actor=Actor.of_user(request.user), now=timezone.now())
    _tell(job_admin, request, job, f"Resumed in {_named(rows)}. Nothing that was paused is caught up.")
    return redirect("admin:jobs_job_page", job.pk)


def restore(job_admin: "JobAdmin", request: HttpRequest, job_id: uuid.UUID, number: int) -> HttpResponseRedirect:
    """Make an older version the current one again."""
    job = job_in_sight(request, job_id)
    if not access_of(request).writes(job.workspace_id):
        raise PermissionDenied
    version = get_object_or_404(job.versions.numbered().select_related("job"), number=number)
    context = {"workspace": job.workspace, "now": timezone.now()}
    try:
        with transaction.atomic():
            locked = Job.objects.select_for_update(of=("self",)).select_related("current_version").get(pk=job.pk)
            restore_version(version, job=locked, context=context, actor=Actor.of_user(request.user))
    except HourhandError as error:
        messages.error(request, error.detail)
    else:
        _tell(job_admin, request, job, f"Version {number} is restored.")
    return redirect("admin:jobs_job_page", job.pk)


def _job_and_places(request: HttpRequest, job_id: uuid.UUID) -> tuple[Job, list[JobEnvironment]]:
    """The job, and where: the environment named in the form, else all. Raises Http404 and PermissionDenied."""
    job = job_in_sight(request, job_id)
    if not access_of(request).writes(job.workspace_id):
        raise PermissionDenied
    rows = list(job.job_environments.select_related("environment", "job__current_version").order_by("pk"))
    named = request.POST.get("environment")
    if named:
        rows = [row for row in rows if row.environment.slug == named]
    if not rows:
        raise Http404
    return job, rows


def _named(rows: list[JobEnvironment]) -> str:
    return ", ".join(row.environment.slug for row in rows)


def _tell(job_admin: "JobAdmin", request: HttpRequest, job: Job, text: str) -> None:
    job_admin.log_change(request, job, text)
    messages.success(request, text)
