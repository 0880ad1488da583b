"""A job in trouble as the start page shows it: what is wrong, how it went lately, and what to press."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.safestring import SafeString

from core.words import Appearance, instant_words, relative_words
from dashboard.accounts.access import DashboardAccess
from dashboard.base.charts import Mark, strip
from jobs.models import JobEnvironment
from runs.monitoring.problem_jobs import ProblemKind, Troubled
from runs.states import ExecutionStatus


@dataclass(frozen=True, slots=True)
class ShownTrouble:
    """`see` leads to what explains it, under the words `see_words`; `resumable`: whoever looks may end its pause."""

    place: JobEnvironment
    looks: Sequence[Appearance]
    words: str
    lately: SafeString
    see: str
    see_words: str
    resumable: bool


def shown(one: Troubled, access: DashboardAccess, now: datetime.datetime) -> ShownTrouble:
    place, kinds = one.place, one.kinds
    see, see_words = _job(place), "Look at the job"
    if ProblemKind.LATE in kinds:
        see, see_words = f"{reverse('admin:runs_execution_changelist')}?job={place.job_id}&status=pending", "Queue"
    elif (failure_id := one.lately.latest_failure_id) is not None and kinds != (ProblemKind.PAUSED,):
        see, see_words = _execution(failure_id), "See why"
    return ShownTrouble(
        place=place,
        looks=[_look(kind, place) for kind in kinds],
        words="; ".join(filter(None, (_words(kind, place, now) for kind in kinds))),
        lately=_strip(one),
        see=see,
        see_words=see_words,
        resumable=ProblemKind.PAUSED in kinds and access.writes(place.workspace_id),
    )


def _strip(one: Troubled) -> SafeString:
    if not one.lately.outcomes:
        return SafeString("")
    failed = sum(outcome.status == ExecutionStatus.FAILED for outcome in one.lately.outcomes)
    marks = [
        Mark(outcome.status, f"{outcome.status}, {instant_words(outcome.due_at)} UTC")
        for outcome in one.lately.outcomes
    ]
    return strip(f"{failed} of its latest {len(marks)} executions failed", marks)


def _look(kind: ProblemKind, place: JobEnvironment) -> Appearance:
    count = place.consecutive_failures
    return {
        ProblemKind.LATE: Appearance("Late", "bad", "timer"),
        ProblemKind.FAILING: Appearance("Failed" if count == 1 else f"{count} in a row", "bad", "trending_down"),
        ProblemKind.FLAPPING: Appearance("Flapping", "warn", "swap_vert"),
        ProblemKind.PAUSED: Appearance("Paused", "warn", "pause_circle"),
    }[kind]


def _words(kind: ProblemKind, place: JobEnvironment, now: datetime.datetime) -> str:
    if kind is ProblemKind.LATE and place.next_fire_at:
        return f"was due {relative_words(place.next_fire_at, now)} and is not fired"
    if kind is ProblemKind.PAUSED:
        until = f"until {instant_words(place.paused_until)} UTC" if place.paused_until else "until somebody resumes it"
        return f"{until}: {place.pause_note}" if place.pause_note else until
    return ""


def _job(place: JobEnvironment) -> str:
    return reverse("admin:jobs_job_page", args=[place.job_id])


def _execution(execution_id: object) -> str:
    return reverse("admin:runs_execution_change", args=[execution_id])
