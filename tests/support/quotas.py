"""Plans and usage, and executions that use them up."""

import datetime
import random
from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Plan, Usage, Workspace
from accounts.plans import assign_plan, save_plan
from accounts.quota import month_of
from accounts.services import change_settings
from jobs.models import JobEnvironment
from runs.attempts.recording import record
from runs.models import Execution
from runs.states import Trigger
from tests.support.finished_attempts import finished
from workers.connections import Link
from workers.delivery.transfer import unanswered
from workers.worker.claim import Claimer
from workers.worker.claimed import Claimed
from workers.worker.evaluate import evaluate


def give_plan(workspace: Workspace, *, policy: str = "hard_stop", budget: int | None = None, **values: Any) -> Plan:
    """Create a plan for the workspace and set its overage policy."""
    now = timezone.now()
    plan = save_plan(plan=None, values={"name": f"Plan {random.getrandbits(40)}", **values}, actor=SYSTEM, now=now)
    assign_plan(workspace=workspace, plan=plan, actor=SYSTEM, now=now)
    budgeted = {} if budget is None else {"overage_budget_cents": budget}
    change_settings(workspace=workspace, changes={"overage_policy": policy, **budgeted}, now=now, actor=SYSTEM)
    workspace.refresh_from_db()
    return plan


def set_runs_used(workspace: Workspace, runs: int, *, month: datetime.date | None = None) -> None:
    """Set the number of runs that have started."""
    month = month or month_of(timezone.now())
    Usage.objects.update_or_create(
        workspace=workspace, month=month, defaults={"runs_used": runs, "overage_cents_per_thousand": 0}
    )


def runs_used(workspace: Workspace) -> int:
    row = Usage.objects.filter(workspace=workspace, month=month_of(timezone.now())).first()
    return row.runs_used if row else 0


def stop_workspace(workspace: Workspace) -> None:
    """Use up a plan, so that no more runs start."""
    give_plan(workspace, runs_included=10)
    set_runs_used(workspace, 10)


def make_pending(row: JobEnvironment, count: int) -> None:
    """Create `count` due executions."""
    now = timezone.now()
    Execution.objects.bulk_create(
        Execution(
            workspace_id=row.workspace_id,
            job_id=row.job_id,
            environment_id=row.environment_id,
            job_environment=row,
            job_version_id=row.job.current_version_id,
            trigger=Trigger.MANUAL,
            created_at=now,
            next_attempt_at=now,
            enqueued_at=now,
        )
        for _ in range(count)
    )


def claimer(owner: str = "worker") -> Claimer:
    return Claimer(owner=owner, lease_seconds=60, user_agent="Hourhand/test")


def deliver(link: Link, claimed: Sequence[Claimed]) -> int:
    """Record claimed executions as a worker does, calls as succeeded. Return the number of calls."""
    calls = [finished(item) for item in claimed if item.refusal is None]
    rng = random.Random(1)
    refused = [
        evaluate(item, unanswered(item.request, *item.refusal), worker="worker", rng=rng)
        for item in claimed
        if item.refusal is not None
    ]
    with link.transaction() as cursor:
        assert len(record(cursor, [*calls, *refused])) == len(claimed)
    return len(calls)
