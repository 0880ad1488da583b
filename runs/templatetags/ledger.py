"""The ledger on a job's page: the page belongs to jobs, and what was recorded to runs."""

import datetime
from dataclasses import dataclass
from typing import Any

from django import template
from django.utils.dateparse import parse_datetime

from jobs.models import Job, JobEnvironment
from runs.accounting import account_of
from runs.explaining import Explanation, Verdict, explain
from runs.ledger import Ledger, TooManyPlannedError
from scheduler_project.dashboard import chips
from scheduler_project.dashboard.words import SKIP_REASONS, Appearance

register = template.Library()

#: How far back the page looks: less for a job that fires very often.
_SPANS = (("24 hours", datetime.timedelta(hours=24)), ("hour", datetime.timedelta(hours=1)))
_LOOKS = {
    Verdict.FIRED: Appearance("Fired", "ok", "check_circle"),
    Verdict.SKIPPED: Appearance("Skipped", "warn", "redo"),
    Verdict.DUE: Appearance("Due", "wait", "schedule"),
    Verdict.LOST: Appearance("Lost", "bad", "error"),
    Verdict.PRUNED: Appearance("Not kept", "idle", "history_toggle_off"),
    Verdict.TO_COME: Appearance("To come", "wait", "schedule"),
    Verdict.NOT_PLANNED: Appearance("Not planned", "idle", "event_busy"),
    Verdict.MANUAL: Appearance("No schedule", "idle", "touch_app"),
    Verdict.DISABLED: Appearance("Disabled", "idle", "toggle_off"),
    Verdict.ENDED: Appearance("Completed", "idle", "done_all"),
    Verdict.DELETED: Appearance("Deleted", "idle", "delete"),
    Verdict.NOT_YET: Appearance("Not there yet", "idle", "event_upcoming"),
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
class Answer:
    """Why it did or did not run at the instant asked for."""

    chip: str
    place: str
    found: Explanation


@register.inclusion_tag("admin/runs/ledger.html", takes_context=True)
def ledger(context: dict[str, Any], job: Job) -> dict[str, Any]:
    """The card of a job's page. The form comes back to the page with `at` and `environment` in its address."""
    asked, now = context["request"].GET, context["now_at"]
    rows = list(job.job_environments.select_related("job", "environment").order_by("environment__created_at", "pk"))
    text, place = asked.get("at", ""), asked.get("environment", "")
    at = _instant(text)
    meant = [row for row in rows if place in ("", row.environment.slug)]
    return {
        "job": job,
        "reckonings": [_reckoning(row, now) for row in rows],
        "environments": [row.environment.slug for row in rows],
        "asked_at": text,
        "asked_environment": place,
        "is_unclear": bool(text) and at is None,
        "answers": [_answer(row, at, now) for row in meant] if at else [],
    }


def _instant(text: str) -> datetime.datetime | None:
    """What a browser's datetime field sends, which here is UTC; None for anything else."""
    try:
        found = parse_datetime(text)
        return found and (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None


def _reckoning(row: JobEnvironment, now: datetime.datetime) -> Reckoning | None:
    for name, span in _SPANS:
        try:
            account = account_of(row, start=now - span, end=now, now=now)
        except TooManyPlannedError:
            continue
        found, since = account.ledger, account.history_from
        skipped = tuple((count, SKIP_REASONS.get(reason, reason)) for reason, count in found.skipped.items())
        return Reckoning(row.environment.slug, name, found, skipped, since if since == account.start else None)
    return None


def _answer(row: JobEnvironment, at: datetime.datetime, now: datetime.datetime) -> Answer:
    found = explain(row, at=at, now=now)
    return Answer(chips.chip(_LOOKS[found.verdict]), row.environment.slug, found)
