"""Callbacks on the wire: real receivers, real rows, and workers that are lost."""

import datetime
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from standardwebhooks.webhooks import Webhook

from accounts.actors import SYSTEM
from accounts.models import Workspace
from accounts.signing import rotate_signing_secret
from core.ids import uuid7
from jobs.definition.callback import default_callback
from runs import restore_guard
from runs.callbacks.claim import LOST, TOO_DEEP, claim_callbacks
from runs.callbacks.record import FinishedCallbackAttempt, UnsentCallback, give_callbacks_back, record_callbacks
from runs.executions import services
from runs.executions.delete import purge
from runs.models import Callback, CallbackAttempt, Execution
from tests.support.engine import LOOPBACK_ALLOWED, eventually
from tests.support.explain_plans import ExplainingCursor
from tests.support.finished_attempts import finished, record_on
from tests.support.jobs import MakeJob
from tests.support.receiver import Exchange, fine, receiving
from workers.connections import Link
from workers.delivery.engine import DeliveryEngine
from workers.worker.callbacks import CallbackRunner
from workers.worker.claim import Claimer
from workers.worker.service import DeliveryService

pytestmark = pytest.mark.django_db(transaction=True)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def at_once(_number: int, _rng: random.Random) -> float:
    return 0.0


@contextmanager
def running(
    owner: str = "first", wait_seconds: Callable[[int, random.Random], float] = at_once
) -> Iterator[CallbackRunner]:
    """A worker's engine and its callbacks alone."""
    runners: list[CallbackRunner] = []
    engine = DeliveryEngine(
        policy=LOOPBACK_ALLOWED,
        on_result=lambda result: runners[0].put(result),  # noqa: PLW0108 - it is made later
        on_crowded=lambda crowded: [runners[0].put(item) for item in crowded],
        may_send=lambda request, at: runners[0].may_send(request, at),  # noqa: PLW0108
    )
    runner = CallbackRunner(
        worker=f"{owner}@test",
        owner=owner,
        user_agent="Hourhand/test",
        engine=engine,
        lease_seconds=60,
        may_take=lambda: True,
        wait_seconds=wait_seconds,
    )
    runners.append(runner)
    engine.start()
    runner.start()
    try:
        yield runner
    finally:
        engine.stop(grace_seconds=1)
        runner.stop()


def ended(make_job: MakeJob, url: str, *, depth: int = 0, **callback: object) -> Execution:
    """An execution that has succeeded, whose callback is due."""
    job_environment = make_job(callback={**default_callback(url), **callback})
    execution = services.run_now(
        job_environment=job_environment, now=now(), input={"price": 1}, depth=depth, actor=SYSTEM
    )
    link = Link("test")
    claimer = Claimer(owner="first", lease_seconds=60, user_agent="Hourhand/test")
    record_on(link, *map(finished, claimer.claim(link, [str(execution.pk)], limit=1)))
    link.close()
    return execution


def status() -> str:
    return Callback.objects.get().status


def test_it_is_signed_and_reports_the_execution(make_job: MakeJob, workspace: Workspace) -> None:
    rotated = rotate_signing_secret(workspace=workspace, overlap_seconds=0, actor=SYSTEM, now=now())
    with receiving(fine) as receiver, running():
        execution = ended(make_job, receiver.url("/finished"), depth=2)
        eventually(lambda: status() == "delivered")
    (exchange,) = receiver.exchanges
    headers, callback = dict(exchange.headers), Callback.objects.get()
    Webhook(rotated.secret).verify(exchange.body, headers)
    assert exchange.request_line == "POST /finished HTTP/1.1"
    assert headers["webhook-id"] == str(callback.pk)
    assert headers["x-hourhand-event"] == "execution.finished"
    assert (headers["x-hourhand-execution-id"], headers["x-hourhand-depth"]) == (str(execution.pk), "3")
    assert (headers["content-type"], headers["user-agent"]) == ("application/json", "Hourhand/test")
    body = json.loads(exchange.body)
    assert list(body) == ["event", "sequence", "execution", "job"]
    assert (body["event"], body["sequence"]) == ("execution.finished", callback.sequence)
    assert body["job"] == {"id": str(execution.job_id), "slug": "nightly-report", "name": "Nightly report"}
    reported = body["execution"]
    assert (reported["id"], reported["status"], reported["input"]) == (str(execution.pk), "succeeded", {"price": 1})
    assert reported["final_response"] == {"status_code": 200, "body_preview": "a\tb\\n\nc"}
    attempt = CallbackAttempt.objects.get()
    assert (attempt.number, attempt.status_code, attempt.response_body) == (1, 200, "ok")
    assert (attempt.error, attempt.remote_ip, attempt.worker) == ("", "127.0.0.1", "first@test")
    assert (callback.attempts, callback.last_status_code, callback.lease_owner) == (1, 200, None)


