"""The start page: what is wrong, what happened, what goes on, what comes next, and who is there to do it.

It costs a held number of queries, each of which reads roll-ups or ranges of an index, and it refreshes itself: a script
asks for its parts again and again.
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
from dashboard.accounts.access import DashboardAccess, access_of
from dashboard.base.charts import Moment, timeline
from dashboard.base.figures import SPANS, Measured, Span, measured, outcomes_calendar, span_named
from dashboard.base.headline import Headline, headline
from dashboard.base.house import SystemSummary
from dashboard.base.troubles import ShownTrouble, shown
from jobs.models import Job, JobEnvironment
from runs import restore_guard
from runs.models import Execution
from runs.monitoring import live, problem_jobs, system
from runs.monitoring.live import Present
from runs.stats.statistics import Subject, upcoming
from runs.stats.upcoming import Planned, firings_until

_AHEAD = datetime.timedelta(hours=1)
#: Jobs that are looked at for the time ahead, firings that are drawn, and those that are written.
_SOONEST, _DRAWN, _WRITTEN = 60, 240, 8
_FAILURES = 8


@dataclass(frozen=True, slots=True)
class Ahead:
    """The firings of the next hour; where there are none, the one that comes first."""

    line: SafeString
    firings: Sequence[Planned]
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """What the start page tells."""

    headline: Headline
    measured: Measured
    calendar: SafeString
    present: Present
    going_on: Sequence[Execution]
    ahead: Ahead
    failures: Sequence[Execution]
    troubled: Sequence[ShownTrouble]
    house: SystemSummary
    has_jobs: bool

    @classmethod
    def of(cls, access: DashboardAccess, span: Span, now: datetime.datetime) -> "Overview":
        places = tuple(access.narrow(Environment.objects.all()).values_list("pk", flat=True))
        subject = Subject(places)
        failed = problem_jobs.newest_failures(places, now=now)
        troubled = problem_jobs.in_trouble(access.narrow(JobEnvironment.objects.all()), failed, now=now)
        there = live.look(None if access.everything else list(access.roles))
        house = _house()
        return cls(
            headline=headline(
                house.processes,
                is_held=house.is_held,
                due_lag_seconds=house.due_lag_seconds,
                claim_lag_seconds=there.lag_seconds,
                troubled=troubled,
            ),
            measured=measured(subject, span, now),
            calendar=outcomes_calendar(subject, now),
            present=there,
            going_on=_executions((*there.running_ids, *there.waiting_ids)),
            ahead=_ahead(subject, now),
            failures=_executions([one.execution_id for one in failed[:_FAILURES]]),
            troubled=[shown(one, access, now) for one in troubled],
            house=house,
            has_jobs=access.narrow(Job.objects.live()).exists(),
        )


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold asks for the start page's context here."""
    return {**context, "title": "Overview", **_told(request)}


@require_GET
@never_cache
def parts(request: HttpRequest) -> HttpResponse:
    """The start page without what surrounds it, for the script that refreshes it."""
    return TemplateResponse(request, "hourhand/overview/parts.html", _told(request))


def _told(request: HttpRequest) -> dict[str, Any]:
    access, now, span = access_of(request), timezone.now(), span_named(request.GET.get("span"))
    return {
        "overview": Overview.of(access, span, now),
        "spans": SPANS,
        "span": span,
        "now_at": now,
        "several": access.several,
        "everything": access.everything,
        "may_write": access.writes_somewhere,
        "has_workspace": bool(access.workspaces),
    }


def _house() -> SystemSummary:
    with connection.cursor() as cursor:
        return SystemSummary(system.processes(cursor), system.due_lag_seconds(cursor), restore_guard.is_copy(cursor))


def _executions(ids: Sequence[Any]) -> list[Execution]:
    """These executions, in this order."""
    rows = Execution.objects.in_sight().light().select_related("job", "environment", "workspace").in_bulk(list(ids))
    return [rows[one] for one in ids if one in rows]


def _ahead(subject: Subject, now: datetime.datetime) -> Ahead:
    end = now + _AHEAD
    soonest = upcoming(subject, count=_SOONEST)
    planned = firings_until(max(end, soonest[0].scheduled_for) if soonest else end, soonest, most=_DRAWN)
    moments = [Moment(one.at, f"{one.at:%H:%M:%S} {one.place.job.name}") for one in planned if now <= one.at <= end]
    return Ahead(
        line=timeline("Firings of the next hour", now, end, moments),
        firings=planned[:_WRITTEN],
        is_cut=len(planned) == _DRAWN or len(soonest) == _SOONEST,
    )
