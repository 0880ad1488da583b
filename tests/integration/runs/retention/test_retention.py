"""Retention of history: the rule against a brute-force model, what is never removed, and the removal."""

import datetime
import random
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import AuditEntry, Environment
from jobs.models import JobEnvironment, JobVersion
from runs.executions import services
from runs.models import BulkOperation, Callback, CallbackAttempt, Execution, PruningRound, Run
from runs.retention.nightly import OPERATIONS_KEPT, begin_round, continue_round
from runs.retention.prune import Pace, Turn, pruning_lock
from runs.retention.rules import Prunable, cuts, rules_after
from runs.retention.worker import work_off
from tests.support.api_caller import make_execution, make_run
from tests.support.callback_rows import make_callback
from tests.support.jobs import MakeJob
from tests.support.threads import run_in_thread

pytestmark = pytest.mark.django_db
NOW = datetime.datetime(2026, 3, 1, 4, 0, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)
DAY = datetime.timedelta(days=1)


def prune(now: datetime.datetime = NOW) -> PruningRound:
    """Run one whole round, without pauses."""
    begin_round(now)
    assert continue_round(Turn(60, sleep=lambda _: None), now)
    return PruningRound.objects.latest("pk")


def kept(job: JobEnvironment) -> set[Any]:
    return set(Execution.objects.filter(job=job.job_id).values_list("pk", flat=True))


def history(job: JobEnvironment, count: int, **columns: Any) -> list[Execution]:
    """Create ended executions, a minute apart, the newest first."""
    made = {"trigger": "manual", **columns}
    return [make_execution(job, created_at=NOW - n * MINUTE, **made) for n in range(count)]


def brute_force(rows: list[Execution], *, keep_last: int, keep_days: int | None) -> set[Any]:
    """Return what is kept, by the documentation alone."""
    ended = sorted((row for row in rows if row.finished_at), key=lambda row: (row.due_at, row.pk), reverse=True)
    failures = [row for row in ended if row.status == "failed"]
    found = {row.pk for row in rows if not row.finished_at}
    found |= {row.pk for row in ended[:keep_last]} | {row.pk for row in failures[:keep_last]}
    if keep_days is not None:
        found |= {row.pk for row in ended if row.due_at >= NOW - keep_days * DAY}
    for place in {row.job_environment_id for row in rows}:
        scheduled = [row for row in rows if row.job_environment_id == place and row.trigger == "schedule"]
        found |= {max(scheduled, key=lambda row: row.scheduled_for).pk} if scheduled else set()
    replayed = {row.replay_of_id for row in rows if not row.finished_at}
    return found | (replayed & {row.pk for row in rows})


def some_history(rng: random.Random, job: JobEnvironment, count: int) -> list[Execution]:
    rows: list[Execution] = []
    for number in range(count):
        at = NOW - rng.randrange(12 * 24) * 10 * MINUTE - number * datetime.timedelta(seconds=1)
        status = rng.choice(["succeeded", "succeeded", "failed", "canceled", "skipped", "pending"])
        columns: dict[str, Any] = {"trigger": rng.choice(["schedule", "schedule", "manual"]), "created_at": at}
        if status == "failed":
            columns["failure_reason"] = "timeout"
        elif status == "skipped":
            columns.update(trigger="schedule", skip_reason="missed")
        elif status == "pending":
            columns.update(trigger="replay", finished_at=None, next_attempt_at=at, replay_of=rng.choice(rows or [None]))
        rows.append(make_execution(job, status=status, **columns))
    return rows


