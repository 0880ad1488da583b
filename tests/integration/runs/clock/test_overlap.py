"""Overlap policies: the effect of each, and that the database enforces it."""

import datetime
import functools
import random
import uuid

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.actors import SYSTEM
from jobs.models import JobEnvironment
from runs.attempts.reaping import reap_expired
from runs.clock.fire import fire_due
from runs.clock.requeue import requeue_due
from runs.executions import services
from runs.models import Execution, Run
from runs.overlap import release_forgotten
from tests.support.finished_attempts import finished, record_on
from tests.support.jobs import EPOCH, MakeJob
from tests.support.recorded_executions import recorded
from tests.support.threads import run_in_thread, start_in_thread
from workers.connections import Link
from workers.worker.claim import Claimer

MINUTE = datetime.timedelta(minutes=1)
EVERY_MINUTE = {"every_seconds": 60}


def at(minute: float) -> datetime.datetime:
    return EPOCH + minute * MINUTE


def begin(execution: Execution) -> None:
    """Move from pending to running, by a worker that died right away."""
    now = timezone.now()
    Execution.objects.filter(pk=execution.pk).update(
        status="running", attempts=1, lease_owner="worker-1", lease_expires_at=now, started_at=now
    )


def end(execution: Execution) -> None:
    """Cancel it from any state."""
    services.cancel(workspace=execution.workspace, execution_id=execution.pk, now=execution.created_at, actor=SYSTEM)


def of(minute: float) -> Execution:
    return Execution.objects.get(scheduled_for=at(minute))


class TestSkip:
    def test_counts_occurrences_during_an_execution_as_one_range(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="skip")
        for minute in (1, 2, 3, 4):
            fire_due(at(minute))
        assert recorded() == [("pending", at(1), None, 1), ("overlap", at(2), at(4), 3)]
        end(of(1))
        fire_due(at(5))
        fire_due(at(6))
        assert recorded()[2:] == [("pending", at(5), None, 1), ("overlap", at(6), None, 1)]

    def test_a_manual_execution_counts_and_always_runs(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE, overlap="skip")
        services.run_now(job_environment=row, now=EPOCH, actor=SYSTEM)
        fire_due(at(1))
        assert of(1).skip_reason == "overlap"
        fire_due(at(2))
        services.run_now(job_environment=row, now=at(2), actor=SYSTEM)
        assert Execution.objects.filter(trigger="manual", status="pending").count() == 2

    def test_of_several_due_at_once_the_first_starts(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="skip", misfire="fire_all")
        fire_due(at(4))
        assert recorded() == [("pending", at(1), None, 1), ("overlap", at(2), at(4), 3)]

    def test_other_environments_and_jobs_are_independent(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="skip")
        make_job(schedule=EVERY_MINUTE, overlap="skip")
        assert len(fire_due(at(1)).execution_ids) == 2


