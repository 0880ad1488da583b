"""Claiming and recording on real Postgres: one owner per execution, fenced transitions, atomic changes."""

import concurrent.futures
import datetime
import json
import random
import threading

import pytest
from django.db import connection, transaction

from accounts.actors import SYSTEM
from jobs.models import JobEnvironment
from runs.attempts.contract import Timings
from runs.attempts.reaping import reap_expired
from runs.attempts.recording import as_text
from runs.attempts.retry import GiveUp, RetryIn
from runs.clock.fire import fire_due
from runs.executions import services
from runs.failures import FailureReason
from runs.models import Execution, Run
from runs.states import TERMINAL, TRANSITIONS, ExecutionStatus
from tests.support.finished_attempts import finished, record_on
from tests.support.jobs import MakeJob
from workers.connections import DatabaseAwayError, Link
from workers.delivery.contract import DeliveryResult
from workers.worker.claim import Claimer
from workers.worker.evaluate import evaluate

pytestmark = pytest.mark.django_db(transaction=True)


def claimer(owner: str) -> Claimer:
    return Claimer(owner=owner, lease_seconds=60, user_agent="Hourhand/test")


@pytest.fixture
def first():
    link = Link("test")
    yield link
    link.close()


@pytest.fixture
def second():
    link = Link("test")
    yield link
    link.close()


@pytest.fixture
def execution(make_job: MakeJob) -> Execution:
    job = make_job(request={"headers": {"Authorization": "Bearer x", "Content-Type": "text/plain"}, "body": "héllo"})
    return services.run_now(job_environment=job, now=datetime.datetime.now(datetime.UTC), actor=SYSTEM)


def test_of_two_workers_one_claims(execution, first, second):
    ids = [str(execution.pk)]
    with first.transaction() as cursor:
        cursor.execute("SELECT id FROM runs_execution FOR UPDATE")
        assert claimer("second").claim(second, ids, limit=10) == []
    (mine,) = claimer("first").claim(first, ids, limit=10)
    assert claimer("second").claim(second, ids, limit=10) == []
    execution.refresh_from_db()
    assert (execution.status, execution.attempts, execution.lease_owner) == ("running", 1, "first")
    assert mine.attempt.number == 1


def test_a_link_that_lost_its_server_raises_and_reconnects(execution, first, second):
    with first.transaction() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    with second.transaction() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    with pytest.raises(DatabaseAwayError):
        claimer("first").claim(first, [str(execution.pk)], limit=1)
    assert len(claimer("first").claim(first, [str(execution.pk)], limit=1)) == 1


def test_a_claim_takes_no_more_than_the_free_slots(make_job: MakeJob, first):
    job, now = make_job(), datetime.datetime.now(datetime.UTC)
    ids = [str(services.run_now(job_environment=job, now=now, actor=SYSTEM).pk) for _ in range(5)]
    assert len(claimer("first").claim(first, ids, limit=2)) == 2
    assert len(claimer("first").claim_any(first, limit=10)) == 3


def test_an_execution_that_is_not_due_is_not_claimed(make_job: MakeJob, first):
    delayed = services.run_now(
        job_environment=make_job(), now=datetime.datetime.now(datetime.UTC), delay_seconds=60, actor=SYSTEM
    )
    assert claimer("first").claim(first, [str(delayed.pk)], limit=1) == []


