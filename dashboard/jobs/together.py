"""What is done to many jobs together: asked first, with their number and names, then done to each by the API's verb.

Deleting reaches executions: its confirmation is asked here, and answered by `dashboard.runs.buttons`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from accounts.actors import Actor
from api.base.problems import field_errors
from api.jobs.serializers import JobSerializer, save_validated
from core.errors import HourhandError
from dashboard.accounts.access import access_of
from dashboard.accounts.listing import Doing, asked_query, back_to_list
from dashboard.jobs.filters import JobsShown, jobs_shown
from dashboard.jobs.pausing import PauseForm
from dashboard.jobs.reach import base_context, parsed
from jobs.models import Job, JobEnvironment
from jobs.services.save import pause, resume

#: So many jobs at once: each is saved by itself, and a request should end in a few seconds.
MOST = 200
_NAMED = 20
LIST = "admin:jobs_job_changelist"
_DELETING = "admin:runs_execution_delete_jobs"
_TOLD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DoingToJobs(Doing):
    """One thing to do to jobs, with the words of its confirmation and of what came of it."""

    means: str
    done: str


DOINGS = {
    "pause": DoingToJobs(
        "Pause",
        "pause_circle",
        means="They do not fire until the time you name, or until somebody resumes them.",
        done="Paused",
    ),
    "resume": DoingToJobs(
        "Resume", "play_circle", means="None fires at once, and nothing that was paused is caught up.", done="Resumed"
    ),
    "enable": DoingToJobs("Enable", "toggle_on", means="Each fires from its next planned time on.", done="Enabled"),
    "disable": DoingToJobs(
        "Disable", "toggle_off", means="They fire no more until somebody enables them.", done="Disabled"
    ),
    "delete": DoingToJobs(
        "Delete",
        "delete",
        danger=True,
        means="They never fire again, and their slugs are free. What has not ended is canceled. Their history stays.",
        done="Deleted",
    ),
}


def ask(job_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    """Say how many jobs are meant, which, and what would happen to them."""
    doing = DOINGS.get(request.POST.get("doing", ""))
    if doing is None or not access_of(request).writes_somewhere:
        raise PermissionDenied
    query = asked_query(request)
    if request.POST.get("all"):
        found = _all_that_match(request, query)
    else:
        found = writable_jobs(request, request.POST.getlist("job"))
    if not found:
        messages.warning(request, "No job is selected.")
        return back_to_list(request, LIST)
    jobs = found[:MOST]
    places = JobEnvironment.objects.filter(job__in=jobs).values_list("environment__slug", flat=True)
    context = {
        **base_context(job_admin, request, title=f"{doing.label} jobs"),
        "doing": doing,
        "name": request.POST["doing"],
        "jobs": jobs,
        "named": jobs[:_NAMED],
        "unnamed": max(0, len(jobs) - _NAMED),
        "more": len(found) > MOST,
        "ids": ",".join(str(job.pk) for job in jobs),
        "places": sorted(set(places)),
        "query": query.urlencode(),
        "target": _DELETING if request.POST["doing"] == "delete" else "admin:jobs_job_together_done",
    }
    return TemplateResponse(request, "admin/jobs/job/confirm.html", context)


def do(job_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    name = request.POST.get("doing", "")
    act = _ACTS.get(name)
    if act is None or not access_of(request).writes_somewhere:
        raise PermissionDenied
    form = PauseForm(request.POST, environment=request.POST.get("environment", ""), zone="UTC")
    if name == "pause" and not form.is_valid():
        messages.error(request, " ".join(str(text) for texts in form.errors.values() for text in texts))
        return back_to_list(request, LIST)
    asked = _Asked(
        request.POST.get("environment", ""), Actor.of_user(request.user), form.cleaned_data if name == "pause" else {}
    )

    def each(job: Job) -> None:
        act(job, asked)
        job_admin.log_change(request, job, f"{DOINGS[name].done} together with others.")

    tell(request, DOINGS[name].done, done_to_each(sent_jobs(request), each))
    return back_to_list(request, LIST)


def sent_jobs(request: HttpRequest) -> list[Job]:
    """The jobs that a confirmation was asked for."""
    return writable_jobs(request, request.POST.get("ids", "").split(","))[:MOST]


def writable_jobs(request: HttpRequest, references: Sequence[str]) -> list[Job]:
    """Those of these jobs that are there and that this person may change, by name."""
    ids = [parsed(reference) for reference in references if reference][: MOST + 1]
    return [job for job in _in_sight(request).filter(pk__in=ids) if access_of(request).writes(job.workspace_id)]


def done_to_each(jobs: Sequence[Job], act: Callable[[Job], None]) -> tuple[int, list[str]]:
    """Do it to each by itself. Returns to how many it was done, and what was refused."""
    count, refused = 0, []
    for job in jobs:
        try:
            with transaction.atomic():
                act(job)
        except ValidationError as error:
            refused.append(f"{job.name}: {next(field_errors(error.detail))['detail']}")
        except HourhandError as error:
            refused.append(f"{job.name}: {error.detail}")
        else:
            count += 1
    return count, refused


def tell(request: HttpRequest, done: str, outcome: tuple[int, list[str]]) -> None:
    count, refused = outcome
    if count:
        messages.success(request, f"{done} {count} job{'' if count == 1 else 's'}.")
    for told in refused[:_TOLD]:
        messages.error(request, told)
    if len(refused) > _TOLD:
        messages.error(request, f"And {len(refused) - _TOLD} more were refused.")


@dataclass(frozen=True, slots=True)
class _Asked:
    """Where (everywhere the job is, when empty), by whom, and what a pause wants besides."""

    environment: str
    actor: Actor
    pausing: dict[str, Any]


def _pause(job: Job, asked: _Asked) -> None:
    if rows := _places(job, asked):
        pause(
            job_environments=rows, until=asked.pausing["until"], note=asked.pausing["note"], actor=asked.actor,
            now=timezone.now(),
        )  # fmt: skip


def _resume(job: Job, asked: _Asked) -> None:
    if rows := _places(job, asked):
        resume(job_environments=rows, actor=asked.actor, now=timezone.now())


def _switch(job: Job, asked: _Asked, *, enabled: bool) -> None:
    """Judged as the API judges the same change."""
    states = {row.environment.slug: {"enabled": enabled} for row in _places(job, asked)}
    locked = Job.objects.select_for_update(of=("self",)).select_related("current_version").get(pk=job.pk)
    context = {"workspace": job.workspace, "now": timezone.now()}
    serializer = JobSerializer(locked, data={"environments": states}, partial=True, context=context)
    serializer.is_valid(raise_exception=True)
    save_validated(serializer, actor=asked.actor)


_ACTS: dict[str, Callable[[Job, _Asked], None]] = {
    "pause": _pause,
    "resume": _resume,
    "enable": lambda job, asked: _switch(job, asked, enabled=True),
    "disable": lambda job, asked: _switch(job, asked, enabled=False),
}


def _places(job: Job, asked: _Asked) -> list[JobEnvironment]:
    rows = list(job.job_environments.select_related("environment", "job__current_version").order_by("pk"))
    return [row for row in rows if asked.environment in ("", row.environment.slug)]


def _all_that_match(request: HttpRequest, query: QueryDict) -> list[Job]:
    """One more than can be done at once tells that there are more."""
    asked = JobsShown.read(query)
    among = [one for one in access_of(request).workspaces if asked.get("workspace", one.slug) == one.slug]
    among = [one for one in among if access_of(request).writes(one.pk)]
    found = jobs_shown(asked, among).select_related("workspace")
    return list(found.order_by("name", "pk")[: MOST + 1])


def _in_sight(request: HttpRequest) -> Any:
    return access_of(request).narrow(Job.objects.live()).select_related("workspace").order_by("name", "pk")
