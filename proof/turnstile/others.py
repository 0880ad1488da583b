"""What beats and people do: reaping, sending again, firing, canceling. And time, which lets leases lapse."""

import contextlib
import datetime
import random
import uuid

from django.db import connection
from django.utils import timezone

from proof.turnstile.gate import pause, unseen
from proof.turnstile.house import EVERY, USER_AGENT
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

_LAPSE = """
    UPDATE runs_execution SET lease_expires_at = clock_timestamp() - interval '1 hour'
     WHERE id IN (SELECT id FROM runs_execution WHERE finished_at IS NULL AND status = 'running'
                     FOR NO KEY UPDATE SKIP LOCKED)
"""
_LIVE = "SELECT id::text FROM runs_execution WHERE finished_at IS NULL ORDER BY id"


def time_passes(stage: Stage, *, times: int) -> None:
    """Once anything was claimed, let the leases lapse of what runs just then."""
    for _ in range(times):
        if not pause("", ready=lambda: stage.claimed):
            return
        with stage.call("leases lapse"), connection.cursor() as cursor:
            cursor.execute(_LAPSE)
            stage.lapsed = stage.lapsed or cursor.rowcount > 0


def reaps(stage: Stage, *, times: int, once_lapsed: bool = False) -> None:
    """Reap what has lapsed, at any moment or once something has."""
    if once_lapsed:
        pause("", ready=lambda: stage.lapsed)
    for _ in range(times):
        with stage.call("reaps"):
            moved = reap_expired(user_agent=USER_AGENT, rng=random.Random(1))
        stage.reaped = stage.reaped or moved > 0


def sends_again(stage: Stage) -> None:
    with stage.call("requeues what is due"):
        requeue_due(timezone.now())
    with stage.call("requeues what may be lost"):
        requeue_lost(timezone.now())


def fires(stage: Stage, *, occurrence: int, once_claimed: bool = False) -> None:
    """Fire what is due up to this occurrence of the schedules, of which the first is 1."""
    if once_claimed:
        pause("", ready=lambda: stage.claimed)
    now = stage.house.began + occurrence * EVERY + datetime.timedelta(seconds=1)
    with stage.call(f"fires no. {occurrence}"):
        fire_due(now)
    stage.fired_until = max(now, stage.fired_until or now)


def releases_forgotten(stage: Stage) -> None:
    with stage.call("releases what is forgotten"):
        release_forgotten()


def asks(stage: Stage, name: str) -> None:
    """Somebody runs a job by hand."""
    with stage.call(f"runs {name} by hand"):
        services.run_now(job_environment=stage.house.places[name].row, now=timezone.now())


def cancels(stage: Stage) -> None:
    """Somebody cancels an execution that lives just then."""
    found = _live()
    if not found:
        return
    chosen = stage.rng.choice(found)
    with stage.call(f"cancels {stage.label(chosen)}"), contextlib.suppress(ExecutionNotCancelableError):
        services.cancel(workspace=stage.house.workspace, execution_id=uuid.UUID(chosen), now=timezone.now())


def cancels_all(stage: Stage) -> None:
    """Somebody cancels in bulk all that lives just then."""
    found = _live()
    if not found:
        return
    with unseen():
        BulkOperation.objects.create(
            workspace=stage.house.workspace,
            kind=BulkKind.CANCEL,
            filter={},
            execution_ids=found,
            created_at=timezone.now(),
            next_batch_at=stage.house.began,
        )
    with stage.call("cancels in bulk"):
        work_off(timezone.now())


def makes_an_end(stage: Stage) -> None:
    """Cancel whatever lives, as before a job is deleted."""
    waits = stage.rng.random() < 0.5
    with stage.call(f"cancels all that lives{', waiting for it' if waits else ''}"):
        rows = Execution.objects.filter(workspace=stage.house.workspace)
        cancel_live(rows, now=timezone.now(), error="Canceled.", skip_locked=not waits)


def _live() -> list[str]:
    """Looked up in the actor's own turn, as the page is on which somebody cancels."""
    pause("")
    with unseen(), connection.cursor() as cursor:
        cursor.execute(_LIVE)
        return [row[0] for row in cursor.fetchall()]