def test_a_claim_is_a_heap_only_update(execution, first):
    def counts() -> tuple[int, int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'runs_execution'")
            return cursor.fetchone()

    updated, heap_only = counts()
    claimer("first").claim(first, [str(execution.pk)], limit=1)
    with first.transaction() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
    assert counts() == (updated + 1, heap_only + 1)


def test_the_request_carries_hourhands_headers_and_history_redacts_the_rest(execution, first):
    (claimed,) = claimer("first").claim(first, [str(execution.pk)], limit=1)
    sent = dict(claimed.request.headers)
    assert sent["Authorization"] == "Bearer x"
    assert sent["X-Hourhand-Execution-Id"] == sent["Idempotency-Key"] == str(execution.pk)
    assert (sent["X-Hourhand-Job"], sent["X-Hourhand-Attempt"]) == ("nightly-report", "1")
    shown = json.loads(claimed.sent.headers)
    assert shown["authorization"] == "[redacted]"
    assert shown["content-type"] == "text/plain"
    assert claimed.request.body == "héllo".encode()


def test_a_success_is_recorded_whole(execution, first):
    (claimed,) = claimer("first").claim(first, [str(execution.pk)], limit=1)
    assert record_on(first, finished(claimed)) == {(str(execution.pk), 1)}
    execution.refresh_from_db()
    assert (execution.status, execution.lease_owner, execution.next_attempt_at) == ("succeeded", None, None)
    run = Run.objects.get()
    assert (run.number, run.status, run.response_status, run.response_body) == (1, "succeeded", 200, "a\tb\\n\nc")
    assert (run.request_body, run.duration_ms, run.body_bytes) == ("héllo", 5, 7)
    assert execution.finished_at == run.finished_at


def test_a_retry_waits_in_postgres(execution, first):
    (claimed,) = claimer("first").claim(first, [str(execution.pk)], limit=1)
    record_on(first, finished(claimed, RetryIn(60_000), FailureReason.TIMEOUT, "timed out after 30 s"))
    execution.refresh_from_db()
    assert (execution.status, execution.enqueued_at, execution.finished_at) == ("pending", None, None)
    wait = execution.next_attempt_at - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(seconds=50) < wait <= datetime.timedelta(seconds=60)
    assert claimer("first").claim(first, [str(execution.pk)], limit=1) == []


def test_a_final_failure_has_its_reason(execution, first):
    (claimed,) = claimer("first").claim(first, [str(execution.pk)], limit=1)
    reason = FailureReason.HTTP_SERVER_ERROR
    record_on(first, finished(claimed, GiveUp(reason), reason, "HTTP 503"))
    execution.refresh_from_db()
    assert (execution.status, execution.failure_reason, execution.error) == ("failed", "http_server_error", "HTTP 503")


@pytest.mark.parametrize("stale", [{"lease_owner": "zombie"}, {"number": 7}])
def test_a_zombie_moves_nothing_and_leaves_no_run(execution, first, stale):
    (claimed,) = claimer("first").claim(first, [str(execution.pk)], limit=1)
    assert record_on(first, finished(claimed, **stale)) == set()
    execution.refresh_from_db()
    assert execution.status == "running"
    assert not Run.objects.exists()


def test_recording_twice_is_recording_once(execution, first):
    (claimed,) = claimer("first").claim(first, [str(execution.pk)], limit=1)
    record_on(first, finished(claimed))
    assert record_on(first, finished(claimed)) == set()
    assert Run.objects.count() == 1


def test_a_streak_of_failures_is_counted_and_broken(make_job: MakeJob, first):
    job, reason = make_job(), FailureReason.HTTP_SERVER_ERROR

    def run(*outcomes: bool) -> tuple[str, int]:
        now = datetime.datetime.now(datetime.UTC)
        ids = [str(services.run_now(job_environment=job, now=now, actor=SYSTEM).pk) for _ in outcomes]
        claimed = claimer("first").claim(first, ids, limit=10)
        items = []
        for index, (item, ok) in enumerate(zip(claimed, outcomes, strict=True)):
            made = finished(item) if ok else finished(item, GiveUp(reason), reason)
            later = made.ending._replace(finished_at=now + datetime.timedelta(seconds=index + 1))
            items.append(made._replace(ending=later))
        record_on(first, *items)
        job.refresh_from_db()
        return job.last_status, job.consecutive_failures

    assert run(False, False) == ("failed", 2)
    assert run(False) == ("failed", 3)
    assert run(False, True, False) == ("failed", 1)
    assert run(True) == ("succeeded", 0)


def test_an_expired_lease_is_reaped_and_the_policy_decides(execution, first, caplog):
    (claimed,) = claimer("dead").claim(first, [str(execution.pk)], limit=1)
    assert reap_expired(user_agent="Hourhand/test", rng=random.Random(1)) == 0
    Execution.objects.update(lease_expires_at=datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1))
    assert reap_expired(user_agent="Hourhand/test", rng=random.Random(1)) == 1
    execution.refresh_from_db()
    assert (execution.status, execution.lease_owner, execution.attempts) == ("pending", None, 1)
    run = Run.objects.get()
    assert (run.status, run.failure_reason, run.number) == ("failed", "worker_lost", 1)
    assert run.request_body == "héllo"
    assert record_on(first, finished(claimed)) == set(), "the zombie came back and moved it"
    (told,) = [line.msg for line in caplog.records if line.name == "runs.attempts.reaping"]
    assert (told["event"], told["execution_id"], told["attempt"], told["worker"]) == (
        "worker_lost",
        str(execution.pk),
        1,
        "dead",
    )


