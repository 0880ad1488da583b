"""Count the runs that start, in one row per workspace and month, and say which workspaces may start no more.

A count locks its row until the transaction ends, so that any number of workers stay exact. It is the last step of a
claim, and locks rows in the order of workspaces, so that claims cannot deadlock.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from django.db import connection

from accounts.models import Usage, Workspace
from accounts.plans import overage_of
from accounts.quota import Terms, month_after, month_before, month_of
from core.errors import HourhandError

_COUNT = """
    INSERT INTO accounts_usage AS usage
           (id, workspace_id, month, runs_used, runs_included, overage_cents_per_thousand)
    SELECT gen_random_uuid(), started.workspace_id, %(month)s, started.runs,
           plan.runs_included, coalesce(plan.overage_cents_per_thousand, 0)
      FROM unnest(%(workspaces)s::uuid[], %(runs)s::bigint[]) AS started (workspace_id, runs)
      JOIN accounts_workspace AS workspace ON workspace.id = started.workspace_id
      LEFT JOIN accounts_plan AS plan ON plan.id = workspace.plan_id
     ORDER BY started.workspace_id
        ON CONFLICT (workspace_id, month) DO UPDATE
       SET runs_used = usage.runs_used + excluded.runs_used, runs_included = excluded.runs_included,
           overage_cents_per_thousand = excluded.overage_cents_per_thousand
 RETURNING usage.workspace_id::text, usage.runs_used, usage.runs_included, usage.overage_cents_per_thousand
"""
# `accounts.plans.overage_of` in SQL.
_OVERAGE = """
    CASE WHEN plan.stops_at_limit THEN 'hard_stop' ELSE workspace.overage_policy END,
    CASE WHEN plan.stops_at_limit THEN NULL ELSE workspace.overage_budget_cents END
"""
# Only for workspaces beyond their included runs: the others need one statement.
_POLICIES = f"""
    SELECT workspace.id::text, {_OVERAGE}
      FROM accounts_workspace AS workspace LEFT JOIN accounts_plan AS plan ON plan.id = workspace.plan_id
     WHERE workspace.id = ANY(%s::uuid[])
"""  # noqa: S608 - of constants
_UNCOUNT = """
    WITH held AS (
        SELECT usage.id, ended.runs
          FROM accounts_usage AS usage
          JOIN unnest(%s::uuid[], %s::date[], %s::bigint[]) AS ended (workspace_id, month, runs)
            ON usage.workspace_id = ended.workspace_id AND usage.month = ended.month
         ORDER BY usage.workspace_id, usage.month FOR NO KEY UPDATE OF usage
    )
    UPDATE accounts_usage AS usage SET runs_used = usage.runs_used - held.runs FROM held WHERE usage.id = held.id
"""
# Leaves out workspaces without a plan, and those that nothing stops, before it reads any usage.
_LIMITED = f"""
    SELECT workspace.id::text, coalesce(usage.runs_used, 0), plan.runs_included, plan.overage_cents_per_thousand,
           {_OVERAGE}
      FROM accounts_workspace AS workspace JOIN accounts_plan AS plan ON plan.id = workspace.plan_id
      LEFT JOIN accounts_usage AS usage ON usage.workspace_id = workspace.id AND usage.month = %s
     WHERE workspace.id = ANY(%s::uuid[]) AND (plan.stops_at_limit OR workspace.overage_policy <> 'allow')
"""  # noqa: S608 - of constants
# The same of all workspaces, for monitoring; of very many, some.
_PRESSURE = f"""
    SELECT coalesce(usage.runs_used, 0), plan.runs_included, plan.overage_cents_per_thousand,
           {_OVERAGE}
      FROM accounts_workspace AS workspace JOIN accounts_plan AS plan ON plan.id = workspace.plan_id
      LEFT JOIN accounts_usage AS usage ON usage.workspace_id = workspace.id AND usage.month = %s
     WHERE plan.stops_at_limit OR workspace.overage_policy <> 'allow'
     LIMIT %s
"""  # noqa: S608 - of constants
_MAX_WORKSPACES = 10_000
#: The share of a month's runs from which on a workspace is near its limit.
NEAR = 0.9
#: A workspace's id, and a month.
WorkspaceMonth = tuple[str, datetime.date]


class QuotaPressure(NamedTuple):
    """How many workspaces are near their limit of runs this month, and how many have reached it."""

    near: int
    stopped: int


class Excess(NamedTuple):
    """How many runs may not start, and why, as a sentence."""

    runs: int
    reason: str


class QuotaExceededError(HourhandError):
    """The workspace's plan lets no more runs start this month."""

    code = "quota_exceeded"
    status = 402

    def __init__(self, reason: str, *, until: datetime.date) -> None:
        super().__init__(f"{reason} The next month begins on {until}, at 00:00 UTC.")


