"""A job with a problem on the start page: what is wrong, its recent outcomes, and what to do."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.safestring import SafeString

from core.words import Appearance, instant_words, relative_words
from dashboard.base.access import DashboardAccess
from dashboard.base.charts import Mark, strip
from jobs.models import JobEnvironment
from runs.monitoring.problem_jobs import ProblemJob, ProblemKind
from runs.states import ExecutionStatus


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """`url` leads to the cause, with `link` as its label; `may_resume`: the person may end its pause."""

    job_environment: JobEnvironment
    chips: Sequence[Appearance]
    words: str
    outcomes: SafeString
    url: str
    link: str
    may_resume: bool


def problem_row(troubled: ProblemJob, access: DashboardAccess, now: datetime.datetime) -> ProblemRow:
    job_environment, kinds = troubled.job_environment, troubled.kinds
    url, link = reverse("admin:jobs_job_page", args=[job_environment.job_id]), "Open job"
    failure_id = troubled.recent.latest_failure_id
    if ProblemKind.LATE in kinds:
        executions = reverse("admin:runs_execution_changelist")
        url, link = f"{executions}?job={job_environment.job_id}&status=pending", "Queue"
    elif troubled.undelivered_id is not None and ProblemKind.FAILING not in kinds:
        url, link = reverse("admin:runs_execution_change", args=[troubled.undelivered_id]), "Latest callback"
    elif failure_id is not None and kinds != (ProblemKind.PAUSED,):
        url, link = reverse("admin:runs_execution_change", args=[failure_id]), "Latest failure"
    return ProblemRow(
        job_environment=job_environment,
        chips=[_appearance(kind, job_environment) for kind in kinds],
        words="; ".join(filter(None, (_words(kind, job_environment, now) for kind in kinds))),
        outcomes=_strip(troubled),
        url=url,
        link=link,
        may_resume=ProblemKind.PAUSED in kinds and access.writes(job_environment.workspace_id),
    )


def _strip(troubled: ProblemJob) -> SafeString:
    outcomes = troubled.recent.outcomes
    if not outcomes:
        return SafeString("")
    failed = sum(outcome.status == ExecutionStatus.FAILED for outcome in outcomes)
    marks = [Mark(outcome.status, f"{outcome.status}, {instant_words(outcome.due_at)} UTC") for outcome in outcomes]
    return strip(f"{failed} of its latest {len(marks)} executions failed", marks)


def _appearance(kind: ProblemKind, job_environment: JobEnvironment) -> Appearance:
    count = job_environment.consecutive_failures
    return {
        ProblemKind.LATE: Appearance("Late", "bad", "timer"),
        ProblemKind.FAILING: Appearance("Failed" if count == 1 else f"{count} in a row", "bad", "trending_down"),
        ProblemKind.FLAPPING: Appearance("Flapping", "warn", "swap_vert"),
        ProblemKind.CALLBACKS: Appearance("Callbacks failed", "warn", "notification_important"),
        ProblemKind.PAUSED: Appearance("Paused", "warn", "pause_circle"),
    }[kind]


def _words(kind: ProblemKind, job_environment: JobEnvironment, now: datetime.datetime) -> str:
    if kind is ProblemKind.LATE and job_environment.next_fire_at:
        return f"due {relative_words(job_environment.next_fire_at, now)}, not fired yet"
    if kind is ProblemKind.CALLBACKS:
        return "callbacks of the last 24 hours were given up"
    if kind is ProblemKind.PAUSED:
        until = job_environment.paused_until
        words = f"until {instant_words(until)} UTC" if until else "until resumed"
        return f"{words}: {job_environment.pause_note}" if job_environment.pause_note else words
    return ""
