"""A callback is inserted by whatever ends an execution, once, and only where one is due."""

import datetime
import random

import pytest
from django.db import connection
from django.db.models import F

from accounts.actors import SYSTEM
from jobs.definition.callback import default_callback
from jobs.models import JobEnvironment
from runs.attempts.reaping import reap_expired
from runs.attempts.retry import GiveUp
from runs.clock.fire import fire_due
from runs.executions import services
from runs.executions.bulk import start_selected, work_off
from runs.executions.cancel import cancel_live
from runs.failures import FailureReason
from runs.models import Callback, Execution
from runs.states import BulkKind, ExecutionStatus
from tests.support.finished_attempts import finished, record_on
from tests.support.jobs import MakeJob
from workers.connections import Link
from workers.worker.claim import Claimer
from workers.worker.claimed import Claimed

pytestmark = pytest.mark.django_db(transaction=True)
URL = "http://receiver.test/finished"
ALL = {**default_callback(URL), "on": ["succeeded", "failed", "canceled", "skipped"]}


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@pytest.fixture
def link():
    link = Link("test")
    yield link
    link.close()


def run(job_environment: JobEnvironment, **options) -> Execution:
    return services.run_now(job_environment=job_environment, now=now(), actor=SYSTEM, **options)


def claim(execution: Execution, link: Link, *, lease_seconds: int = 60) -> Claimed:
    claimer = Claimer(owner="first", lease_seconds=lease_seconds, user_agent="Hourhand/test")
    (claimed,) = claimer.claim(link, [str(execution.pk)], limit=1)
    return claimed


def endings() -> list[tuple[str, str]]:
    """The status of each execution that has a callback, in their order, and that of the callback."""
    return list(Callback.objects.order_by("sequence").values_list("execution__status", "status"))


def test_a_recorded_success_and_failure_have_a_callback(make_job: MakeJob, link: Link) -> None:
    job_environment = make_job(callback=default_callback(URL))
    record_on(link, finished(claim(run(job_environment), link)))
    reason = FailureReason.HTTP_SERVER_ERROR
    record_on(link, finished(claim(run(job_environment), link), GiveUp(reason), reason))
    assert endings() == [("succeeded", "pending"), ("failed", "pending")]
    first, second = Callback.objects.order_by("pk")
    assert (first.event, first.attempts, first.attempt_limit) == ("execution.finished", 0, 5)
    assert first.pk.version == 7
    assert first.pk < second.pk
    assert abs(first.next_attempt_at - now()) < datetime.timedelta(minutes=1)
    execution = first.execution
    assert (first.job_id, first.workspace_id, first.environment_id) == (
        execution.job_id,
        execution.workspace_id,
        execution.environment_id,
    )


def test_a_batch_that_ends_several_executions_has_a_callback_for_each(make_job: MakeJob, link: Link) -> None:
    with_one, without = make_job(callback=default_callback(URL)), make_job(slug="other")
    claimed = [claim(run(job_environment), link) for job_environment in (with_one, without, with_one)]
    record_on(link, *map(finished, claimed))
    assert endings() == [("succeeded", "pending")] * 2


def test_a_canceled_and_a_reaped_execution_have_a_callback(make_job: MakeJob, link: Link) -> None:
    job_environment = make_job(callback=default_callback(URL), retry={"max_attempts": 1})
    run(job_environment)
    cancel_live(Execution.objects.all(), now=now())
    claim(run(job_environment), link, lease_seconds=0)
    reap_expired(user_agent="Hourhand/test", rng=random.Random(1))
    assert endings() == [("canceled", "pending"), ("failed", "pending")]


def test_one_canceled_in_flight_has_a_callback(make_job: MakeJob, link: Link) -> None:
    claimed = claim(run(make_job(callback=default_callback(URL))), link)
    cancel_live(Execution.objects.all(), now=now())
    record_on(link, finished(claimed))
    assert endings() == [("canceled", "pending")]


@pytest.mark.parametrize("on", [["skipped"], ["succeeded"]])
def test_skipped_occurrences_have_a_callback_only_if_asked_for(make_job: MakeJob, on: list[str]) -> None:
    start = now() - datetime.timedelta(hours=3)
    make_job(schedule="every minute", misfire="skip", misfire_grace_seconds=0, now=start, callback={**ALL, "on": on})
    fire_due(now())
    assert Execution.objects.filter(status=ExecutionStatus.SKIPPED).exists()
    skipped = Callback.objects.filter(execution__status="skipped").count()
    assert skipped == (1 if "skipped" in on else 0)
    longer = {"occurrences": F("occurrences") + 1, "scheduled_until": now()}
    assert Execution.objects.filter(status=ExecutionStatus.SKIPPED).update(**longer)
    assert Callback.objects.filter(execution__status="skipped").count() == skipped


def test_scheduled_executions_copy_it_from_the_definition_in_their_environment(make_job: MakeJob) -> None:
    start = now() - datetime.timedelta(minutes=2)
    make_job(schedule="every minute", now=start, callback={**ALL, "on": ["failed", "skipped"]})
    fire_due(now())
    (fired,) = Execution.objects.filter(status=ExecutionStatus.PENDING)
    assert (fired.callback_on, fired.callback_url) == (2 + 8, None)


def test_an_environment_may_have_none(make_job: MakeJob) -> None:
    job_environment = make_job(callback=ALL)
    version = job_environment.job.current_version
    version.config["overrides"] = {str(job_environment.environment_id): {"callback": None}}
    version.save(update_fields=["config"])
    execution = run(job_environment)
    assert execution.callback_on == 0
    start_selected(
        workspace=execution.workspace,
        executions=_ended(execution),
        kind=BulkKind.REPLAY,
        now=now(),
        actor=SYSTEM,
    )
    assert work_off(now())
    assert set(Execution.objects.values_list("callback_on", flat=True)) == {0}


def _ended(execution: Execution):
    cancel_live(Execution.objects.filter(pk=execution.pk), now=now())
    return Execution.objects.filter(pk=execution.pk)


def test_a_url_of_its_own_is_replayed_with_it(make_job: MakeJob) -> None:
    execution = run(make_job(), callback_url=URL)
    assert (execution.callback_on, execution.callback_url) == (1 + 2 + 4, URL)
    _ended(execution)
    options = {"kind": BulkKind.REPLAY, "now": now(), "actor": SYSTEM}
    start_selected(workspace=execution.workspace, executions=Execution.objects.all(), **options)
    assert work_off(now())
    services.replay(execution=execution, now=now(), original_config=True, actor=SYSTEM)
    assert list(Execution.objects.values_list("callback_on", "callback_url")) == [(7, URL)] * 3


def test_without_a_callback_nothing_is_inserted(make_job: MakeJob, link: Link) -> None:
    record_on(link, finished(claim(run(make_job()), link)))
    assert endings() == []


def test_the_ids_of_postgresql_are_uuid7_of_its_clock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT runs_uuid7(), extract(epoch FROM clock_timestamp()) FROM generate_series(1, 100)")
        rows = cursor.fetchall()
    assert len({row_id for row_id, _ in rows}) == len(rows)
    for row_id, seconds in rows:
        assert (row_id.version, row_id.variant) == (7, "specified in RFC 4122")
        assert abs((row_id.int >> 80) - float(seconds) * 1000) < 60_000