def test_it_has_the_whole_body_of_the_response_if_asked_for(make_job: MakeJob) -> None:
    with receiving(fine) as receiver, running():
        ended(make_job, receiver.url(), include_body=True)
        eventually(lambda: status() == "delivered")
    assert json.loads(receiver.exchanges[0].body)["execution"]["final_response"]["body"] == "a\tb\\n\nc"


def test_after_five_attempts_it_has_failed_with_the_same_id_and_body_in_all(make_job: MakeJob) -> None:
    waits: list[int] = []

    def wait(number: int, _rng: random.Random) -> float:
        waits.append(number)
        return 0.0

    with receiving(lambda exchange: exchange.answer("503 Busy", b"x" * 5000)) as receiver, running(wait_seconds=wait):
        ended(make_job, receiver.url())
        eventually(lambda: status() == "failed")
    assert len(receiver.exchanges) == 5
    assert len({dict(exchange.headers)["webhook-id"] for exchange in receiver.exchanges}) == 1
    assert len({exchange.body for exchange in receiver.exchanges}) == 1
    assert waits == [1, 2, 3, 4]
    callback = Callback.objects.get()
    assert (callback.attempts, callback.last_status_code, callback.last_error) == (5, 503, "HTTP 503")
    attempts = CallbackAttempt.objects.order_by("number")
    assert [(row.number, row.status_code, len(row.response_body)) for row in attempts] == [
        (number, 503, 2048) for number in range(1, 6)
    ]


def test_one_that_is_refused_and_then_taken_is_delivered(make_job: MakeJob) -> None:
    def behave(exchange: Exchange) -> None:
        exchange.answer("500 No" if len(receiver.exchanges) == 1 else "204 Fine", b"")

    with receiving(behave) as receiver, running():
        ended(make_job, receiver.url())
        eventually(lambda: status() == "delivered")
    assert [row.error for row in CallbackAttempt.objects.order_by("number")] == ["HTTP 500", ""]


def test_a_forbidden_address_is_not_called(make_job: MakeJob) -> None:
    with running():
        ended(make_job, "http://169.254.169.254/latest/")
        eventually(lambda: status() == "failed")
    assert {row.status_code for row in CallbackAttempt.objects.all()} == {None}
    assert "169.254" not in Callback.objects.get().last_error or Callback.objects.get().attempts == 5


def test_loops_end(make_job: MakeJob) -> None:
    with receiving(fine) as receiver, running():
        ended(make_job, receiver.url(), depth=5)
        eventually(lambda: status() == "failed")
    callback = Callback.objects.get()
    assert (receiver.exchanges, callback.attempts, callback.last_error) == ([], 0, TOO_DEEP)
    assert not CallbackAttempt.objects.exists()


