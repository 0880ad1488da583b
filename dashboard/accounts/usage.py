"""The card of a workspace's plan, usage and limits. Its numbers are those of the API's `/usage/` and `/stats/`."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.models import Plan, Workspace
from accounts.quota import OveragePolicy, Terms, month_after
from accounts.usage import MonthlyUsage, usage_by_month
from core.words import duration_words
from dashboard.base.charts import Column, columns
from dashboard.base.charts.plots import count_words
from dashboard.base.figures import daily_outcomes
from jobs.services.limits import active_jobs
from runs.stats.statistics import Subject

_MONTHS, _DAYS = 12, 30
_UNLIMITED = "unlimited"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of a plan: what it allows and, for a metered one, the current use in words and numbers."""

    name: str
    allows: str
    now: str = ""
    used: int | None = None
    allowed: int | None = None

    @property
    def is_metered(self) -> bool:
        return bool(self.used is not None and self.allowed)

    @property
    def is_reached(self) -> bool:
        return self.used is not None and self.allowed is not None and self.used >= self.allowed


@dataclass(frozen=True, slots=True)
class PlanAndUsage:
    """`stopped` says why no more runs start this month, empty while they do; `beyond` is on runs beyond the plan."""

    plan_name: str
    limits: tuple[Limit, ...]
    stopped: str
    beyond: str
    by_month: SafeString
    by_day: SafeString

    @classmethod
    def of(cls, workspace: Workspace, *, several: bool) -> "PlanAndUsage":
        """`several`: the person sees other workspaces too, so links name this one."""
        now, plan = timezone.now(), workspace.plan
        months = usage_by_month(workspace, months=_MONTHS, now=now)
        used = months[-1]
        narrowed = {"workspace": workspace.slug} if several else {}
        return cls(
            plan_name=plan.name if plan else "",
            limits=tuple(_limits(plan or Plan(), used, active_jobs(workspace))),
            stopped=used.terms.why_stopped if used.terms.stops(used.runs_used) else "",
            beyond=beyond_words(used.terms, until=month_after(used.month)),
            by_month=_by_month(months),
            by_day=daily_outcomes(Subject.of(workspace, None), now, days=_DAYS, narrowed=narrowed),
        )


def beyond_words(terms: Terms, *, until: datetime.date) -> str:
    """A paragraph on runs beyond those that the plan includes."""
    if terms.runs_included is None:
        return "The number of runs is not limited."
    cents = terms.overage_cents_per_thousand
    price = f"{cents:,} cents per thousand" if cents else "nothing"
    if terms.runs_allowed is None:
        return f"Runs beyond the {terms.runs_included:,} included ones start too, and cost {price}."
    stop = (
        f"After that, until {until.day} {until:%B}, 00:00 UTC, due occurrences are skipped, and requests that start "
        "runs or change jobs are rejected."
    )
    if terms.policy == OveragePolicy.HARD_STOP:
        return f"At most {_counted(terms.runs_included, 'run')} per month. {stop}"
    paid = _counted(terms.runs_allowed - terms.runs_included, "run")
    return (
        f"The budget of {terms.budget_cents:,} cents pays for {paid} beyond the {terms.runs_included:,} included ones, "
        f"at {price}. {stop}"
    )


def _limits(plan: Plan, used: MonthlyUsage, active: int) -> Iterator[Limit]:
    terms, over = used.terms, used.terms.overage_runs(used.runs_used)
    beyond = f", {over:,} beyond the included ones for {terms.overage_cents(used.runs_used):,} cents" if over else ""
    yield Limit(
        "Runs this month", _included(terms), f"{used.runs_used:,}{beyond}", used.runs_used,
        terms.runs_included if terms.runs_allowed is None else terms.runs_allowed,
    )  # fmt: skip
    limit = plan.max_active_jobs
    yield Limit("Active jobs", _UNLIMITED if limit is None else f"{limit:,}", f"{active:,}", active, limit)
    interval, timeout = plan.min_interval_seconds, plan.max_timeout_seconds
    yield Limit("Interval between firings", f"at least {_seconds(interval)}" if interval else "no minimum")
    yield Limit("Request timeout", f"at most {_seconds(timeout)}" if timeout else "up to the API's maximum")
    kept = [_counted(plan.keep_last, "execution")] if plan.keep_last else []
    kept += [_counted(plan.keep_days, "day")] if plan.keep_days else []
    yield Limit("Retention per job", f"at most {' and '.join(kept)}" if kept else "set by each job")


def _included(terms: Terms) -> str:
    if terms.runs_included is None:
        return _UNLIMITED
    if terms.runs_allowed is None or terms.policy == OveragePolicy.HARD_STOP:
        return f"{terms.runs_included:,} included"
    return f"{terms.runs_included:,} included, {terms.runs_allowed:,} within the budget"


def _by_month(months: list[MonthlyUsage]) -> SafeString:
    bars = [
        Column(f"{each.month:%B %Y}", each.runs_used or None, limit=each.terms.runs_included, label=f"{each.month:%b}")
        for each in months
    ]
    notes = [("this month", count_words(months[-1].runs_used))]
    return columns("Runs by month", bars, words=count_words, notes=notes, limit="Included")


def _seconds(seconds: int) -> str:
    return duration_words(seconds * 1000)


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"