class TestQueue:
    def queued(self) -> list[datetime.datetime]:
        return list(Execution.objects.filter(queued=True).values_list("scheduled_for", flat=True))

    def test_queues_one_and_counts_the_others(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="queue")
        for minute in (1, 2, 3, 4):
            fire_due(at(minute))
        assert recorded() == [("pending", at(1), None, 1), ("pending", at(2), None, 1), ("overlap", at(3), at(4), 2)]
        assert self.queued() == [at(2)]
        assert of(2).next_attempt_at is None

    def test_the_queued_execution_can_not_be_claimed(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="queue")
        fire_due(at(1))
        fire_due(at(2))
        assert requeue_due(at(1000)) == []

    def test_the_end_of_the_previous_execution_releases_it(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="queue")
        fire_due(at(1))
        fire_due(at(2))
        end(of(1))
        waiting = of(2)
        assert (waiting.queued, waiting.enqueued_at) == (False, None)
        assert requeue_due(waiting.next_attempt_at) == [waiting.pk]

    def test_canceling_a_call_in_flight_releases_it(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="queue")
        fire_due(at(1))
        fire_due(at(2))
        begin(of(1))
        end(of(1))
        assert not of(2).queued

    def test_a_dead_workers_last_attempt_releases_it(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="queue", retry={"max_attempts": 1})
        fire_due(at(1))
        fire_due(at(2))
        begin(of(1))
        assert reap_expired(user_agent="test", rng=random.Random(1)) == 1
        assert (of(1).status, of(2).queued) == ("failed", False)

    def test_a_retry_does_not_release_it(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="queue")
        fire_due(at(1))
        fire_due(at(2))
        begin(of(1))
        assert reap_expired(user_agent="test", rng=random.Random(1)) == 1
        assert (of(1).status, of(2).queued) == ("pending", True)

    def test_it_waits_for_a_manual_execution_too(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE, overlap="queue")
        manual = services.run_now(job_environment=row, now=EPOCH, actor=SYSTEM)
        fire_due(at(1))
        assert self.queued() == [at(1)]
        end(manual)
        assert self.queued() == []

    def test_canceling_the_queued_execution_makes_room(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="queue")
        fire_due(at(1))
        fire_due(at(2))
        end(of(2))
        fire_due(at(3))
        assert self.queued() == [at(3)]
        assert of(2).status == "canceled"

    def test_the_sweep_releases_a_forgotten_one(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="queue")
        fire_due(at(1))
        fire_due(at(2))
        assert release_forgotten() == 0
        Execution.objects.filter(scheduled_for=at(1)).update(status="succeeded", finished_at=at(2))
        assert release_forgotten() == 1
        assert self.queued() == []

    def test_jitter_applies_after_the_release(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="queue", jitter_seconds=3600)
        fire_due(at(1))
        fire_due(at(2))
        assert of(2).jitter_ms > 0


class TestCancelRunning:
    def test_the_next_occurrence_cancels_the_previous_execution(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="cancel_running")
        fire_due(at(1))
        fired = fire_due(at(2))
        assert recorded() == [("canceled", at(1), None, 1), ("pending", at(2), None, 1)]
        assert (fired.execution_ids, fired.aborted) == ([of(2).pk], [])
        assert of(1).error == "Canceled: the next occurrence was due."

    def test_a_call_in_flight_is_aborted_and_keeps_a_run(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="cancel_running")
        fire_due(at(1))
        begin(of(1))
        fired = fire_due(at(2))
        assert fired.aborted == [(str(of(1).pk), 1)]
        assert Run.objects.get().status == "canceled"
        assert (of(1).status, of(2).status) == ("canceled", "pending")

    def test_of_several_due_at_once_the_last_runs(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="cancel_running", misfire="fire_all")
        fired = fire_due(at(3))
        assert [row[0] for row in recorded()] == ["canceled", "canceled", "pending"]
        assert fired.execution_ids == [of(3).pk]

    def test_manual_executions_continue(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE, overlap="cancel_running")
        manual = services.run_now(job_environment=row, now=EPOCH, actor=SYSTEM)
        fire_due(at(1))
        manual.refresh_from_db()
        assert (manual.status, of(1).status) == ("pending", "pending")

    def test_nothing_is_canceled_for_an_occurrence_that_is_missed(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="cancel_running", misfire="skip")
        fire_due(at(1))
        fire_due(at(2.5))
        assert recorded() == [("pending", at(1), None, 1), ("missed", at(2), None, 1)]

    def test_an_execution_queued_under_another_policy_is_canceled_too(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE, overlap="queue")
        fire_due(at(1))
        fire_due(at(2))
        config = {**row.job.current_version.config, "overlap": "cancel_running"}
        row.job.current_version = row.job.versions.create(number=2, config=config)
        row.job.save(update_fields=["current_version"])
        fire_due(at(3))
        assert [row[0] for row in recorded()] == ["canceled", "canceled", "pending"]