def test_a_lost_workers_callback_is_sent_by_another(make_job: MakeJob) -> None:
    with receiving(fine) as receiver:
        ended(make_job, receiver.url())
        with connection.cursor() as cursor:
            assert len(claim_callbacks(cursor, owner="lost", lease_seconds=60, limit=10).callbacks) == 1
            assert claim_callbacks(cursor, owner="second", lease_seconds=60, limit=10).callbacks == []
        past = now() - datetime.timedelta(seconds=1)
        Callback.objects.update(next_attempt_at=past, lease_expires_at=past)
        with running("second"):
            eventually(lambda: status() == "delivered")
    assert dict(receiver.exchanges[0].headers)["webhook-id"] == str(Callback.objects.get().pk)
    rows = CallbackAttempt.objects.order_by("number").values_list("number", "error", "worker")
    assert list(rows) == [(1, LOST, "lost"), (2, "", "second@test")]


def test_one_that_loses_its_worker_in_the_last_attempt_has_failed(make_job: MakeJob) -> None:
    ended(make_job, "http://receiver.test/")
    past = now() - datetime.timedelta(seconds=1)
    with connection.cursor() as cursor:
        for number in range(1, 7):
            claim = claim_callbacks(cursor, owner="lost", lease_seconds=60, limit=10)
            assert (len(claim.callbacks), claim.given_up) == ((1, 0) if number < 6 else (0, 1))
            Callback.objects.filter(status="pending").update(next_attempt_at=past, lease_expires_at=past)
    callback = Callback.objects.get()
    assert (callback.status, callback.attempts, callback.last_error) == ("failed", 5, LOST)
    assert CallbackAttempt.objects.count() == 5


def test_a_restored_database_sends_nothing(make_job: MakeJob) -> None:
    ended(make_job, "http://receiver.test/")
    with connection.cursor() as cursor:
        restore_guard.mark(cursor)
        cursor.execute("UPDATE runs_databasemark SET transaction = '0'")
        assert restore_guard.is_copy(cursor)
        assert claim_callbacks(cursor, owner="first", lease_seconds=60, limit=10).callbacks == []
        restore_guard.mark(cursor)
        assert len(claim_callbacks(cursor, owner="first", lease_seconds=60, limit=10).callbacks) == 1


def test_callbacks_of_purged_jobs_are_not_sent(make_job: MakeJob) -> None:
    execution = ended(make_job, "http://receiver.test/")
    purge(job=execution.job, actor=SYSTEM, now=now())
    with connection.cursor() as cursor:
        assert claim_callbacks(cursor, owner="first", lease_seconds=60, limit=10).callbacks == []


def test_an_attempt_that_has_lost_its_lease_records_nothing(make_job: MakeJob) -> None:
    ended(make_job, "http://receiver.test/")
    past = now() - datetime.timedelta(seconds=1)
    with connection.cursor() as cursor:
        (first,) = claim_callbacks(cursor, owner="first", lease_seconds=60, limit=10).callbacks
        Callback.objects.update(next_attempt_at=past, lease_expires_at=past)
        (second,) = claim_callbacks(cursor, owner="second", lease_seconds=60, limit=10).callbacks
        late, current = (
            FinishedCallbackAttempt(
                callback.callback_id, callback.number, True, None, now(), 1, 200, "ok", "", "127.0.0.1", "test"
            )
            for callback in (first, second)
        )
        assert record_callbacks(cursor, [late], owner="first") == set()
        give_callbacks_back(cursor, [UnsentCallback(first.callback_id, first.number, 0)], owner="first")
        assert Callback.objects.get().attempts == 2
        assert record_callbacks(cursor, [current], owner="second") == {(second.callback_id, 2)}
        assert record_callbacks(cursor, [current], owner="second") == set()
    assert list(CallbackAttempt.objects.order_by("number").values_list("number", "error")) == [(1, LOST), (2, "")]


def test_one_workspaces_callbacks_leave_room_for_others(make_job: MakeJob) -> None:
    execution = ended(make_job, "http://receiver.test/")
    with connection.cursor() as cursor:
        full = [str(execution.workspace_id)]
        assert claim_callbacks(cursor, owner="first", lease_seconds=60, limit=10, full=full).callbacks == []
        assert len(claim_callbacks(cursor, owner="first", lease_seconds=60, limit=10).callbacks) == 1


