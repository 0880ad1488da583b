"""Firing on real Postgres: every occurrence once with any number of beats, and the clock's other tasks."""

import datetime

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.actors import SYSTEM
from jobs.models import JobEnvironment, JobVersion
from runs.clock.due_state import read_due_state
from runs.clock.fire import fire_due
from runs.clock.requeue import RESEND_AFTER, requeue_due, requeue_lost
from runs.executions import services
from runs.models import Execution
from tests.support.copies import copied_id, copy_row
from tests.support.jobs import EPOCH, MakeJob
from tests.support.threads import run_in_thread

SECOND = datetime.timedelta(seconds=1)


def test_a_due_job_fires_once_and_advances(make_job: MakeJob):
    job = make_job(schedule={"every_seconds": 60})
    due_at = EPOCH + 60 * SECOND
    fired = fire_due(due_at)
    assert fire_due(due_at).execution_ids == []
    (execution,) = Execution.objects.all()
    assert fired.execution_ids == [execution.pk]
    assert (execution.trigger, execution.status, execution.scheduled_for) == ("schedule", "pending", due_at)
    assert execution.job_version_id == job.job.current_version_id
    job.refresh_from_db()
    assert (job.next_fire_at, job.last_fired_at) == (due_at + 60 * SECOND, due_at)


def test_nothing_is_fired_before_it_is_due(make_job: MakeJob):
    make_job(schedule={"every_seconds": 60})
    assert fire_due(EPOCH + 59.999 * SECOND).due == 0


def test_a_job_that_is_not_enabled_is_not_fired(make_job: MakeJob):
    job = make_job(schedule={"every_seconds": 60})
    JobEnvironment.objects.filter(pk=job.pk).update(enabled=False, next_fire_at=None)
    assert fire_due(EPOCH + 60 * SECOND).due == 0


def test_missed_occurrences_are_one_skipped_row_with_a_count(make_job: MakeJob):
    make_job(schedule={"every_seconds": 60})
    fired = fire_due(EPOCH + 330 * SECOND)
    skipped, made = Execution.objects.order_by("scheduled_for")
    assert (skipped.status, skipped.skip_reason, skipped.occurrences) == ("skipped", "missed", 4)
    assert (made.scheduled_for, made.occurrences) == (EPOCH + 300 * SECOND, 1)
    assert (fired.execution_ids, fired.missed) == ([made.pk], 4)


def test_a_one_off_disables_itself_once_fired(make_job: MakeJob):
    job = make_job(schedule="2026-03-01T13:00:00Z")
    assert len(fire_due(EPOCH + 3600 * SECOND).execution_ids) == 1
    job.refresh_from_db()
    assert (job.enabled, job.next_fire_at) == (False, None)


@pytest.mark.django_db(transaction=True)
def test_a_job_being_fired_is_skipped_by_other_beats(make_job: MakeJob):
    for number in range(3):
        make_job(slug=f"job-{number}", schedule={"every_seconds": 60})
    now = EPOCH + 60 * SECOND
    with transaction.atomic():
        mine = fire_due(now, limit=2)
        others = run_in_thread(lambda: fire_due(now))
    assert (len(mine.execution_ids), len(others.execution_ids)) == (2, 1)
    assert Execution.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_the_unique_occurrence_elects_one_winner_even_without_the_lock(make_job: MakeJob):
    job = make_job(schedule={"every_seconds": 60})
    due_at = EPOCH + 60 * SECOND
    fire_due(due_at)
    JobEnvironment.objects.filter(pk=job.pk).update(next_fire_at=due_at)
    fire_due(due_at)
    assert Execution.objects.count() == 1


def test_an_unreadable_schedule_blocks_no_other(make_job: MakeJob):
    broken, sound = (make_job(schedule={"every_seconds": 60}) for _ in range(2))
    version = broken.job.current_version
    JobVersion.objects.filter(pk=version.pk).update(config={**version.config, "timezone": "Mars/Olympus"})
    assert len(fire_due(EPOCH + 60 * SECOND).execution_ids) == 1
    broken.refresh_from_db()
    sound.refresh_from_db()
    assert (broken.enabled, sound.enabled) == (True, True)
    assert broken.next_fire_at == EPOCH + 60 * SECOND  # it is not due yet


