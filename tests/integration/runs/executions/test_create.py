"""New executions: both ways of inserting one set the same columns."""

import datetime

import pytest
from django.db import connection

from runs.executions.create import JobEnvironmentKey, NewExecution, insert_and_enqueue, insert_scheduled
from runs.models import Execution
from runs.states import ExecutionStatus, Trigger
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(minutes=5)


@pytest.fixture
def job_environment(make_job: MakeJob) -> JobEnvironmentKey:
    row = make_job()
    return JobEnvironmentKey(
        job_environment_id=str(row.pk),
        workspace_id=str(row.workspace_id),
        job_id=str(row.job_id),
        environment_id=str(row.environment_id),
        job_version_id=str(row.job.current_version_id),
        concurrency=3,
        overlap="queue",
        callback_on=3,
    )


def pending(job_environment: JobEnvironmentKey, *, queued: bool = False, jitter_ms: int = 0) -> NewExecution:
    return NewExecution.pending(
        job_environment,
        trigger=Trigger.SCHEDULE,
        now=NOW,
        starts_at=LATER,
        scheduled_for=LATER,
        queued=queued,
        jitter_ms=jitter_ms,
    )


def skipped(job_environment: JobEnvironmentKey) -> NewExecution:
    return NewExecution(
        job_environment=job_environment,
        trigger=Trigger.SCHEDULE,
        created_at=NOW,
        status=ExecutionStatus.SKIPPED,
        scheduled_for=NOW,
        scheduled_until=LATER,
        occurrences=5,
        skip_reason="missed",
        finished_at=LATER,
        error="Why.",
    )


def columns_of(execution: NewExecution) -> dict[str, object]:
    """The row's columns. The row is removed, so that no unique key keeps the next one out."""
    rows = Execution.objects.filter(pk=execution.id)
    (columns,) = rows.values()
    rows.delete()
    return columns


@pytest.mark.parametrize("kind", ["pending", "queued", "skipped"])
def test_the_clock_and_people_insert_the_same_row(kind: str, job_environment: JobEnvironmentKey) -> None:
    new = {
        "pending": pending(job_environment, jitter_ms=7),
        "queued": pending(job_environment, queued=True),
        "skipped": skipped(job_environment),
    }[kind]
    with connection.cursor() as cursor:
        assert insert_scheduled(cursor, [new], now=NOW) == {str(new.id)}
    by_clock = columns_of(new)
    insert_and_enqueue([new])
    assert columns_of(new) == by_clock


def test_only_what_is_due_is_enqueued(job_environment: JobEnvironmentKey) -> None:
    due = NewExecution.pending(job_environment, trigger=Trigger.MANUAL, now=NOW, starts_at=NOW)
    later = NewExecution.pending(job_environment, trigger=Trigger.MANUAL, now=NOW, starts_at=LATER)
    queued = NewExecution.pending(job_environment, trigger=Trigger.MANUAL, now=NOW, starts_at=NOW, queued=True)
    assert [item.enqueued_at for item in (due, later, queued)] == [NOW, None, None]
    assert [item.next_attempt_at for item in (due, later, queued)] == [NOW, LATER, None]