@pytest.mark.usefixtures("fresh_tables")
def test_looking_for_callbacks_reads_no_more_than_what_is_due(make_job: MakeJob) -> None:
    execution = ended(make_job, "http://receiver.test/")
    columns = {field.attname: getattr(Callback.objects.get(), field.attname) for field in Callback._meta.fields}
    outcome = {"status": "delivered", "finished_at": now(), "next_attempt_at": None}
    others = ("id", "execution_id", "job_id", "workspace_id")
    Callback.objects.bulk_create(
        Callback(**{**columns, **outcome, **{name: uuid7() for name in others}}) for _ in range(5000)
    )
    with connection.cursor() as plain:
        plain.execute("ANALYZE runs_callback")
        cursor = ExplainingCursor(plain)
        with transaction.atomic():
            assert len(claim_callbacks(cursor, owner="first", lease_seconds=60, limit=10).callbacks) == 1
    claim, costs = cursor.explained[0]
    assert "UPDATE runs_callback" in claim
    assert "runs_callback" not in costs.scanned_whole
    assert costs.read["runs_callback"] <= 4
    plans = [
        (Callback.objects.of(execution.workspace).order_by("-pk")[:50], "callback_history"),
        (Callback.objects.of(execution.workspace).filter(status="failed").order_by("-pk")[:50], "callback_failures"),
        (Callback.objects.filter(job=execution.job_id).order_by("-pk")[:50], "callback_job_history"),
        (Callback.objects.filter(execution=execution.pk), "callback_event_unique"),
    ]
    for rows, index in plans:
        assert index in rows.explain()


def test_what_was_answered_while_the_database_refuses_is_recorded_afterwards(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals: list[int] = []

    def refuse(cursor: Any, finished: Any, *, owner: str) -> Any:
        if len(refusals) < 2:
            refusals.append(len(finished))
            raise OperationalError("the database system is in recovery mode")
        return record_callbacks(cursor, finished, owner=owner)

    monkeypatch.setattr("workers.worker.callbacks.record_callbacks", refuse)
    with receiving(fine) as receiver, running():
        ended(make_job, receiver.url())
        eventually(lambda: status() == "delivered")
    assert (len(receiver.exchanges), refusals) == (1, [1, 1])
    assert CallbackAttempt.objects.get().number == 1


def test_a_stopping_worker_gives_back_what_it_has_not_sent(make_job: MakeJob) -> None:
    engine = DeliveryEngine(policy=LOOPBACK_ALLOWED, on_result=lambda _: None)
    runner = CallbackRunner(
        worker="first@test",
        owner="first",
        user_agent="Hourhand/test",
        engine=engine,  # never started: nothing is sent
        lease_seconds=60,
        may_take=lambda: True,
    )
    runner.start()
    ended(make_job, "http://receiver.test/")
    eventually(lambda: Callback.objects.get().lease_owner == "first")
    runner.stop()
    callback = Callback.objects.get()
    assert (callback.status, callback.attempts, callback.lease_owner) == ("pending", 0, None)
    assert callback.next_attempt_at <= now()


def test_the_service_sends_the_callbacks_of_what_it_has_delivered(make_job: MakeJob) -> None:
    service = DeliveryService(
        name="worker@test",
        owner="worker@test/1",
        policy=LOOPBACK_ALLOWED,
        max_in_flight=16,
        max_per_host=8,
        max_per_workspace=16,
        lease_seconds=60,
        user_agent="Hourhand/test",
    )
    service.start()
    try:
        with receiving(fine) as receiver:
            job_environment = make_job(
                request={"url": receiver.url("/job")}, callback=default_callback(receiver.url("/finished"))
            )
            executions = [services.run_now(job_environment=job_environment, now=now(), actor=SYSTEM) for _ in range(3)]
            service.submit([str(execution.pk) for execution in executions])
            eventually(lambda: Callback.objects.filter(status="delivered").count() == 3)
            paths = [exchange.path for exchange in receiver.exchanges]
    finally:
        service.stop(grace_seconds=1)
    assert sorted(paths) == ["/finished"] * 3 + ["/job"] * 3
