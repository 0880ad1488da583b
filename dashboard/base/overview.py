"""The start page: problems, statistics, executions in progress, next firings, and the state of the system.

It costs a fixed number of queries, each of which reads roll-ups or ranges of an index: a script refreshes its parts
every few seconds.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts.models import Environment
from dashboard.base.access import DashboardAccess, access_of
from dashboard.base.charts import Moment, timeline
from dashboard.base.figures import SPANS, Span, SpanStatistics, measured, outcomes_calendar, span_named
from dashboard.base.headline import Headline, headline
from dashboard.base.problems import ProblemRow, problem_row
from dashboard.base.system import SystemSummary
from dashboard.workflows.waiting import WaitingForYou, approver_of
from jobs.models import Job, JobEnvironment
from runs import restore_guard
from runs.models import Execution
from runs.monitoring import live, problem_jobs, system
from runs.monitoring.live import LiveCounts
from runs.stats.statistics import Subject, upcoming
from runs.stats.upcoming import Planned, firings_until
from runs.workflows.awaiting import ApproverAccess

_AHEAD = datetime.timedelta(hours=1)
#: Jobs read for the next hour, firings in its timeline, and those in the list below.
_SOONEST, _DRAWN, _LISTED = 60, 240, 8
_FAILURES = 8


@dataclass(frozen=True, slots=True)
class UpcomingFirings:
    """The firings of the next hour; if there are none, the next one. `is_cut`: not all are included."""

    timeline: SafeString
    firings: Sequence[Planned]
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on the start page."""

    headline: Headline
    measured: SpanStatistics
    calendar: SafeString
    present: LiveCounts
    in_progress: Sequence[Execution]
    upcoming: UpcomingFirings
    failures: Sequence[Execution]
    problems: Sequence[ProblemRow]
    waiting: WaitingForYou
    system: SystemSummary
    has_jobs: bool

    @classmethod
    def of(cls, access: DashboardAccess, span: Span, now: datetime.datetime, *, approver: ApproverAccess) -> "Overview":
        environment_ids = tuple(access.narrow(Environment.objects.all()).values_list("pk", flat=True))
        subject = Subject(environment_ids)
        failures = problem_jobs.newest_failures(environment_ids, now=now)
        undelivered = problem_jobs.undelivered_callbacks(environment_ids, now=now)
        troubled = problem_jobs.find_problem_jobs(
            access.narrow(JobEnvironment.objects.all()), failures, undelivered=undelivered, now=now
        )
        present = live.count_live(None if access.everything else list(access.roles))
        summary = _system_summary()
        return cls(
            headline=headline(
                summary.processes,
                is_held=summary.is_held,
                due_lag_seconds=summary.due_lag_seconds,
                claim_lag_seconds=present.lag_seconds,
                troubled=troubled,
            ),
            measured=measured(subject, span, now),
            calendar=outcomes_calendar(subject, now),
            present=present,
            in_progress=_executions((*present.running_ids, *present.waiting_ids)),
            upcoming=_upcoming_firings(subject, now),
            failures=_executions([failure.execution_id for failure in failures[:_FAILURES]]),
            problems=[problem_row(each, access, now) for each in troubled],
            waiting=WaitingForYou.of(approver, now),
            system=summary,
            has_jobs=access.narrow(Job.objects.live()).exists(),
        )


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's callback for the context of the start page."""
    return {**context, "title": "Overview", **_context(request)}


@require_GET
@never_cache
def parts(request: HttpRequest) -> HttpResponse:
    """The parts of the start page without its frame, for the script that refreshes them."""
    return TemplateResponse(request, "hourhand/overview/parts.html", _context(request))


def _context(request: HttpRequest) -> dict[str, Any]:
    access, now, span = access_of(request), timezone.now(), span_named(request.GET.get("span"))
    return {
        "overview": Overview.of(access, span, now, approver=approver_of(request)),
        "spans": SPANS,
        "span": span,
        "now_at": now,
        "several": access.several,
        "everything": access.everything,
        "may_write": access.writes_somewhere,
        "has_workspace": bool(access.workspaces),
    }


def _system_summary() -> SystemSummary:
    with connection.cursor() as cursor:
        return SystemSummary(system.processes(cursor), system.due_lag_seconds(cursor), restore_guard.is_copy(cursor))


def _executions(ids: Sequence[Any]) -> list[Execution]:
    """The executions of these ids, in this order."""
    rows = Execution.objects.in_sight().light().select_related("job", "environment", "workspace").in_bulk(list(ids))
    return [rows[execution_id] for execution_id in ids if execution_id in rows]


def _upcoming_firings(subject: Subject, now: datetime.datetime) -> UpcomingFirings:
    end = now + _AHEAD
    soonest = upcoming(subject, count=_SOONEST)
    firings = firings_until(max(end, soonest[0].scheduled_for) if soonest else end, soonest, most=_DRAWN)
    moments = [
        Moment(firing.at, f"{firing.at:%H:%M:%S} {firing.job_environment.job.name}")
        for firing in firings
        if now <= firing.at <= end
    ]
    return UpcomingFirings(
        timeline=timeline("Firings of the next hour", now, end, moments),
        firings=firings[:_LISTED],
        is_cut=len(firings) == _DRAWN or len(soonest) == _SOONEST,
    )
