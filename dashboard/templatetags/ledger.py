"""The ledger on a job's page: the page belongs to jobs, and what was recorded to runs."""

import datetime
import uuid
from dataclasses import dataclass
from typing import Any

from django import template

from core.instants import InvalidInstantError, read_instant
from core.words import SKIP_REASONS, Appearance
from dashboard.base import chips
from jobs.models import Job, JobEnvironment
from jobs.schedule import zone_to_show
from runs.ledger.comparison import Ledger
from runs.ledger.explain import Explanation, LedgerVerdict, explain
from runs.ledger.read import LedgerAccount, accounts_of

register = template.Library()

#: How far back the page looks: less for a job that fires very often.
_SPANS = (
    ("24 hours", datetime.timedelta(hours=24)),
    ("hour", datetime.timedelta(hours=1)),
    ("minute", datetime.timedelta(minutes=1)),
)
#: Most occurrences that the page compares for one environment; the API compares more.
_MOST_PLANNED = 4_000
_LOOKS = {
    LedgerVerdict.FIRED: Appearance("Fired", "ok", "check_circle"),
    LedgerVerdict.SKIPPED: Appearance("Skipped", "warn", "redo"),
    LedgerVerdict.DUE: Appearance("Due", "wait", "schedule"),
    LedgerVerdict.LOST: Appearance("Lost", "bad", "error"),
    LedgerVerdict.PRUNED: Appearance("Not kept", "idle", "history_toggle_off"),
    LedgerVerdict.TO_COME: Appearance("To come", "wait", "schedule"),
    LedgerVerdict.NOT_PLANNED: Appearance("Not planned", "idle", "event_busy"),
    LedgerVerdict.MANUAL: Appearance("No schedule", "idle", "touch_app"),
    LedgerVerdict.DISABLED: Appearance("Disabled", "idle", "toggle_off"),
    LedgerVerdict.ENDED: Appearance("Completed", "idle", "done_all"),
    LedgerVerdict.DELETED: Appearance("Deleted", "idle", "delete"),
    LedgerVerdict.NOT_YET: Appearance("Not there yet", "idle", "event_upcoming"),
}


@dataclass(frozen=True, slots=True)
class Reckoning:
    """The ledger of one environment lately. `skipped` are counts with what their reasons mean.

    `since` is where the history begins, if that is within the span.
    """

    place: str
    span: str
    ledger: Ledger
    skipped: tuple[tuple[int, str], ...]
    since: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class LedgerAnswer:
    """Why it did or did not run at the instant asked for."""

    chip: str
    place: str
    found: Explanation


@register.inclusion_tag("admin/runs/ledger.html", takes_context=True)
def ledger(context: dict[str, Any], job: Job) -> dict[str, Any]:
    """The card of a job's page. The form comes back to the page with `at`, `zone` and `environment` in its address."""
    asked, now = context["request"].GET, context["now_at"]
    rows = list(job.job_environments.select_related("job", "environment").order_by("environment__created_at", "pk"))
    zones = tuple(dict.fromkeys((context["config"]["timezone"], "UTC")))
    zone = asked.get("zone") if asked.get("zone") in zones else zones[0]
    text, place = asked.get("at", ""), asked.get("environment", "")
    at, row = _instant(text, zone_to_show(zone)), _meant(rows, place)
    return {
        "job": job,
        "reckonings": _reckonings(rows, now),
        "environments": [one.environment.slug for one in rows],
        "zones": zones,
        "zone": zone_to_show(zone),
        "asked_at": text,
        "asked_environment": row.environment.slug if row else "",
        "asked_zone": zone,
        "is_unclear": bool(text) and at is None,
        "answer": _answer(row, at, now) if at and row else None,
    }


def _instant(text: str, zone: datetime.tzinfo) -> datetime.datetime | None:
    """What a browser's datetime field sends, on the wall clock of `zone`; None for anything else."""
    try:
        return read_instant(text, zone=zone)
    except InvalidInstantError:
        return None


def _meant(rows: list[JobEnvironment], place: str) -> JobEnvironment | None:
    """The environment asked about: the one named, else the first that the job is enabled in, else the first."""
    named = [row for row in rows if row.environment.slug == place]
    return next(iter([*named, *(row for row in rows if row.enabled), *rows]), None)


def _reckonings(rows: list[JobEnvironment], now: datetime.datetime) -> list[Reckoning]:
    """The ledger of each environment, as far back as its occurrences are few: the same few queries for all of them."""
    found: dict[uuid.UUID, Reckoning] = {}
    for name, span in _SPANS:
        missing = [row for row in rows if row.pk not in found]
        accounts = accounts_of(missing, start=now - span, end=now, now=now, most=_MOST_PLANNED) if missing else {}
        for row in missing:
            if account := accounts[row.pk]:
                found[row.pk] = _reckoning(row, name, account)
    return [found[row.pk] for row in rows if row.pk in found]


def _reckoning(row: JobEnvironment, span: str, account: LedgerAccount) -> Reckoning:
    counts = account.ledger.skipped.items()
    skipped = tuple((count, SKIP_REASONS.get(reason, reason)) for reason, count in counts)
    since = account.history_from if account.history_from == account.start else None
    return Reckoning(row.environment.slug, span, account.ledger, skipped, since)


def _answer(row: JobEnvironment, at: datetime.datetime, now: datetime.datetime) -> LedgerAnswer:
    found = explain(row, at=at, now=now)
    return LedgerAnswer(chips.chip(_LOOKS[found.verdict]), row.environment.slug, found)
