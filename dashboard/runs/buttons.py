"""The buttons run now, replay, retry, cancel, delete a job and wipe, by the functions that the API calls."""

import uuid
from collections.abc import Callable

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.actors import Actor
from accounts.models import Environment
from core.errors import HourhandError, NotFoundError
from dashboard.base.access import access_of
from jobs.models import Job, JobEnvironment
from runs.executions.delete import delete_with_executions, purge
from runs.executions.services import SOURCE, cancel, replay, retry, run_now
from runs.models import Execution
from runs.retention.wipe import wipe
from runs.states import ExecutionStatus


def run_now_button(request: HttpRequest, job_environment_id: uuid.UUID) -> HttpResponseRedirect:
    """Run a job now, and go to the execution's page."""
    job_environment = get_job_environment(request, job_environment_id)
    actor, now = Actor.of_user(request.user), timezone.now()
    execution = _attempt(request, lambda: run_now(job_environment=job_environment, now=now, actor=actor))
    if execution is None:
        return redirect("admin:jobs_job_page", job_environment.job_id)
    messages.success(request, f"Run started in {job_environment.environment.slug}.")
    return redirect("admin:runs_execution_change", execution.pk)


def get_job_environment(request: HttpRequest, job_environment_id: uuid.UUID) -> JobEnvironment:
    """A live job's environment, for a person who may run it. Raises Http404 and PermissionDenied."""
    rows = JobEnvironment.objects.select_related("job__current_version", "environment")
    row = access_of(request).narrow(rows).filter(pk=job_environment_id, job__deleted_at__isnull=True).first()
    if row is None:
        raise Http404
    require_writer(request, row.workspace_id)
    return row


def delete_job_button(request: HttpRequest, job_id: uuid.UUID) -> HttpResponseRedirect:
    """Delete a job, and its history too if the box for it is checked."""
    job = access_of(request).narrow(Job.objects.live()).filter(pk=job_id).first()
    if job is None:
        raise Http404
    require_writer(request, job.workspace_id)
    purges, name = bool(request.POST.get("purge")), job.name
    admin.site.get_model_admin(Job).log_deletions(request, Job.objects.filter(pk=job.pk))
    (purge if purges else delete_with_executions)(job=job, actor=Actor.of_user(request.user), now=timezone.now())
    history = "Its history is deleted too." if purges else "Its history is kept."
    messages.success(request, f"Job deleted: {name}. {history}")
    return redirect("admin:jobs_job_changelist")


def wipe_page(request: HttpRequest, workspace_id: uuid.UUID) -> HttpResponse:
    """Ask for the slug of a workspace, then wipe it. For its owners."""
    access = access_of(request)
    workspace = next((each for each in access.workspaces if each.pk == workspace_id), None)
    if workspace is None:
        raise Http404
    if not access.owns(workspace_id):
        raise PermissionDenied
    error = ""
    if request.method == "POST":
        confirm, actor = request.POST.get("confirm", "").strip(), Actor.of_user(request.user)
        try:
            wipe(workspace=workspace, confirm=confirm, actor=actor, now=timezone.now())
        except HourhandError as refused:
            error = refused.detail
        else:
            messages.success(request, f"Workspace wiped: {workspace.name}.")
            return redirect("admin:index")
    context = {**admin.site.each_context(request), "title": "Wipe", "workspace": workspace, "error": error}
    return TemplateResponse(request, "admin/runs/wipe.html", context)


def replay_button(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponseRedirect:
    """Replay an execution with the current or its original configuration, here or in another environment."""
    execution, original = _execution(request, execution_id), request.POST.get("config") == "original"
    actor, now = Actor.of_user(request.user), timezone.now()

    def act() -> Execution:
        environment = _environment(execution, request.POST.get("environment"))
        return replay(execution=execution, now=now, original_config=original, environment=environment, actor=actor)

    new_execution = _attempt(request, act)
    if new_execution is None:
        return redirect("admin:runs_execution_change", execution.pk)
    messages.success(request, f"Replayed with the {'original' if original else 'current'} configuration.")
    return redirect("admin:runs_execution_change", new_execution.pk)


def retry_button(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponseRedirect:
    """Retry a failed execution, a workflow from a step, and go to the new one's page."""
    execution = _execution(request, execution_id)
    actor, now, from_step = Actor.of_user(request.user), timezone.now(), request.POST.get("from") or None
    new_execution = _attempt(request, lambda: retry(execution=execution, now=now, from_step=from_step, actor=actor))
    if new_execution is None:
        return redirect("admin:runs_execution_change", execution.pk)
    messages.success(request, "Retried with the same configuration and input.")
    return redirect("admin:runs_execution_change", new_execution.pk)


def cancel_button(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponseRedirect:
    execution = _execution(request, execution_id)
    workspace, actor, now = execution.workspace, Actor.of_user(request.user), timezone.now()
    canceled = _attempt(request, lambda: cancel(workspace=workspace, execution_id=execution.pk, now=now, actor=actor))
    if canceled is not None:
        is_running = execution.status == ExecutionStatus.RUNNING
        note = " The request in flight may have arrived; nothing more is sent." if is_running else ""
        if canceled.finished_at is None:
            note = " Its finally steps run now."
        messages.success(request, f"Execution canceled.{note}")
    return redirect("admin:runs_execution_change", execution.pk)


def _execution(request: HttpRequest, execution_id: uuid.UUID) -> Execution:
    rows = Execution.objects.select_related("workspace", *SOURCE).in_sight()
    execution = access_of(request).narrow(rows).filter(pk=execution_id).first()
    if execution is None:
        raise Http404
    require_writer(request, execution.workspace_id)
    return execution


def _environment(execution: Execution, slug: str | None) -> Environment | None:
    """The workspace's environment of this slug; None for the execution's own. Raises NotFoundError."""
    if not slug:
        return None
    environment = execution.workspace.environments.filter(slug=slug).first()
    if environment is None:
        raise NotFoundError(f"Environment {slug} does not exist.", field="environment")
    return environment


def require_writer(request: HttpRequest, workspace_id: uuid.UUID) -> None:
    """Raise PermissionDenied unless the person may change this workspace."""
    if not access_of(request).writes(workspace_id):
        raise PermissionDenied


def _attempt(request: HttpRequest, act: Callable[[], Execution]) -> Execution | None:
    """Call `act`; for a domain error, show its detail as a message and return None."""
    try:
        return act()
    except HourhandError as error:
        messages.error(request, error.detail)
        return None
