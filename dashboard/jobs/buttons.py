"""The buttons of a job's page that belong to jobs: pause and resume. Each calls the verb that the API calls."""

import uuid
from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils import timezone

from accounts.actors import Actor
from dashboard.jobs import page
from dashboard.jobs.pausing import meant
from dashboard.jobs.reach import tell
from jobs.models import JobEnvironment
from jobs.services.save import pause, resume


def pause_job(job_admin: "ModelAdmin[Any]", request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """What is wrong with it stands beside its field, on the page as it was."""
    job, rows, form = meant(request, job_id)
    if not form.is_valid():
        return page.show(job_admin, request, job_id, refused=form)
    wanted = form.cleaned_data
    pause(
        job_environments=rows,
        until=wanted["until"],
        note=wanted["note"],
        actor=Actor.of_user(request.user),
        now=timezone.now(),
    )
    tell(job_admin, request, job, f"Paused in {_named(rows)}.")
    return redirect("admin:jobs_job_page", job.pk)


def resume_job(job_admin: "ModelAdmin[Any]", request: HttpRequest, job_id: uuid.UUID) -> HttpResponseRedirect:
    job, rows, _ = meant(request, job_id)
    resume(job_environments=rows, actor=Actor.of_user(request.user), now=timezone.now())
    tell(job_admin, request, job, f"Resumed in {_named(rows)}. Nothing that was paused is caught up.")
    return redirect("admin:jobs_job_page", job.pk)


def _named(rows: list[JobEnvironment]) -> str:
    return ", ".join(row.environment.slug for row in rows)
