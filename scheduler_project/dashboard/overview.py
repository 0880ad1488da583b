"""The start page: what happened lately, what goes on, what comes next, what needs a person."""

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin.access import Access, access_of
from jobs.models import Job, JobEnvironment
from runs.models import Execution
from runs.states import LIVE, ExecutionStatus
from scheduler_project.dashboard.words import STATUSES, Appearance

_SPAN = datetime.timedelta(hours=24)
_ROWS = 8
_FIRINGS = 10
#: At most so many of the newest executions are looked at, so that the page costs the same at any rate of firing.
COUNTED = 10_000
_SHOWN = ("succeeded", "failed", "running", "pending")


@dataclass(frozen=True, slots=True)
class Tile:
    """One number of the start page, and where it leads."""

    look: Appearance
    count: int
    query: str
    note: str


@dataclass(frozen=True, slots=True)
class Overview:
    """What the start page tells."""

    tiles: tuple[Tile, ...]
    is_cut: bool
    live: Sequence[Execution]
    upcoming: Sequence[JobEnvironment]
    failures: Sequence[Execution]
    troubled: Sequence[JobEnvironment]
    has_jobs: bool

    @classmethod
    def of(cls, access: Access, now: datetime.datetime) -> "Overview":
        recent = _recent(access, now)
        ended = _ended(recent)
        going_on = _live(access)
        return cls(
            tiles=_tiles(ended, going_on),
            is_cut=sum(ended.values()) >= COUNTED,
            live=_light(access.narrow(_live_rows())).order_by("next_attempt_at")[:_ROWS],
            upcoming=access.narrow(_places().upcoming())[:_FIRINGS],
            failures=_light(recent.filter(status=ExecutionStatus.FAILED))[:_ROWS],
            troubled=_troubled(access, now),
            has_jobs=access.narrow(Job.objects.live()).exists(),
        )


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold asks for the start page's context here."""
    access, now = access_of(request), timezone.now()
    return {
        **context,
        "title": "Overview",
        "overview": Overview.of(access, now),
        "now_at": now,
        "may_write": access.writes_somewhere,
        "has_workspace": bool(access.workspaces),
    }


def _recent(access: Access, now: datetime.datetime) -> QuerySet[Execution]:
    """The newest executions of the last day, at most COUNTED: a stretch of the index of history.

    Across workspaces it is a stretch of the primary key, whose UUIDv7 begins with the instant of creation.
    """
    since = now - _SPAN
    if access.several:
        column, rows = "pk", Execution.objects.filter(pk__gte=_first_id(since), due_at__lte=now)
    else:
        column, rows = "due_at", Execution.objects.filter(due_at__gte=since, due_at__lte=now)
    rows = access.narrow(rows.in_sight()).order_by(f"-{column}")
    edge = rows.values_list(column, flat=True)[COUNTED - 1 : COUNTED].first()
    return rows if edge is None else rows.filter(**{f"{column}__gte": edge})


def _first_id(at: datetime.datetime) -> uuid.UUID:
    """The smallest UUIDv7 of this millisecond (RFC 9562, section 5.7)."""
    return uuid.UUID(int=int(at.timestamp() * 1000) << 80 | 0x7 << 76 | 0b10 << 62)


def _ended(recent: QuerySet[Execution]) -> dict[str, int]:
    rows = recent.filter(finished_at__isnull=False).order_by().values("status")
    return {row["status"]: row["count"] for row in rows.annotate(count=Count("pk"))}


def _live(access: Access) -> dict[str, int]:
    live = access.narrow(_live_rows())
    return {row["status"]: row["count"] for row in live.values("status").annotate(count=Count("pk")).order_by()}


def _live_rows() -> Any:
    return Execution.objects.filter(finished_at=None).in_sight()


def _tiles(ended: dict[str, int], going_on: dict[str, int]) -> tuple[Tile, ...]:
    counts = {**ended, **going_on}
    shown = [*_SHOWN, *(status for status in STATUSES if status not in _SHOWN and counts.get(status))]
    return tuple(
        Tile(
            STATUSES[status],
            counts.get(status, 0),
            f"?status={status}" if status in LIVE else f"?status={status}&since=24h",
            "now" if status in LIVE else "in 24 hours",
        )
        for status in shown
    )


def _light(executions: Any) -> Any:
    return executions.light().select_related("job", "environment")


def _places() -> Any:
    return JobEnvironment.objects.select_related("job", "environment")


def _troubled(access: Access, now: datetime.datetime) -> list[JobEnvironment]:
    """Jobs that fail again and again, or are paused; the worst first."""
    paused = Q(paused_at__isnull=False) & (Q(paused_until__isnull=True) | Q(paused_until__gt=now))
    rows = _places().filter(Q(consecutive_failures__gt=0) | paused, enabled=True, job__deleted_at__isnull=True)
    return list(access.narrow(rows).order_by("-consecutive_failures", "-pk")[:_ROWS])
