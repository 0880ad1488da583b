"""The ledger on a job's page: planned and recorded occurrences, and why the job did or did not run at an instant."""

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from core.instants import InvalidInstantError, read_instant
from core.words import SKIP_REASONS, Appearance
from dashboard.base import chips
from jobs.models import Job, JobEnvironment
from jobs.schedule import display_zone
from runs.ledger.comparison import Ledger
from runs.ledger.explain import Explanation, LedgerVerdict, explain
from runs.ledger.read import LedgerAccount, accounts_of

#: How far back the page looks: less for a job that fires very often.
_SPANS = (
    ("24 hours", datetime.timedelta(hours=24)),
    ("hour", datetime.timedelta(hours=1)),
    ("minute", datetime.timedelta(minutes=1)),
)
#: Most occurrences that the page compares for one environment; the API compares more.
_MOST_OCCURRENCES = 4_000
_LOOKS = {
    LedgerVerdict.FIRED: Appearance("Fired", "ok", "check_circle"),
    LedgerVerdict.SKIPPED: Appearance("Skipped", "warn", "redo"),
    LedgerVerdict.DUE: Appearance("Due", "wait", "schedule"),
    LedgerVerdict.LOST: Appearance("Lost", "bad", "error"),
    LedgerVerdict.PRUNED: Appearance("Pruned", "idle", "history_toggle_off"),
    LedgerVerdict.TO_COME: Appearance("Upcoming", "wait", "schedule"),
    LedgerVerdict.NOT_PLANNED: Appearance("Not scheduled", "idle", "event_busy"),
    LedgerVerdict.MANUAL: Appearance("No schedule", "idle", "touch_app"),
    LedgerVerdict.DISABLED: Appearance("Disabled", "idle", "toggle_off"),
    LedgerVerdict.ENDED: Appearance("Completed", "idle", "done_all"),
    LedgerVerdict.DELETED: Appearance("Deleted", "idle", "delete"),
    LedgerVerdict.NOT_YET: Appearance("Not created yet", "idle", "event_upcoming"),
    LedgerVerdict.UNREADABLE: Appearance("Unreadable", "bad", "error"),
}


@dataclass(frozen=True, slots=True)
class LedgerSummary:
    """The recent ledger of one environment. `skipped` are counts with the meaning of their reasons.

    `since` is the beginning of the history, if that is within the span.
    """

    environment: str
    span: str
    ledger: Ledger
    skipped: tuple[tuple[int, str], ...]
    since: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class LedgerAnswer:
    """Why the job did or did not run at the instant asked for."""

    chip: str
    environment: str
    explanation: Explanation


def ledger_context(request: HttpRequest, job: Job, *, timezone: str, now: datetime.datetime) -> dict[str, Any]:
    """The card's context. Its form comes back to the page with `at`, `zone` and `environment` as query parameters."""
    parameters = request.GET
    job_environments = list(
        job.job_environments.select_related("job", "environment").order_by("environment__created_at", "pk")
    )
    zones = tuple(dict.fromkeys((timezone, "UTC")))
    zone = parameters["zone"] if parameters.get("zone") in zones else zones[0]
    text = parameters.get("at", "")
    at, job_environment = (
        _instant(text, display_zone(zone)),
        _chosen(job_environments, parameters.get("environment", "")),
    )
    return {
        "summaries": _summaries(job_environments, now),
        "environments": [job_environment.environment.slug for job_environment in job_environments],
        "zones": zones,
        "zone": display_zone(zone),
        "at_text": text,
        "environment": job_environment.environment.slug if job_environment else "",
        "zone_name": zone,
        "is_unclear": bool(text) and at is None,
        "answer": _answer(job_environment, at, now) if at and job_environment else None,
    }


def _instant(text: str, zone: datetime.tzinfo) -> datetime.datetime | None:
    """Read what a browser's datetime field sends, in the time of `zone`; None for anything else."""
    try:
        return read_instant(text, zone=zone)
    except InvalidInstantError:
        return None


def _chosen(job_environments: Sequence[JobEnvironment], slug: str) -> JobEnvironment | None:
    """The environment of this slug, else the first that the job is enabled in, else the first."""
    named = [row for row in job_environments if row.environment.slug == slug]
    enabled = [row for row in job_environments if row.enabled]
    return next(iter([*named, *enabled, *job_environments]), None)


def _summaries(job_environments: Sequence[JobEnvironment], now: datetime.datetime) -> list[LedgerSummary]:
    """Each environment's ledger over the longest span with few enough occurrences: one query set a span for all."""
    summaries: dict[uuid.UUID, LedgerSummary] = {}
    for name, span in _SPANS:
        missing = [row for row in job_environments if row.pk not in summaries]
        accounts = accounts_of(missing, start=now - span, end=now, now=now, most=_MOST_OCCURRENCES) if missing else {}
        for row in missing:
            if account := accounts[row.pk]:
                summaries[row.pk] = _summary(row, name, account)
    return [summaries[row.pk] for row in job_environments if row.pk in summaries]


def _summary(job_environment: JobEnvironment, span: str, account: LedgerAccount) -> LedgerSummary:
    counts = account.ledger.skipped.items()
    skipped = tuple((count, SKIP_REASONS.get(reason, reason)) for reason, count in counts)
    since = account.history_from if account.history_from == account.start else None
    return LedgerSummary(job_environment.environment.slug, span, account.ledger, skipped, since)


def _answer(job_environment: JobEnvironment, at: datetime.datetime, now: datetime.datetime) -> LedgerAnswer:
    explanation = explain(job_environment, at=at, now=now)
    chip = chips.chip(_LOOKS[explanation.verdict])
    return LedgerAnswer(chip, job_environment.environment.slug, explanation)