def test_a_reaped_execution_without_attempts_left_has_failed(make_job: MakeJob, first):
    job = make_job(retry={"max_attempts": 1})
    execution = services.run_now(job_environment=job, now=datetime.datetime.now(datetime.UTC), actor=SYSTEM)
    claimer("dead").claim(first, [str(execution.pk)], limit=1)
    Execution.objects.update(lease_expires_at=datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1))
    reap_expired(user_agent="Hourhand/test", rng=random.Random(1))
    execution.refresh_from_db()
    assert (execution.status, execution.failure_reason) == ("failed", "worker_lost")


def test_a_very_old_lease_is_reaped(execution, first):
    claimer("dead").claim(first, [str(execution.pk)], limit=1)
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=30)
    Execution.objects.update(attempts=2, started_at=long_ago, next_attempt_at=long_ago, lease_expires_at=long_ago)
    assert reap_expired(user_agent="Hourhand/test", rng=random.Random(1)) == 1
    assert Run.objects.get().duration_ms == 2**31 - 1


def test_an_attempt_claimed_after_the_reaper_read_the_clock_is_reaped(execution, first):
    claimer("dead").claim(first, [str(execution.pk)], limit=1)
    now = datetime.datetime.now(datetime.UTC)
    later, lapsed = now + datetime.timedelta(hours=1), now - datetime.timedelta(seconds=1)
    Execution.objects.update(started_at=later, lease_expires_at=lapsed)
    assert reap_expired(user_agent="Hourhand/test", rng=random.Random(1)) == 1
    run = Run.objects.get()
    assert (run.failure_reason, run.started_at, run.finished_at) == ("worker_lost", later, later)


def test_a_renewed_lease_is_not_reaped(execution, first):
    owner = claimer("first")
    owner.claim(first, [str(execution.pk)], limit=1)
    Execution.objects.update(lease_expires_at=datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1))
    owner.extend(first, [(str(execution.pk), 1)])
    assert reap_expired(user_agent="Hourhand/test", rng=random.Random(1)) == 0


def test_an_unsent_attempt_is_given_back_as_if_never_claimed(execution, first):
    owner = claimer("first")
    claimed = owner.claim(first, [str(execution.pk)], limit=1)
    assert owner.give_back(first, claimed) == {(str(execution.pk), 1)}
    execution.refresh_from_db()
    assert (execution.status, execution.attempts, execution.enqueued_at) == ("pending", 0, None)
    (again,) = owner.claim(first, [str(execution.pk)], limit=1)
    assert again.attempt.number == 1


def cancel(execution: Execution) -> Execution:
    now = datetime.datetime.now(datetime.UTC)
    return services.cancel(workspace=execution.workspace, execution_id=execution.pk, now=now, actor=SYSTEM)


