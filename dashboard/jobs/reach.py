"""How a page of the dashboard finds its job, and what stands around every page of one."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from dashboard.accounts.access import access_of
from jobs.models import Job


def parsed(reference: str) -> uuid.UUID:
    """The UUID in an address. Raises Http404 for anything else."""
    try:
        return uuid.UUID(reference)
    except ValueError as error:
        raise Http404 from error


def job_in_sight(request: HttpRequest, job_id: uuid.UUID) -> Job:
    """The job of this address, with its definition. Raises Http404 when it is deleted or somebody else's."""
    jobs = Job.objects.live().select_related("workspace", "current_version__created_by")
    job = access_of(request).narrow(jobs).filter(pk=job_id).first()
    if job is None or job.current_version is None:
        raise Http404
    return job


def writable_job(request: HttpRequest, job_id: uuid.UUID) -> Job:
    """The same, for somebody who may change it. Raises PermissionDenied for anybody else who sees it."""
    job = job_in_sight(request, job_id)
    if not access_of(request).writes(job.workspace_id):
        raise PermissionDenied
    return job


def definition_of(job: Job) -> dict[str, Any]:
    """The definition of a job in sight, which always has one."""
    config: dict[str, Any] = job.current_version.config if job.current_version else {}
    return config


def base_context(job_admin: "ModelAdmin[Any]", request: HttpRequest, *, title: str) -> dict[str, Any]:
    """What every page of the dashboard around a job needs."""
    request.current_app = job_admin.admin_site.name
    return {**job_admin.admin_site.each_context(request), "opts": job_admin.opts, "title": title}


def tell(job_admin: "ModelAdmin[Any]", request: HttpRequest, job: Job, text: str) -> None:
    """Say on the next page what was done, and in Django's history of the job."""
    job_admin.log_change(request, job, text)
    messages.success(request, text)
