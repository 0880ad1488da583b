"""Create, change and assign plans, which only the operator can do.

A change takes effect at the next run, save and firing. Jobs that exceed a new plan keep running.
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

#: The fields of a plan, besides its name.
RULES = (
    "runs_included", "overage_cents_per_thousand", "stops_at_limit", "min_interval_seconds", "max_timeout_seconds",
    "max_active_jobs", "keep_last", "keep_days",
)  # fmt: skip


@transaction.atomic
def save_plan(*, plan: Plan | None, values: Mapping[str, Any], actor: Actor, now: datetime.datetime) -> Plan:
    """Create a plan (`plan` is None), or change one and log it in each workspace that has it.

    `values` are validated: the name and RULES. A missing one stays unchanged.
    """
    if plan is None:
        return Plan.objects.create(created_at=now, **values)
    locked = Plan.objects.select_for_update(no_key=True).get(pk=plan.pk)
    before = _facts(locked)
    for field, value in values.items():
        setattr(locked, field, value)
    locked.save(update_fields=["name", *RULES])
    if changes := difference(before, _facts(locked)):
        workspace_ids = locked.workspaces.order_by("pk").values_list("pk", flat=True)
        audit.record_all(
            [
                audit.entry("plan.updated", locked, workspace_id=key, actor=actor, now=now, changes=changes)
                for key in workspace_ids
            ]
        )
    return locked


@transaction.atomic
def assign_plan(*, workspace: Workspace, plan: Plan | None, actor: Actor, now: datetime.datetime) -> None:
    """Assign a plan to a workspace; None: no plan, and so no limits."""
    locked = Workspace.objects.select_for_update(no_key=True, of=("self",)).select_related("plan").get(pk=workspace.pk)
    changes = difference({"plan": locked.plan and locked.plan.name}, {"plan": plan and plan.name})
    if locked.plan == plan:
        return
    locked.plan = plan
    locked.save(update_fields=["plan"])
    audit.record("workspace.plan_assigned", locked, actor=actor, now=now, changes=changes)


@dataclass(frozen=True, slots=True)
class Overage:
    """What happens to runs beyond the included ones. `budget_cents` is set if `policy` is `capped`."""

    policy: str
    budget_cents: int | None


def overage_of(workspace: Workspace) -> Overage:
    """Return the policy in force: a workspace can only be stricter than its plan."""
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

    A job's own `keep_last` and `keep_days` apply where they are smaller.
    """

    keep_last: int | None = None
    keep_days: int | None = None


def retention_caps(workspace: Workspace) -> RetentionCaps:
    """Return the caps of the workspace's plan."""
    plan = workspace.plan
    return RetentionCaps(plan.keep_last, plan.keep_days) if plan else RetentionCaps()