def test_canceling_in_flight_ends_at_once_and_fences_the_worker(execution, first):
    owner = claimer("first")
    (claimed,) = owner.claim(first, [str(execution.pk)], limit=1)
    ended = cancel(execution)
    assert (ended.status, ended.lease_owner, ended.attempts, ended.failure_reason) == ("canceled", None, 1, "")
    run = Run.objects.get()
    assert (run.status, run.number, run.failure_reason, run.response_status) == ("canceled", 1, "", None)
    assert (run.request_body, run.error) == ("héllo", "Canceled in flight; the request may have arrived.")
    assert record_on(first, finished(claimed)) == set()
    assert owner.extend(first, [(str(execution.pk), 1)]) == set()
    assert Run.objects.count() == 1
    assert JobEnvironment.objects.get().last_status == ""


def test_canceling_ends_pending_retries_but_no_ended_execution(execution, first):
    (claimed,) = claimer("first").claim(first, [str(execution.pk)], limit=1)
    record_on(first, finished(claimed, RetryIn(60_000), FailureReason.TIMEOUT, "timed out"))
    assert cancel(execution).status == "canceled"
    with pytest.raises(services.ExecutionNotCancelableError):
        cancel(execution)
    assert Run.objects.get().status == "failed"


def test_an_aborted_call_is_canceled_and_counts_in_no_streak(execution, first):
    JobEnvironment.objects.update(last_status="failed", consecutive_failures=2)
    (claimed,) = claimer("first").claim(first, [str(execution.pk)], limit=1)
    at = claimed.claimed_monotonic
    nothing = Timings()
    aborted = DeliveryResult(
        claimed.request, FailureReason.UNKNOWN, "canceled", None, None, nothing, at, at + 1, aborted=True
    )
    record_on(first, evaluate(claimed, aborted, worker="w", rng=random.Random(1)))
    execution.refresh_from_db()
    run, job = Run.objects.get(), JobEnvironment.objects.get()
    assert (execution.status, run.status, run.failure_reason, run.duration_ms) == ("canceled", "canceled", "", 1000)
    assert "may have arrived" in run.error
    assert (job.last_status, job.consecutive_failures) == ("failed", 2)


def test_a_crowded_execution_is_given_back_for_a_while(execution, first):
    owner = claimer("first")
    claimed = owner.claim(first, [str(execution.pk)], limit=1)
    assert owner.give_back(first, claimed, wait_ms={str(execution.pk): 60_000}) == {(str(execution.pk), 1)}
    execution.refresh_from_db()
    assert (execution.status, execution.attempts, execution.started_at) == ("pending", 0, None)
    wait = execution.next_attempt_at - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(seconds=50) < wait <= datetime.timedelta(seconds=60)


class TestConcurrency:
    @pytest.fixture
    def ids(self, make_job: MakeJob) -> list[str]:
        job, now = make_job(concurrency=2), datetime.datetime.now(datetime.UTC)
        return [str(services.run_now(job_environment=job, now=now, actor=SYSTEM).pk) for _ in range(6)]

    def test_a_plain_claim_skips_jobs_with_a_limit(self, ids, first):
        assert claimer("first").claim(first, ids, limit=10) == []
        assert claimer("first").claim_any(first, limit=10) == []

    def test_workers_together_keep_to_the_limit(self, ids, first, second):
        one, other = claimer("first"), claimer("second")
        (job_id,) = one.limited_jobs(first, ids[:1])
        assert one.limited_jobs(first) == [job_id]
        ((claimed,), _) = one.claim_of_job(first, job_id, limit=1)
        assert claimed.attempt.execution_id == ids[0], "the longest due goes first"
        assert len(other.claim_of_job(second, job_id, limit=10)[0]) == 1
        assert one.claim_of_job(first, job_id, limit=10) == ([], False)
        record_on(first, finished(claimed))
        assert len(other.claim_of_job(second, job_id, limit=10)[0]) == 1

    def test_two_concurrent_claims_keep_to_the_limit(self, ids, first):
        job_id = str(Execution.objects.values_list("job_id", flat=True)[0])
        together = threading.Barrier(8)

        def claim(number: int) -> int:
            link = Link("test")
            together.wait()
            claimed, _ = claimer(f"worker-{number}").claim_of_job(link, job_id, limit=10)
            link.close()
            return len(claimed)

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(claim, range(8))) == 2
        assert Execution.objects.filter(status="running").count() == 2

    def test_a_scheduled_firing_carries_its_versions_limit(self, make_job: MakeJob):
        row = make_job(concurrency=3, schedule="* * * * *")
        now = datetime.datetime.now(datetime.UTC)
        JobEnvironment.objects.filter(pk=row.pk).update(next_fire_at=now)
        fire_due(now + datetime.timedelta(seconds=1))
        assert Execution.objects.get(status="pending").concurrency == 3


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        (None, (None, "utf-8")),
        (b"", ("", "utf-8")),
        ("naïve".encode(), ("naïve", "utf-8")),
        ("cut in é".encode()[:-1], ("cut in ", "utf-8")),
        (b"a\x00b", ("YQBi", "base64")),
        (b"\xff\xfe", ("//4=", "base64")),
    ],
)
def test_a_text_body_is_stored_as_text(body, stored):
    assert as_text(body) == stored


