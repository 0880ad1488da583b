"""Wipes a workspace: deletes its jobs, executions, runs and secrets for good.

Its members, keys, environments, retry policies, signing secrets, settings and audit log stay.
"""

import datetime
import uuid

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from accounts.models import Secret, Workspace
from accounts.ownership import require_owner
from core.differences import difference
from core.errors import HourhandError
from core.models import KeptAnswer
from jobs.models import Job, JobEnvironment
from jobs.services.purging import purge_jobs
from runs.executions.cancel import cancel_live
from runs.models import BulkOperation, Execution
from runs.queue import PRUNING_TASK, wake_on_commit
from runs.stats.rollups import forget_environments

WIPED = "Canceled: the workspace was wiped."
_BATCH = 1000


class UnconfirmedError(HourhandError):
    """The workspace to wipe was not confirmed by its slug."""

    code = "unconfirmed"

    def __init__(self, slug: str) -> None:
        super().__init__(f"Should be {slug}, the slug of the workspace to wipe.", field="confirm")


def wipe(*, workspace: Workspace, confirm: str, actor: Actor, now: datetime.datetime) -> None:
    """Empty a workspace. All of it disappears at once; a worker removes the rows, however many.

    Live executions are canceled; a request in flight is aborted, and may have arrived. Raises OwnerOnlyError, and
    UnconfirmedError unless `confirm` is the workspace's slug.
    """
    require_owner(actor=actor, workspace=workspace)
    if confirm != workspace.slug:
        raise UnconfirmedError(workspace.slug)
    _hide(workspace, actor, now)
    # No executions are created any more. A locked one ends with its transaction, or is canceled before its removal.
    executions = Execution.objects.filter(workspace=workspace)
    while len(cancel_live(executions, now=now, error=WIPED, skip_locked=True, limit=_BATCH)) == _BATCH:
        pass
    forget_environments(workspace.environments.values_list("pk", flat=True))


@transaction.atomic
def _hide(workspace: Workspace, actor: Actor, now: datetime.datetime) -> None:
    """Hide all from readers and from the clock. Locks are taken in the one order: jobs, then job-environments."""
    locked = Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    jobs = Job.objects.of(locked).kept().select_for_update(no_key=True).order_by("pk")
    ids = list(jobs.values_list("pk", flat=True))
    live = Job.objects.filter(pk__in=ids, deleted_at__isnull=True)
    live.update(deleted_at=now, updated_at=now, retry_policy=None, step_policies=[])
    _stop(ids)
    purge_jobs(ids, now=now)
    secrets, _ = Secret.objects.filter(workspace=locked).delete()
    BulkOperation.objects.filter(workspace=locked)._raw_delete("default")
    # These answers are about deleted rows: a request that is sent again must be done again.
    KeptAnswer.objects.filter(workspace=locked)._raw_delete("default")
    changes = difference({"jobs": len(ids), "secrets": secrets}, {"jobs": 0, "secrets": 0})
    audit.record("workspace.wiped", locked, actor=actor, now=now, changes=changes)
    wake_on_commit(PRUNING_TASK)


def _stop(job_ids: list[uuid.UUID]) -> None:
    """Stop these jobs from firing."""
    rows = JobEnvironment.objects.filter(job__in=job_ids)
    ids = list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
    JobEnvironment.objects.filter(pk__in=ids).update(
        enabled=False, next_fire_at=None, paused_at=None, paused_until=None, pause_note=""
    )
