"""Admin actions of the list of jobs: each asks for confirmation, then calls the API's function for every job.

The confirmation is a page of its own: Unfold's dialogs open by script alone, and don't know which rows are selected.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from rest_framework.exceptions import ValidationError
from unfold.decorators import action
from unfold.enums import ActionVariant

from accounts.actors import Actor
from api.base.problems import field_errors
from api.jobs.serializers import JobSerializer, save_validated
from core.errors import HourhandError
from dashboard.jobs.lookups import base_context
from dashboard.jobs.pausing import PauseForm
from jobs.models import Job, JobEnvironment
from jobs.querysets import JobQuerySet
from jobs.services.save import pause, resume
from runs.executions.delete import delete_with_executions

#: Jobs in one action: each is saved by itself, and a request should end within seconds.
MOST = 200
_NAMED = 20
_SHOWN_ERRORS = 3


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """The environment to act in (empty for all), who acts, and the cleaned fields of a PauseForm when pausing."""

    environment: str
    actor: Actor
    pause: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BulkAction:
    """A verb, its consequence as a sentence, its past participle, and the function that does it to one job."""

    label: str
    icon: str
    consequence: str
    done: str
    apply: Callable[[Job, BulkOptions], None]
    is_danger: bool = False

    @property
    def name(self) -> str:
        return f"{self.label.lower()}_selected"


def _pause(job: Job, options: BulkOptions) -> None:
    if rows := _job_environments(job, options):
        until, note = options.pause["until"], options.pause["note"]
        pause(job_environments=rows, until=until, note=note, actor=options.actor, now=timezone.now())


def _resume(job: Job, options: BulkOptions) -> None:
    if rows := _job_environments(job, options):
        resume(job_environments=rows, actor=options.actor, now=timezone.now())


def _enable(job: Job, options: BulkOptions) -> None:
    _set_enabled(job, options, enabled=True)


def _disable(job: Job, options: BulkOptions) -> None:
    _set_enabled(job, options, enabled=False)


def _set_enabled(job: Job, options: BulkOptions, *, enabled: bool) -> None:
    """Make the change through the API's serializer, which checks plans and limits."""
    states = {row.environment.slug: {"enabled": enabled} for row in _job_environments(job, options)}
    locked = Job.objects.select_for_update(of=("self",)).select_related("current_version").get(pk=job.pk)
    context = {"workspace": job.workspace, "now": timezone.now()}
    serializer = JobSerializer(locked, data={"environments": states}, partial=True, context=context)
    serializer.is_valid(raise_exception=True)
    save_validated(serializer, actor=options.actor)


def _delete(job: Job, options: BulkOptions) -> None:
    delete_with_executions(job=job, actor=options.actor, now=timezone.now())


def _job_environments(job: Job, options: BulkOptions) -> list[JobEnvironment]:
    rows = job.job_environments.select_related("environment", "job__current_version").order_by("pk")
    return [row for row in rows if options.environment in ("", row.environment.slug)]


def _admin_action(bulk: BulkAction) -> Any:
    """The admin action of the list of jobs. `delete_selected` takes the place of Django's own."""

    def run(job_admin: "ModelAdmin[Any]", request: HttpRequest, jobs: JobQuerySet) -> HttpResponse | None:
        return _confirm_or_run(job_admin, request, jobs, bulk)

    run.__name__ = bulk.name
    variant = ActionVariant.DANGER if bulk.is_danger else ActionVariant.DEFAULT
    return action(run, description=bulk.label, icon=bulk.icon, variant=variant, permissions=["change"])


ACTIONS = [
    _admin_action(bulk)
    for bulk in (
        BulkAction(
            "Pause",
            "pause_circle",
            "They don't fire until the time below, or until they are resumed.",
            "Paused",
            _pause,
        ),
        BulkAction(
            "Resume",
            "play_circle",
            "They fire from their next occurrence on. Occurrences skipped during the pause stay skipped.",
            "Resumed",
            _resume,
        ),
        BulkAction("Enable", "toggle_on", "They fire from their next occurrence on.", "Enabled", _enable),
        BulkAction("Disable", "toggle_off", "They don't fire until they are enabled again.", "Disabled", _disable),
        BulkAction(
            "Delete",
            "delete",
            "They never fire again, and their slugs become free. Unfinished executions are canceled, history is kept.",
            "Deleted",
            _delete,
            is_danger=True,
        ),
    )
]


def _confirm_or_run(
    job_admin: "ModelAdmin[Any]", request: HttpRequest, jobs: JobQuerySet, bulk: BulkAction
) -> HttpResponse | None:
    """Render the confirmation, or carry out the action once confirmed. None leads back to the list."""
    selected = list(jobs.select_related("workspace").order_by("name", "pk")[: MOST + 1])
    if not selected:
        messages.warning(request, "No job is selected.")
        return None
    jobs_to_change = selected[:MOST]
    if request.POST.get("confirmed"):
        _run(job_admin, request, jobs_to_change, bulk)
        return None
    rows = JobEnvironment.objects.filter(job__in=jobs_to_change)
    context = {
        **base_context(job_admin, request, title=f"{bulk.label} jobs"),
        "bulk": bulk,
        "jobs": jobs_to_change,
        "named": jobs_to_change[:_NAMED],
        "unnamed": max(0, len(jobs_to_change) - _NAMED),
        "more": len(selected) > MOST,
        "environments": sorted(set(rows.values_list("environment__slug", flat=True))),
    }
    return TemplateResponse(request, "admin/jobs/job/confirm.html", context)


def _run(job_admin: "ModelAdmin[Any]", request: HttpRequest, jobs: Sequence[Job], bulk: BulkAction) -> None:
    """Carry out the action on each job in a transaction of its own, and report how it went."""
    environment, form = request.POST.get("environment", ""), None
    if bulk.apply is _pause:
        form = PauseForm(request.POST, environment=environment, zone="UTC")
        if not form.is_valid():
            messages.error(request, " ".join(str(text) for texts in form.errors.values() for text in texts))
            return
    options = BulkOptions(environment, Actor.of_user(request.user), form.cleaned_data if form else {})
    count, errors = 0, []
    for job in jobs:
        try:
            with transaction.atomic():
                _log(job_admin, request, job, bulk)
                bulk.apply(job, options)
        except ValidationError as error:
            errors.append(f"{job.name}: {next(field_errors(error.detail))['detail']}")
        except HourhandError as error:
            errors.append(f"{job.name}: {error.detail}")
        else:
            count += 1
    if count:
        messages.success(request, f"{bulk.done} {count} job{'' if count == 1 else 's'}.")
    for text in errors[:_SHOWN_ERRORS]:
        messages.error(request, text)
    if len(errors) > _SHOWN_ERRORS:
        messages.error(request, f"{len(errors) - _SHOWN_ERRORS} more jobs failed.")


def _log(job_admin: "ModelAdmin[Any]", request: HttpRequest, job: Job, bulk: BulkAction) -> None:
    """Add the action to Django's history."""
    if bulk.apply is _delete:
        job_admin.log_deletions(request, Job.objects.filter(pk=job.pk))
    else:
        job_admin.log_change(request, job, f"{bulk.done} by a bulk action.")