@pytest.mark.django_db(transaction=True)
class TestUniqueKeys:
    def again_due(self, row: JobEnvironment, minute: float) -> None:
        """Put a row where a clock that does not know the last firing would see it."""
        JobEnvironment.objects.filter(pk=row.pk).update(next_fire_at=at(minute))

    @pytest.mark.parametrize("overlap", ["skip", "queue", "cancel_running"])
    def test_a_unique_key_forbids_two_live_executions(self, make_job: MakeJob, overlap):
        make_job(schedule=EVERY_MINUTE, overlap=overlap)
        fire_due(at(1))
        twin = of(1)
        twin.pk, twin.scheduled_for = uuid.uuid4(), at(2)
        with pytest.raises(IntegrityError, match="execution_exclusive"), transaction.atomic():
            twin.save(force_insert=True)
        twin.queued, twin.next_attempt_at = True, None
        twin.save(force_insert=True)
        twin.pk, twin.scheduled_for = uuid.uuid4(), at(3)
        with pytest.raises(IntegrityError, match="execution_queued_unique"), transaction.atomic():
            twin.save(force_insert=True)

    def test_a_clock_that_sees_no_live_executions_is_beaten_by_the_unique_key(self, make_job: MakeJob, monkeypatch):
        make_job(schedule=EVERY_MINUTE, overlap="skip")
        fire_due(at(1))
        monkeypatch.setattr("runs.clock.materialize.live_executions", lambda *_: {})
        fired = fire_due(at(2))
        assert recorded() == [("pending", at(1), None, 1), ("overlap", at(2), None, 1)]
        assert (fired.execution_ids, fired.skipped) == ([], {"overlap": 1})

    @pytest.mark.parametrize(
        ("overlap", "expected"),
        [
            ("skip", {"pending": 8, "overlap": 8}),
            ("queue", {"pending": 16}),
            ("cancel_running", {"canceled": 8, "pending": 8}),
        ],
    )
    def test_two_beats_never_make_two_live_executions(self, make_job: MakeJob, overlap, expected):
        rows = [make_job(schedule=EVERY_MINUTE, overlap=overlap) for _ in range(8)]
        for minute in (1, 2):
            beats = [start_in_thread(functools.partial(fire_due, at(minute))) for _ in range(4)]
            assert sum(beat().due for beat in beats) == len(rows)
        counts: dict[str, int] = {}
        for reason, *_ in recorded():
            counts[reason] = counts.get(reason, 0) + 1
        assert counts == expected
        assert Execution.objects.filter(queued=True).count() == (8 if overlap == "queue" else 0)

    def test_the_clock_never_waits_for_a_recording_worker(self, make_job: MakeJob):
        make_job(schedule=EVERY_MINUTE, overlap="cancel_running")
        fire_due(at(1))
        with transaction.atomic():
            list(Execution.objects.select_for_update().filter(scheduled_for=at(1)))
            fired = run_in_thread(lambda: fire_due(at(2)))
            assert (fired.due, fired.execution_ids) == (0, [])
        assert fire_due(at(2)).due == 1

    def test_an_execution_queued_while_the_previous_one_ends_is_released(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE, overlap="queue")
        fire_due(at(1))
        ending = of(1)
        with transaction.atomic():
            fire_due(at(2))  # Lock the job-environment, as a process that is queueing does.
            ended = start_in_thread(lambda: end(ending))
        ended()
        assert not of(2).queued
        assert row.executions.filter(finished_at__isnull=True).count() == 1


@pytest.mark.django_db(transaction=True)
def test_recording_an_end_releases_the_next_execution(make_job: MakeJob):
    make_job(schedule=EVERY_MINUTE, overlap="queue")
    fire_due(at(1))
    fire_due(at(2))
    first = of(1)
    link = Link("test")
    claimer = Claimer(owner="worker-1", lease_seconds=60, user_agent="test")
    (claimed,) = claimer.claim_any(link, limit=10)
    assert claimed.attempt.execution_id == str(first.pk)
    record_on(link, finished(claimed))
    assert (of(1).status, of(2).queued) == ("succeeded", False)
    (claimed,) = claimer.claim_any(link, limit=10)
    assert claimed.attempt.execution_id == str(of(2).pk)
    link.close()