@pytest.mark.parametrize("overlap", ["allow", "skip", "queue"])
def test_any_number_of_due_jobs_takes_the_same_few_statements(
    make_job: MakeJob, django_assert_max_num_queries, overlap
):
    for number in range(40):
        make_job(slug=f"job-{number}", schedule={"every_seconds": 60}, overlap=overlap)
    with django_assert_max_num_queries(8 if overlap == "allow" else 9):
        assert len(fire_due(EPOCH + 60 * SECOND).execution_ids) == 40
    with django_assert_max_num_queries(9 if overlap == "allow" else 13):
        assert fire_due(EPOCH + 300 * SECOND).due == 40


def test_the_clock_sees_the_next_firing_and_the_next_retry(make_job: MakeJob):
    job = make_job(schedule={"every_seconds": 60})
    seen = read_due_state()
    assert (seen.next_fire_at, seen.next_retry_at) == (EPOCH + 60 * SECOND, None)
    assert seen.firing_due
    delayed = services.run_now(job_environment=job, now=seen.now, delay_seconds=30, actor=SYSTEM)
    seen = read_due_state()
    assert seen.next_retry_at == delayed.next_attempt_at
    assert not seen.retry_due


def test_a_delayed_execution_is_sent_when_it_is_due_and_only_once(make_job: MakeJob):
    delayed = services.run_now(job_environment=make_job(), now=EPOCH, delay_seconds=30, actor=SYSTEM)
    assert requeue_due(EPOCH + 29 * SECOND) == []
    assert requeue_due(EPOCH + 30 * SECOND) == [delayed.pk]
    assert requeue_due(EPOCH + 30 * SECOND) == []


def test_an_unclaimed_id_is_sent_again_after_a_while(make_job: MakeJob):
    execution = services.run_now(job_environment=make_job(), now=EPOCH, actor=SYSTEM)
    assert requeue_lost(EPOCH + RESEND_AFTER) == []
    late = EPOCH + RESEND_AFTER + SECOND
    assert requeue_lost(late) == [execution.pk]
    assert requeue_lost(late) == []


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (lambda: Execution.objects.due_unsent(EPOCH)[:1000], "execution_unsent"),
        (lambda: Execution.objects.due_unclaimed(EPOCH, sent_before=EPOCH)[:1000], "execution_live"),
    ],
)
def test_the_clocks_queries_use_their_partial_indexes(make_job: MakeJob, query, index):
    make_job(schedule={"every_seconds": 60})
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert index in query().explain()


@pytest.fixture
def many_jobs(fresh_tables: None, make_job: MakeJob) -> None:
    """Twenty thousand jobs that fire at other times of the day, and five thousand ended executions."""
    job = make_job(schedule="0 12 * * *", now=EPOCH)
    copy_row("jobs_job", job.job_id, 20_000, id=copied_id("a"), slug="'job-' || place")
    copy_row(
        "jobs_jobenvironment", job.pk, 20_000,
        id=copied_id("c"), job_id=copied_id("a"),
        next_fire_at="%(due_at)s::timestamptz + place * interval '1 second'", values={"due_at": EPOCH},
    )  # fmt: skip
    ended = {"trigger": "manual", "status": "succeeded", "finished_at": EPOCH}
    ids = {name: getattr(job, name) for name in ("workspace_id", "job_id", "environment_id")}
    version_id = job.job.current_version_id
    Execution.objects.bulk_create(
        Execution(job_environment=job, job_version_id=version_id, **ids, **ended) for _ in range(5000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_job, jobs_jobenvironment, runs_execution")


def plans_of(work, *words: str) -> list[str]:
    """Return Postgres's plan of each statement of `work` that contains all these words."""
    with CaptureQueriesContext(connection) as captured:
        work()
    plans = []
    for query in captured.captured_queries:
        if all(word in query["sql"] for word in words):
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + query["sql"].replace("%", "%%"))
                plans.append("\n".join(line for (line,) in cursor.fetchall()))
    assert plans
    return plans


def test_a_glance_reads_two_index_entries_at_any_size(many_jobs: None):
    (plan,) = plans_of(read_due_state, "clock_timestamp()")
    # The third table has few unsettled rows here: either plan is fine.
    assert "Seq Scan on jobs_jobenvironment" not in plan
    assert "Seq Scan on runs_execution" not in plan
    assert "job_environment_due" in plan
    assert "execution_unsent" in plan


def test_firing_reads_only_the_due_jobs(many_jobs: None):
    plans = plans_of(lambda: fire_due(EPOCH + 5 * SECOND), "next_fire_at", "SKIP LOCKED")
    assert "job_environment_due" in plans[0]
    assert not any("Seq Scan on jobs_jobenvironment" in plan for plan in plans)
    assert Execution.objects.filter(trigger="schedule", finished_at=None).count() == 5
