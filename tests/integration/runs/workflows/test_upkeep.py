"""Workflows under maintenance: other encryption keys, a restored database, and the removal of their rows."""

import datetime
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client

from accounts.actors import SYSTEM
from accounts.encryption import Cipher
from accounts.key_rotation import check_keys
from jobs.models import Job
from ops.encrypted import ENCRYPTED_COLUMNS
from runs import restore_guard
from runs.models import Execution, Run, StepState
from runs.monitoring import system
from runs.restore import release
from runs.retention.prune import Pace, Turn, remove
from runs.retention.purge import remove_purged
from runs.workflows.awaiting import ApproverAccess, approvals_for
from tests.support.workflows import post, status, step

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = {"token": {"path": "$.token", "secret": True}}


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def plan_of(query: str, parameters: Any) -> str:
    """The plan of a query where a table is too small for an index."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {query}", parameters)
        return "\n".join(line for (line,) in cursor.fetchall())


def as_restored() -> None:
    with connection.cursor() as cursor:
        restore_guard.mark(cursor)
        cursor.execute("UPDATE runs_databasemark SET transaction = '0'")


# -- encryption keys ---------------------------------------------------------------------------------------------------


def test_secret_results_are_encrypted_with_the_new_key(start, worker, settings):
    start(
        step("login", extract=SECRET), step("paid", "webhook"), step("use", request={"body": "{{steps.login.token}}"})
    )
    worker.answers["login"] = (200, {"token": "very-secret-value"})
    worker.run()
    old, new = settings.ENCRYPTION_KEYS, Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, *old]
    assert check_keys(ENCRYPTED_COLUMNS).older == check_keys().older + 1
    call_command("rotate_encryption_keys", stdout=StringIO())
    settings.ENCRYPTION_KEYS = [new]
    assert check_keys(ENCRYPTED_COLUMNS).unreadable == 0
    login = StepState.objects.get(step="login")
    assert "very-secret-value" in Cipher([new]).decrypt(bytes(login.private))
    assert (login.status, login.output["status"]) == ("succeeded", 200)
    post(Execution.objects.get(), 1)
    assert worker.run() == ["use"]
    assert worker.calls[-1].request.body == b"very-secret-value"


def test_checking_keys_reads_rows_with_secret_values_only():
    rows = StepState.objects.filter(private__isnull=False).only("private").order_by("-pk")
    sql, parameters = rows[:10].query.sql_with_params()
    assert "step_state_private" in plan_of(sql, parameters)


# -- a restored database -----------------------------------------------------------------------------------------------


def test_a_restored_wait_takes_nothing_and_is_canceled_without_its_finally(start, worker):
    execution = start(step("paid", "webhook"), step("ship"), finally_steps=[step("tidy")])
    worker.run()
    as_restored()
    post(execution, 0)
    assert status(execution) == "waiting"
    assert release.bring_back(now(), keep_live=False).live == 1
    assert (status(execution), execution.error) == ("canceled", release.UNKNOWN)
    wait = StepState.objects.get()
    assert (wait.status, wait.error) == ("canceled", release.UNKNOWN)
    post(execution, 0)
    assert worker.run() == []
    assert status(execution) == "canceled"


def test_a_restored_wait_that_is_kept_goes_on(start, worker):
    execution = start(step("paid", "webhook"), step("ship"))
    worker.run()
    as_restored()
    release.bring_back(now(), keep_live=True)
    post(execution, 0)
    assert worker.run() == ["ship"]
    assert status(execution) == "succeeded"


def test_a_restored_finally_is_canceled(start, worker):
    """What it cleans up may have been cleaned up since the backup."""
    execution = start(step("ask"), finally_steps=[step("tidy", retry={"max_attempts": 2, "delay_ms": 0})])
    worker.answers["tidy"] = (503, {})
    worker.finish(*worker.claim())
    assert [item.attempt.step for item in worker.claim()] == ["tidy"]
    as_restored()
    release.bring_back(now(), keep_live=False)
    assert status(execution) == "canceled"
    assert worker.run() == []


# -- removal -----------------------------------------------------------------------------------------------------------


def test_steps_go_with_their_execution(start, worker):
    gone, left = start(step("ask")), start(step("ask"))
    worker.run()
    with connection.cursor() as cursor:
        assert remove(cursor, [gone.pk]) == 1
    assert list(StepState.objects.values_list("execution_id", flat=True)) == [left.pk]


def test_a_purged_job_takes_waiting_executions_and_their_steps_along(start, worker):
    execution = start(step("ask"), step("paid", "webhook"), finally_steps=[step("tidy")])
    worker.run()
    Job.objects.update(deleted_at=now(), purged_at=now())
    assert remove_purged(Turn(60, Pace(size=3), sleep=lambda _: None), now())
    post(execution, 1)
    for model in (Job, Execution, Run, StepState):
        assert not model.objects.exists(), model


def test_the_removal_of_steps_reads_those_of_the_executions_only():
    plan = plan_of("DELETE FROM runs_stepstate WHERE execution_id = ANY(%s::uuid[])", [["0" * 32]])
    assert "step_state_unique" in plan


# -- lists -------------------------------------------------------------------------------------------------------------


def test_what_waits_for_people_is_read_by_its_index(workspace):
    access = ApproverAccess(SYSTEM, {}, frozenset({workspace.pk}))
    assert "step_state_approvals" in plan_of(*approvals_for(access, now=now())[:50].query.sql_with_params())


# -- metrics -----------------------------------------------------------------------------------------------------------


def test_what_executions_wait_for_is_a_metric(start, worker):
    for waiting in (step("a", "approval"), step("a", "webhook"), step("a", "webhook"), step("a", "delay", seconds=60)):
        start(waiting)
    worker.run()
    text = Client().get("/metrics").content.decode()
    for kind, count in (("approval", 1), ("webhook", 2), ("delay", 1), ("poll", 0)):
        assert f'\nhourhand_waiting_executions{{kind="{kind}"}} {count}.0\n' in text
    assert '\nhourhand_live_executions{status="waiting"} 4.0\n' in text


def test_counting_waits_reads_waits_only():
    (query, parameters) = next(bounded for bounded in system.BOUNDED if "wait_kind" in bounded[0])
    # Either index has waiting executions only.
    assert "_waits" in plan_of(query, parameters)
