"""The actions of beats and users: reaping, requeueing, firing, canceling. And time, which expires leases."""

import contextlib
import datetime
import random
import uuid

from django.db import connection
from django.utils import timezone

from accounts.actors import SYSTEM
from proof.turnstile.fixture import EVERY, USER_AGENT
from proof.turnstile.gate import pause, unobserved
from proof.turnstile.stage import Stage
from runs.attempts.reaping import reap_expired
from runs.clock.fire import fire_due
from runs.clock.requeue import requeue_due, requeue_lost
from runs.errors import ExecutionNotCancelableError
from runs.executions import services
from runs.executions.bulk import work_off
from runs.executions.cancel import cancel_live
from runs.models import BulkOperation, Execution
from runs.overlap import release_forgotten
from runs.states import BulkKind

_EXPIRE = """
    UPDATE runs_execution SET lease_expires_at = clock_timestamp() - interval '1 hour'
     WHERE id IN (SELECT id FROM runs_execution WHERE finished_at IS NULL AND status = 'running'
                     FOR NO KEY UPDATE SKIP LOCKED)
"""
_LIVE = "SELECT id::text FROM runs_execution WHERE finished_at IS NULL ORDER BY id"


def time_passes(stage: Stage, *, times: int) -> None:
    """After the first claim, expire the leases of running executions."""
    for _ in range(times):
        if not pause("", ready=lambda: stage.claimed):
            return
        with stage.call("leases lapse"), connection.cursor() as cursor:
            cursor.execute(_EXPIRE)
            stage.expired = stage.expired or cursor.rowcount > 0


def reaps(stage: Stage, *, times: int, once_expired: bool = False) -> None:
    """Reap expired leases, at any moment or once one has expired."""
    if once_expired:
        pause("", ready=lambda: stage.expired)
    for _ in range(times):
        with stage.call("reaps"):
            moved = reap_expired(user_agent=USER_AGENT, rng=random.Random(1))
        stage.reaped = stage.reaped or moved > 0


def requeues(stage: Stage) -> None:
    with stage.call("requeues what is due"):
        requeue_due(timezone.now())
    with stage.call("requeues what may be lost"):
        requeue_lost(timezone.now())


def fires(stage: Stage, *, occurrence: int, once_claimed: bool = False) -> None:
    """Fire what is due up to this occurrence of the schedules, counted from 1."""
    if once_claimed:
        pause("", ready=lambda: stage.claimed)
    now = stage.fixture.began + occurrence * EVERY + datetime.timedelta(seconds=1)
    with stage.call(f"fires no. {occurrence}"):
        fire_due(now)
    stage.fired_until = max(now, stage.fired_until or now)


def releases_forgotten(stage: Stage) -> None:
    with stage.call("releases what is forgotten"):
        release_forgotten()


def runs_by_hand(stage: Stage, name: str) -> None:
    """A user runs a job by hand."""
    with stage.call(f"runs {name} by hand"):
        services.run_now(
            job_environment=stage.fixture.jobs_by_name[name].job_environment, now=timezone.now(), actor=SYSTEM
        )


def cancels(stage: Stage) -> None:
    """A user cancels a live execution."""
    live_ids = _live()
    if not live_ids:
        return
    execution_id = stage.rng.choice(live_ids)
    with stage.call(f"cancels {stage.label(execution_id)}"), contextlib.suppress(ExecutionNotCancelableError):
        services.cancel(
            workspace=stage.fixture.workspace, execution_id=uuid.UUID(execution_id), now=timezone.now(), actor=SYSTEM
        )


def cancels_all(stage: Stage) -> None:
    """A user cancels all live executions in bulk."""
    live_ids = _live()
    if not live_ids:
        return
    with unobserved():
        BulkOperation.objects.create(
            workspace=stage.fixture.workspace,
            kind=BulkKind.CANCEL,
            filter={},
            execution_ids=live_ids,
            created_at=timezone.now(),
            next_batch_at=stage.fixture.began,
        )
    with stage.call("cancels in bulk"):
        work_off(timezone.now())


def cancels_live(stage: Stage) -> None:
    """Cancel all live executions, as before a job is deleted."""
    waits = stage.rng.random() < 0.5
    with stage.call(f"cancels all live executions{', waiting for locks' if waits else ''}"):
        rows = Execution.objects.filter(workspace=stage.fixture.workspace)
        cancel_live(rows, now=timezone.now(), error="Canceled.", skip_locked=not waits)


def _live() -> list[str]:
    """The live executions at the actor's turn, like the page on which a user cancels."""
    pause("")
    with unobserved(), connection.cursor() as cursor:
        cursor.execute(_LIVE)
        return [row[0] for row in cursor.fetchall()]