def count_started(cursor: Any, runs: Mapping[str, int], *, month: datetime.date) -> dict[str, Excess]:
    """Count the runs that start, by workspace, in the caller's transaction. Returns those that may not, uncounted.

    The rows stay locked until the transaction ends, so it should end soon.
    """
    cursor.execute(_COUNT, {"month": month, "workspaces": list(runs), "runs": list(runs.values())})
    counted = {workspace_id: (used, Terms(*rest)) for workspace_id, used, *rest in cursor.fetchall()}
    beyond = [workspace_id for workspace_id, (used, terms) in counted.items() if terms.overage_runs(used)]
    excesses = _excesses(cursor, beyond, counted, runs) if beyond else {}
    uncount(cursor, {(workspace_id, month): excess.runs for workspace_id, excess in excesses.items()})
    return excesses


def _excesses(
    cursor: Any, beyond: Sequence[str], counted: Mapping[str, tuple[int, Terms]], runs: Mapping[str, int]
) -> dict[str, Excess]:
    """Return, by workspace, the runs just counted that its overage policy does not let start."""
    cursor.execute(_POLICIES, [beyond])
    excesses = {}
    for workspace_id, policy, budget_cents in cursor.fetchall():
        used, terms = counted[workspace_id]
        terms = replace(terms, policy=policy, budget_cents=budget_cents)
        if excess := terms.excess(used, runs[workspace_id]):
            excesses[workspace_id] = Excess(excess, terms.why_stopped)
    return excesses


def uncount(cursor: Any, runs: Mapping[WorkspaceMonth, int]) -> None:
    """Subtract counted runs that did not start after all, in the caller's transaction."""
    if runs:
        workspace_ids, months = zip(*runs, strict=True)
        cursor.execute(_UNCOUNT, [list(workspace_ids), list(months), list(runs.values())])


def stopped(cursor: Any, workspace_ids: Iterable[str], *, at: datetime.datetime) -> dict[str, str]:
    """Return why no run may start at this instant, for those of the workspaces where that is so."""
    cursor.execute(_LIMITED, [month_of(at), list(workspace_ids)])
    limited = ((workspace_id, used, Terms(*rest)) for workspace_id, used, *rest in cursor.fetchall())
    return {workspace_id: terms.why_stopped for workspace_id, used, terms in limited if terms.stops(used)}


def quota_pressure(cursor: Any, *, at: datetime.datetime) -> QuotaPressure:
    """Count the workspaces near and at their limit in the month of an instant, among at most 10,000."""
    cursor.execute(_PRESSURE, [month_of(at), _MAX_WORKSPACES])
    limited = [(used, Terms(*rest)) for used, *rest in cursor.fetchall()]
    stopped_count = sum(terms.stops(used) for used, terms in limited)
    near = sum(terms.runs_allowed is not None and used >= NEAR * terms.runs_allowed for used, terms in limited)
    return QuotaPressure(near - stopped_count, stopped_count)


def refuse_when_stopped(workspace_id: Any, *, now: datetime.datetime) -> None:
    """Raises QuotaExceededError if no run of this workspace may start."""
    with connection.cursor() as cursor:
        reason = stopped(cursor, [str(workspace_id)], at=now).get(str(workspace_id))
    if reason is not None:
        raise QuotaExceededError(reason, until=month_after(month_of(now)))


class MonthlyUsage(NamedTuple):
    """The usage of a workspace in a month, and its terms."""

    month: datetime.date
    runs_used: int
    terms: Terms


def usage_of(workspace: Workspace, month: datetime.date, *, now: datetime.datetime) -> MonthlyUsage:
    """Return the usage of a month: a past one on the terms of its last run, others on the present terms."""
    row = Usage.objects.filter(workspace=workspace, month=month).first()
    return _monthly_usage(workspace, month, row, now)


def usage_by_month(workspace: Workspace, *, months: int, now: datetime.datetime) -> list[MonthlyUsage]:
    """Return the usage of the latest months since the workspace was created, the present one last."""
    first = month_of(workspace.created_at)
    latest = [month_of(now)]
    while len(latest) < months and latest[-1] > first:
        latest.append(month_before(latest[-1]))
    rows = {row.month: row for row in Usage.objects.filter(workspace=workspace, month__in=latest)}
    return [_monthly_usage(workspace, month, rows.get(month), now) for month in reversed(latest)]


def _monthly_usage(
    workspace: Workspace, month: datetime.date, row: Usage | None, now: datetime.datetime
) -> MonthlyUsage:
    runs_used = row.runs_used if row else 0
    if row is not None and month < month_of(now):
        return MonthlyUsage(month, runs_used, Terms(row.runs_included, row.overage_cents_per_thousand))
    plan, overage = workspace.plan, overage_of(workspace)
    terms = Terms(
        plan.runs_included if plan else None,
        plan.overage_cents_per_thousand if plan else 0,
        overage.policy,
        overage.budget_cents,
    )
    return MonthlyUsage(month, runs_used, terms)