class TestRetention:
    @pytest.mark.parametrize("seed", range(12))
    def test_removes_exactly_what_the_documentation_says(self, make_job: MakeJob, seed: int) -> None:
        rng = random.Random(seed)
        keep_last, keep_days = rng.choice([1, 2, 5, 20]), rng.choice([None, None, 1, 7])
        job = make_job(retention={"keep_last": keep_last, "keep_days": keep_days})
        some_history(rng, job, rng.choice([1, 10, 60]))
        rows = list(Execution.objects.all())
        expected = brute_force(rows, keep_last=keep_last, keep_days=keep_days)
        done = prune()
        assert kept(job) == expected
        assert done.executions == len(rows) - len(expected)
        assert prune().executions == 0

    def test_keeps_the_newest_hundred_by_default(self, make_job: MakeJob) -> None:
        usual, short = make_job(), make_job(retention={"keep_last": 3})
        long = [row.pk for row in history(usual, 120)]
        few = [row.pk for row in history(short, 10)]
        prune()
        assert kept(usual) == set(long[:100])
        assert kept(short) == set(few[:3])

    def test_a_failure_is_kept_at_least_as_long_as_a_success_of_its_time(self, make_job: MakeJob) -> None:
        job = make_job(retention={"keep_last": 5})
        old = [row.pk for row in history(job, 8, status="failed", failure_reason="timeout")]
        Execution.objects.update(created_at=NOW - DAY)
        history(job, 20)
        prune()
        failures = set(Execution.objects.filter(status="failed").values_list("pk", flat=True))
        assert failures == set(sorted(old, reverse=True)[:5])
        assert Execution.objects.filter(status="succeeded").count() == 5

    def test_counts_all_environments_of_a_job_together(self, make_job: MakeJob, workspace: Any) -> None:
        job = make_job(retention={"keep_last": 4})
        staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
        other = JobEnvironment.objects.create(workspace=workspace, job=job.job, environment=staging)
        history(job, 3)
        older = [make_execution(other, trigger="manual", created_at=NOW - DAY - n * MINUTE) for n in range(3)]
        prune()
        assert {row.pk for row in older} & kept(job) == {older[0].pk}

    def test_applies_to_deleted_jobs_too(self, make_job: MakeJob) -> None:
        job = make_job(retention={"keep_last": 2})
        history(job, 5)
        job.job.deleted_at = NOW
        job.job.save()
        prune()
        assert len(kept(job)) == 2


class TestNeverRemoved:
    @pytest.fixture
    def job(self, make_job: MakeJob) -> JobEnvironment:
        return make_job(retention={"keep_last": 1})

    def test_the_source_of_a_live_replay(self, job: JobEnvironment) -> None:
        _, old, older = history(job, 3)
        waiting = {"status": "pending", "finished_at": None, "next_attempt_at": NOW, "trigger": "replay"}
        replay = make_execution(job, created_at=NOW - DAY, replay_of=old, **waiting)
        prune()
        assert {old.pk, replay.pk} <= kept(job)
        assert older.pk not in kept(job)
        Execution.objects.filter(pk=replay.pk).update(status="succeeded", finished_at=NOW, next_attempt_at=None)
        prune()
        assert old.pk not in kept(job)

    def test_one_whose_callback_is_pending(self, job: JobEnvironment) -> None:
        _, old, older = history(job, 3)
        make_callback(old, status="pending")
        make_callback(older)
        prune()
        assert (old.pk in kept(job), older.pk in kept(job)) == (True, False)
        assert set(Callback.objects.values_list("execution_id", flat=True)) == {old.pk}
        Callback.objects.update(status="delivered", finished_at=NOW, next_attempt_at=None)
        prune()
        assert old.pk not in kept(job)
        assert not CallbackAttempt.objects.exists()

    def test_an_execution_pending_in_a_bulk_operation(self, job: JobEnvironment, workspace: Any) -> None:
        _, done, to_come, _ = history(job, 4)
        operation = BulkOperation.objects.create(
            workspace=workspace, kind="replay", filter={}, execution_ids=[done.pk, to_come.pk], position=1, done=1
        )
        prune()
        assert to_come.pk in kept(job)
        assert done.pk not in kept(job)
        BulkOperation.objects.filter(pk=operation.pk).update(state="completed", finished_at=NOW, position=2)
        prune()
        assert to_come.pk not in kept(job)

    def test_the_last_scheduled_one_which_may_grow(self, job: JobEnvironment) -> None:
        stretch = make_execution(
            job, status="skipped", skip_reason="missed", created_at=NOW - DAY, occurrences=3,
            scheduled_until=NOW - DAY + MINUTE,
        )  # fmt: skip
        history(job, 3)
        prune()
        assert stretch.pk in kept(job)


