"""Pause and resume on a job's page, by the functions that the API calls."""

import uuid
from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils import timezone

from accounts.actors import Actor
from dashboard.jobs import page
from dashboard.jobs.lookups import report_change
from dashboard.jobs.pausing import posted_pause
from dashboard.workflows.waiting import count_waiting, waiting_words
from jobs.models import JobEnvironment
from jobs.services.save import pause, resume


def pause_job(job_admin: "ModelAdmin[Any]", request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Pause the job; an invalid form is shown again, on the page, with its errors."""
    job, job_environments, form = posted_pause(request, job_id)
    if not form.is_valid():
        return page.show(job_admin, request, job_id, invalid_pause=form)
    pause(
        job_environments=job_environments,
        until=form.cleaned_data["until"],
        note=form.cleaned_data["note"],
        actor=Actor.of_user(request.user),
        now=timezone.now(),
    )
    waiting = waiting_words(count_waiting(job))
    left_alone = f" {waiting} for something; the pause changes nothing about that." if waiting else ""
    report_change(job_admin, request, job, f"Paused in {_slugs(job_environments)}.{left_alone}")
    return redirect("admin:jobs_job_page", job.pk)


def resume_job(job_admin: "ModelAdmin[Any]", request: HttpRequest, job_id: uuid.UUID) -> HttpResponseRedirect:
    job, job_environments, _ = posted_pause(request, job_id)
    resume(job_environments=job_environments, actor=Actor.of_user(request.user), now=timezone.now())
    text = f"Resumed in {_slugs(job_environments)}. Occurrences skipped during the pause stay skipped."
    report_change(job_admin, request, job, text)
    return redirect("admin:jobs_job_page", job.pk)


def _slugs(job_environments: list[JobEnvironment]) -> str:
    return ", ".join(job_environment.environment.slug for job_environment in job_environments)
