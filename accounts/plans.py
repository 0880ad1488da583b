"""Use cases of plans, which only the operator has: made, changed, and given to a workspace.

A change holds from the next run, save and firing on. Jobs that go beyond a new plan go on as they are.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from accounts.models import Plan, Workspace
from accounts.quota import OveragePolicy
from core.differences import difference

#: What a plan says, besides its name.
RULES = (
    "runs_included", "overage_cents_per_thousand", "stops_at_limit", "min_interval_seconds", "max_timeout_seconds",
    "max_active_jobs", "keep_last", "keep_days",
)  # fmt: skip


@transaction.atomic
def save_plan(*, plan: Plan | None, values: Mapping[str, Any], actor: Actor, now: datetime.datetime) -> Plan:
    """Make a plan (`plan` is None) or change one, for all workspaces that have it; each of them is told in its log.

    `values` are valid: a name and RULES. What they leave out stays as it is.
    """
    if plan is None:
        return Plan.objects.create(created_at=now, **values)
    locked = Plan.objects.select_for_update(no_key=True).get(pk=plan.pk)
    before = _facts(locked)
    for field, value in values.items():
        setattr(locked, field, value)
    locked.save(update_fields=["name", *RULES])
    if changes := difference(before, _facts(locked)):
        having = locked.workspaces.order_by("pk").values_list("pk", flat=True)
        audit.record_all(
            [
                audit.entry("plan.updated", locked, workspace_id=key, actor=actor, now=now, changes=changes)
                for key in having
            ]
        )
    return locked


@transaction.atomic
def assign_plan(*, workspace: Workspace, plan: Plan | None, actor: Actor, now: datetime.datetime) -> None:
    """Give a workspace this plan instead of the one it has; None: no plan, and so no limits."""
    locked = Workspace.objects.select_for_update(no_key=True, of=("self",)).select_related("plan").get(pk=workspace.pk)
    changes = difference({"plan": locked.plan and locked.plan.name}, {"plan": plan and plan.name})
    if locked.plan == plan:
        return
    locked.plan = plan
    locked.save(update_fields=["plan"])
    audit.record("workspace.plan_assigned", locked, actor=actor, now=now, changes=changes)


@dataclass(frozen=True, slots=True)
class Overage:
    """What becomes of runs beyond the included ones: `budget_cents` is there where `policy` is `capped`."""

    policy: str
    budget_cents: int | None


def overage_of(workspace: Workspace) -> Overage:
    """What holds: what the workspace chose, unless its plan stops. A workspace can only be stricter than its plan."""
    if plan_stops(workspace.plan):
        return Overage(OveragePolicy.HARD_STOP, None)
    return Overage(workspace.overage_policy, workspace.overage_budget_cents)


def plan_stops(plan: Plan | None) -> bool:
    return plan is not None and plan.stops_at_limit


def _facts(plan: Plan) -> dict[str, Any]:
    return {"name": plan.name, **{field: getattr(plan, field) for field in RULES}}


@dataclass(frozen=True, slots=True)
class RetentionCaps:
    """The most history that a plan lets a workspace keep of each job; None is no limit.

    What a job says of itself holds within that: of its `keep_last` and `keep_days`, the smaller one each.
    """

    keep_last: int | None = None
    keep_days: int | None = None


def retention_caps(workspace: Workspace) -> RetentionCaps:
    """What the workspace's plan lets it keep."""
    plan = workspace.plan
    return RetentionCaps(plan.keep_last, plan.keep_days) if plan else RetentionCaps()