_COLUMNS = {
    "pending": {"next_attempt_at": "now()"},
    "running": {"lease_owner": "'w'", "lease_expires_at": "now()"},
    "waiting": {"wait_kind": "'delay'", "wait_expires_at": "now()"},
    "succeeded": {"finished_at": "now()"},
    "failed": {"finished_at": "now()"},
    "canceled": {"finished_at": "now()"},
    "skipped": {"finished_at": "now()", "skip_reason": "'missed'"},
}


@pytest.mark.parametrize("status", ExecutionStatus.values)
def test_every_status_satisfies_its_column_constraints(execution, status):
    cleared = {
        "lease_owner": "NULL",
        "lease_expires_at": "NULL",
        "finished_at": "NULL",
        "skip_reason": "''",
        "wait_kind": "''",
    }
    columns = {**cleared, **_COLUMNS[status]}
    assignments = ", ".join(f"{name} = {value}" for name, value in columns.items())
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE runs_execution SET status = %s, {assignments}", [status])  # noqa: S608
        for name in _COLUMNS[status]:
            empty = "''" if name in ("skip_reason", "wait_kind") else "NULL"
            with pytest.raises(Exception, match="execution_"), transaction.atomic():
                cursor.execute(f"UPDATE runs_execution SET {name} = {empty}")  # noqa: S608


def test_no_terminal_status_leads_anywhere():
    assert set(TRANSITIONS) == set(ExecutionStatus)
    assert all(not TRANSITIONS[status] for status in TERMINAL)


def test_jobs_are_not_touched_by_steady_success(execution, first):
    JobEnvironment.objects.update(last_status="succeeded")
    before = JobEnvironment.objects.extra(select={"version": "xmin::text"}).get().version
    (claimed,) = claimer("first").claim(first, [str(execution.pk)], limit=1)
    record_on(first, finished(claimed))
    assert JobEnvironment.objects.extra(select={"version": "xmin::text"}).get().version == before


def test_an_edited_replay_sends_its_own_request_and_leaves_the_job_unchanged(first: Link, make_job: MakeJob) -> None:
    job = make_job(request={"body": "old"}, concurrency=None)
    now = datetime.datetime.now(datetime.UTC)
    source = services.run_now(job_environment=job, now=now, actor=SYSTEM)
    version = services.configuration_of(source, original=True)
    request = {**version.config["request"], "body": "new", "method": "PUT"}
    edited = services.replay(execution=source, now=now, original_config=True, request=request, actor=SYSTEM)
    plain = services.replay(execution=source, now=now, original_config=True, actor=SYSTEM)
    sent = {
        claimed.attempt.execution_id: (claimed.request.method, claimed.request.body)
        for claimed in claimer("worker").claim(first, [str(source.pk), str(edited.pk), str(plain.pk)], limit=10)
    }
    assert sent == {str(source.pk): ("POST", b"old"), str(edited.pk): ("PUT", b"new"), str(plain.pk): ("POST", b"old")}
