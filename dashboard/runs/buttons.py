"""The buttons run now, replay, retry and cancel. Each calls the verb that the API calls, and tells what came of it."""

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
from dashboard.accounts.access import access_of
from dashboard.accounts.listing import back_to_list
from dashboard.jobs.together import DOINGS, LIST, done_to_each, sent_jobs, tell
from jobs.models import Job, JobEnvironment
from runs.executions.delete import delete_with_executions, purge
from runs.executions.services import SOURCE, cancel, replay, retry, run_now
from runs.models import Execution
from runs.retention.wipe import wipe
from runs.states import ExecutionStatus


def run_now_button(request: HttpRequest, job_environment_id: uuid.UUID) -> HttpResponseRedirect:
    """One execution of a job, at once; its page comes next."""
    rows = JobEnvironment.objects.select_related("job__current_version", "environment")
    row = access_of(request).narrow(rows).filter(pk=job_environment_id, job__deleted_at__isnull=True).first()
    if row is None:
        raise Http404
    require_writer(request, row.workspace_id)
    actor, now = Actor.of_user(request.user), timezone.now()
    made = _told(request, lambda: run_now(job_environment=row, now=now, actor=actor))
    if made is None:
        return redirect("admin:jobs_job_page", row.job_id)
    messages.success(request, f"Run started in {row.environment.slug}.")
    return redirect("admin:runs_execution_change", made.pk)


def delete_job_button(request: HttpRequest, job_id: uuid.UUID) -> HttpResponseRedirect:
    """Delete a job, and its history where that is wanted too."""
    job = access_of(request).narrow(Job.objects.live()).filter(pk=job_id).first()
    if job is None:
        raise Http404
    require_writer(request, job.workspace_id)
    wanted, name = bool(request.POST.get("purge")), job.name
    admin.site.get_model_admin(Job).log_deletions(request, Job.objects.filter(pk=job.pk))
    (purge if wanted else delete_with_executions)(job=job, actor=Actor.of_user(request.user), now=timezone.now())
    stays = "Its history is removed." if wanted else "Its history stays."
    messages.success(request, f"{name} is deleted. {stays}")
    return redirect("admin:jobs_job_changelist")


def wipe_page(request: HttpRequest, workspace_id: uuid.UUID) -> HttpResponse:
    """Asks for the slug of a workspace, and empties it. For its owners."""
    access = access_of(request)
    workspace = next((one for one in access.workspaces if one.pk == workspace_id), None)
    if workspace is None:
        raise Http404
    if not access.owns(workspace_id):
        raise PermissionDenied
    error = ""
    if request.method == "POST":
        confirm, actor = request.POST.get("confirm", "").strip(), Actor.of_user(request.user)
        try:
            wipe(workspace=workspace, confirm=confirm, actor=actor, now=timezone.now())
        except HourhandError as refusal:
            error = refusal.detail
        else:
            messages.success(request, f"{workspace.name} is empty.")
            return redirect("admin:index")
    context = {**admin.site.each_context(request), "title": "Wipe", "workspace": workspace, "error": error}
    return TemplateResponse(request, "admin/runs/wipe.html", context)


def delete_jobs_button(request: HttpRequest) -> HttpResponseRedirect:
    """Delete many jobs, as their list asked for; their history stays."""
    if not access_of(request).writes_somewhere:
        raise PermissionDenied
    actor, jobs = Actor.of_user(request.user), sent_jobs(request)
    admin.site.get_model_admin(Job).log_deletions(request, Job.objects.filter(pk__in=[job.pk for job in jobs]))
    outcome = done_to_each(jobs, lambda job: delete_with_executions(job=job, actor=actor, now=timezone.now()))
    tell(request, DOINGS["delete"].done, outcome)
    return back_to_list(request, LIST)


def replay_button(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponseRedirect:
    """A new execution like this one, in the current configuration or its own, here or elsewhere; its page is next."""
    execution, original = _execution(request, execution_id), request.POST.get("config") == "original"
    actor, now = Actor.of_user(request.user), timezone.now()

    def act() -> Execution:
        place = _environment(execution, request.POST.get("environment"))
        return replay(execution=execution, now=now, original_config=original, environment=place, actor=actor)

    made = _told(request, act)
    if made is None:
        return redirect("admin:runs_execution_change", execution.pk)
    messages.success(request, f"Replayed with the {'original' if original else 'current'} configuration.")
    return redirect("admin:runs_execution_change", made.pk)


def retry_button(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponseRedirect:
    """A new execution like this one, which has failed; its page comes next."""
    execution = _execution(request, execution_id)
    actor, now = Actor.of_user(request.user), timezone.now()
    made = _told(request, lambda: retry(execution=execution, now=now, actor=actor))
    if made is None:
        return redirect("admin:runs_execution_change", execution.pk)
    messages.success(request, "Retried with the same configuration and input.")
    return redirect("admin:runs_execution_change", made.pk)


def cancel_button(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponseRedirect:
    execution = _execution(request, execution_id)
    workspace, actor, now = execution.workspace, Actor.of_user(request.user), timezone.now()
    if _told(request, lambda: cancel(workspace=workspace, execution_id=execution.pk, now=now, actor=actor)) is not None:
        in_flight = execution.status == ExecutionStatus.RUNNING
        said = (
            "the request in flight may have arrived, and nothing more is sent" if in_flight else "nothing more is sent"
        )
        messages.success(request, f"Canceled: {said}.")
    return redirect("admin:runs_execution_change", execution.pk)


def _execution(request: HttpRequest, execution_id: uuid.UUID) -> Execution:
    rows = Execution.objects.select_related("workspace", *SOURCE).in_sight()
    execution = access_of(request).narrow(rows).filter(pk=execution_id).first()
    if execution is None:
        raise Http404
    require_writer(request, execution.workspace_id)
    return execution


def _environment(execution: Execution, slug: str | None) -> Environment | None:
    """The environment named; None for its own. Raises NotFoundError for one that the workspace does not have."""
    if not slug:
        return None
    found = execution.workspace.environments.filter(slug=slug).first()
    if found is None:
        raise NotFoundError(f"There is no environment {slug}.", field="environment")
    return found


def require_writer(request: HttpRequest, workspace_id: uuid.UUID) -> None:
    """Raises PermissionDenied for those who may only look at this workspace."""
    if not access_of(request).writes(workspace_id):
        raise PermissionDenied


def _told(request: HttpRequest, act: Callable[[], Execution]) -> Execution | None:
    """What a verb answers; None where it refuses, and its reason as a message."""
    try:
        return act()
    except HourhandError as error:
        messages.error(request, error.detail)
        return None