class TestRemoval:
    @pytest.fixture
    def job(self, make_job: MakeJob) -> JobEnvironment:
        return make_job(retention={"keep_last": 10})

    def test_runs_are_removed_with_their_executions_and_counted(self, job: JobEnvironment, client: Client) -> None:
        for execution in history(job, 15):
            make_run(execution, 1)
            make_run(execution, 2)
        done = prune()
        assert (done.executions, done.runs, Run.objects.count()) == (5, 10, 20)
        told = client.get("/metrics").content.decode()
        assert "hourhand_pruned_executions_total 5.0" in told
        assert "hourhand_pruned_runs_total 10.0" in told
        assert "hourhand_retention_under_way 0.0" in told
        assert "hourhand_retention_age_seconds" in told

    def test_an_interrupted_round_continues_and_no_second_one_begins(self, make_job: MakeJob) -> None:
        jobs = [make_job(retention={"keep_last": 1}) for _ in range(3)]
        for job in jobs:
            history(job, 20)
        assert begin_round(NOW)
        assert not begin_round(NOW)
        now = [0.0]
        turn = Turn(3, Pace(size=4), sleep=lambda _: now.__setitem__(0, now[0] + 1), clock=lambda: now[0])
        assert work_off(turn, NOW)
        left = Execution.objects.count()
        assert 3 < left < 60
        assert not work_off(Turn(60, sleep=lambda _: None), NOW)
        assert Execution.objects.count() == 3
        found = PruningRound.objects.get()
        assert (found.executions, found.finished_at) == (57, NOW)

    def test_unused_edited_versions_are_removed(self, job: JobEnvironment) -> None:
        source = make_execution(job, trigger="manual", created_at=NOW - DAY)
        edited = {**job.job.current_version.config["request"], "body": "another"}
        made = services.replay(execution=source, now=NOW - DAY, original_config=False, request=edited, actor=SYSTEM)
        Execution.objects.filter(pk=made.pk).update(status="succeeded", finished_at=NOW, next_attempt_at=None)
        history(job, 10)
        prune()
        assert made.pk not in kept(job)
        assert JobVersion.objects.filter(edited=True).exists()
        prune()
        assert not JobVersion.objects.filter(edited=True).exists()
        assert JobVersion.objects.get() == job.job.current_version

    def test_old_audit_entries_and_bulk_operations_are_removed_too(self, workspace: Any, settings: Any) -> None:
        settings.AUDIT_LOG_DAYS = 30
        common = {"workspace": workspace, "actor_kind": "system", "action": "job.run"}
        for days in (1, 29, 31, 400):
            AuditEntry.objects.create(at=NOW - days * DAY, target_label=str(days), **common)
        ended = {"workspace": workspace, "kind": "cancel", "filter": {}, "execution_ids": [], "state": "completed"}
        for age in (OPERATIONS_KEPT - DAY, OPERATIONS_KEPT + DAY):
            BulkOperation.objects.create(finished_at=NOW - age, **ended)
        prune()
        assert set(AuditEntry.objects.filter(action="job.run").values_list("target_label", flat=True)) == {"1", "29"}
        assert BulkOperation.objects.get().finished_at > NOW - OPERATIONS_KEPT
        settings.AUDIT_LOG_DAYS = 0
        prune(NOW + 400 * DAY)
        assert AuditEntry.objects.filter(action="job.run").count() == 2


@pytest.mark.django_db(transaction=True)
class TestConcurrency:
    def test_a_batch_neither_blocks_nor_waits(self, make_job: MakeJob) -> None:
        job = make_job(retention={"keep_last": 1})
        rows = history(job, 5)
        live = services.run_now(job_environment=job, now=NOW, actor=SYSTEM)
        [rule] = rules_after(None)
        history_of = Prunable(rule, cuts([rule])[rule.job_id], NOW)

        def others() -> str:
            """Lock what claiming, recording and firing lock, without waiting."""
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '500ms'")
                cursor.execute("SELECT FROM runs_execution WHERE id = %s FOR NO KEY UPDATE", [live.pk])
                cursor.execute("SELECT FROM jobs_jobenvironment WHERE id = %s FOR NO KEY UPDATE", [job.pk])
            return "never waited"

        with transaction.atomic(), connection.cursor() as cursor:
            assert history_of.prune(cursor, 2).executions == 2
            assert run_in_thread(others) == "never waited"

        def held() -> int:
            with transaction.atomic(), connection.cursor() as cursor:
                return history_of.prune(cursor, 10).executions

        with transaction.atomic():
            list(Execution.objects.select_for_update().filter(pk=rows[-1].pk))
            assert run_in_thread(held) == 1
        assert rows[-1].pk in kept(job)

    def test_two_workers_never_prune_at_once(self) -> None:
        def somebody_else() -> bool:
            with pruning_lock() as is_ours:
                return is_ours

        with pruning_lock() as is_ours:
            assert is_ours
            assert not run_in_thread(somebody_else)
        assert run_in_thread(somebody_else)
