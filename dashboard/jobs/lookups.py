"""Look up the job of a page, and the context that every page of a job needs."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from dashboard.base.access import access_of
from jobs.models import Job


def get_job(request: HttpRequest, job_id: uuid.UUID) -> Job:
    """The job with its definition. Raises Http404 if it is deleted or in a workspace that the person doesn't see."""
    jobs = Job.objects.live().select_related("workspace", "current_version__created_by")
    job = access_of(request).narrow(jobs).filter(pk=job_id).first()
    if job is None or job.current_version is None:
        raise Http404
    return job


def get_writable_job(request: HttpRequest, job_id: uuid.UUID) -> Job:
    """The same, for a person who may change it. Raises PermissionDenied for anyone else who sees it."""
    job = get_job(request, job_id)
    if not access_of(request).writes(job.workspace_id):
        raise PermissionDenied
    return job


def definition_of(job: Job) -> dict[str, Any]:
    """The current definition of a job from `get_job`, which always has one."""
    config: dict[str, Any] = job.current_version.config if job.current_version else {}
    return config


def base_context(job_admin: "ModelAdmin[Any]", request: HttpRequest, *, title: str) -> dict[str, Any]:
    request.current_app = job_admin.admin_site.name
    return {**job_admin.admin_site.each_context(request), "opts": job_admin.opts, "title": title}


def report_change(job_admin: "ModelAdmin[Any]", request: HttpRequest, job: Job, text: str) -> None:
    """Show a message on the next page, and add it to Django's history of the job."""
    job_admin.log_change(request, job, text)
    messages.success(request, text)
