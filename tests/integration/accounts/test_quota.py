"""Runs are counted as they start, and a plan allows an exact number of starts under any concurrency."""

import concurrent.futures
import datetime
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from django.db import connection
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Usage, Workspace
from accounts.plans import save_plan
from accounts.quota import month_of
from accounts.services import change_settings, create_workspace
from accounts.usage import QuotaExceededError, quota_pressure
from jobs.models import JobEnvironment
from jobs.services.save import EnvironmentChange, save_job
from runs.attempts.retry import RetryIn
from runs.clock.fire import fire_due
from runs.clock.reconcile import settle_due
from runs.clock.requeue import requeue_due
from runs.executions import services
from runs.executions.bulk import start_bulk, work_off
from runs.failures import FailureReason
from runs.history.filters import HistoryFilter
from runs.ledger.read import account_of
from runs.models import BulkOperation, Execution, Run
from runs.states import BulkKind
from tests.support.finished_attempts import finished, record_on
from tests.support.jobs import EPOCH, MakeJob, job_config
from tests.support.quotas import claimer, deliver, give_plan, make_pending, runs_used, set_runs_used, stop_workspace
from workers.connections import Link

pytestmark = pytest.mark.django_db(transaction=True)
SECOND, MINUTE = datetime.timedelta(seconds=1), datetime.timedelta(minutes=1)
ALLOTMENT, DUE, THREADS = 1000, 1300, 50


@pytest.fixture
def link() -> Iterator[Link]:
    made = Link("test")
    yield made
    made.close()


def ended() -> Counter[tuple[str, str]]:
    return Counter(Execution.objects.values_list("status", "failure_reason"))


def test_fifty_threads_start_exactly_the_included_runs(workspace: Workspace, make_job: MakeJob) -> None:
    give_plan(workspace, runs_included=ALLOTMENT)
    elsewhere = create_workspace(slug="elsewhere", name="Elsewhere")
    job = save_job(
        workspace=elsewhere, job=None, slug=None, config=job_config(), environments=None, now=EPOCH, actor=SYSTEM
    )
    make_pending(make_job(slug="one"), DUE - 300)
    make_pending(make_job(slug="limited", concurrency=10_000), 300)
    make_pending(JobEnvironment.objects.select_related("job").get(job=job), 100)
    together = threading.Barrier(THREADS)

    def work(number: int) -> int:
        own, calls = Link(f"worker-{number}"), 0
        hands = claimer(f"worker-{number}")
        together.wait(20)
        while claimed := [*hands.claim_any(own, limit=7), *limited(hands, own)]:
            calls += deliver(own, claimed)
        own.close()
        return calls

    def limited(hands, own: Link) -> list:
        return [one for job_id in hands.limited_jobs(own) for one in hands.claim_of_job(own, job_id, limit=7)[0]]

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        calls = sum(pool.map(work, range(THREADS)))
    # The last claimer handles rows that another thread had locked.
    rest = Link("rest")
    calls += deliver(rest, [*claimer().claim_any(rest, limit=DUE), *limited(claimer(), rest)])
    rest.close()
    assert calls == ALLOTMENT + 100
    assert ended() == {("succeeded", ""): ALLOTMENT + 100, ("failed", "quota_exceeded"): DUE - ALLOTMENT}
    assert Run.objects.filter(failure_reason="quota_exceeded").count() == DUE - ALLOTMENT
    assert (runs_used(workspace), runs_used(elsewhere)) == (ALLOTMENT, 100)


def test_attempts_beyond_the_quota_fail_at_once_without_a_retry(
    workspace: Workspace, make_job: MakeJob, link: Link
) -> None:
    give_plan(workspace, runs_included=2)
    row = make_job(retry={"max_attempts": 5, "on_worker_lost": True})
    executions = [services.run_now(job_environment=row, now=timezone.now(), actor=SYSTEM) for _ in range(2)]
    make_pending(row, 1)
    last = Execution.objects.exclude(pk__in=[one.pk for one in executions]).get()
    claimed = claimer().claim_any(link, limit=10)
    assert [item.attempt.execution_id for item in claimed if item.refusal] == [str(last.pk)], "the ones due last"
    assert deliver(link, claimed) == 2
    last.refresh_from_db()
    run = Run.objects.get(execution=last)
    assert (last.status, last.failure_reason, last.next_attempt_at) == ("failed", "quota_exceeded", None)
    assert (run.status, run.failure_reason, run.response_status) == ("failed", FailureReason.QUOTA_EXCEEDED, None)
    assert "The 2 runs that the plan includes this month are used up." in run.error
    assert runs_used(workspace) == 2


def test_a_budget_is_used_up_to_the_last_whole_run(workspace: Workspace, make_job: MakeJob, link: Link) -> None:
    give_plan(workspace, policy="capped", budget=10, runs_included=2, overage_cents_per_thousand=3000)
    make_pending(make_job(), 9)
    assert deliver(link, claimer().claim_any(link, limit=4)) == 4
    assert deliver(link, claimer().claim_any(link, limit=10)) == 1, "2 included, and 3 for 9 of 10 cents"
    assert runs_used(workspace) == 5


def test_with_allow_all_start_and_are_counted(workspace: Workspace, make_job: MakeJob, link: Link) -> None:
    give_plan(workspace, policy="allow", runs_included=2)
    make_pending(make_job(), 5)
    assert deliver(link, claimer().claim_any(link, limit=10)) == 5
    assert runs_used(workspace) == 5


@pytest.mark.parametrize(("policy", "budget"), [("allow", None), ("capped", 100_000), ("hard_stop", None)])
def test_a_plans_hard_stop_overrides_the_workspaces_policy(
    workspace: Workspace, make_job: MakeJob, link: Link, policy: str, budget: int | None
) -> None:
    plan = give_plan(workspace, policy=policy, budget=budget, runs_included=2, overage_cents_per_thousand=1)
    save_plan(plan=plan, values={"stops_at_limit": True}, actor=SYSTEM, now=timezone.now())
    row = make_job()
    make_pending(row, 5)
    assert deliver(link, claimer().claim_any(link, limit=10)) == 2
    assert ended() == {("succeeded", ""): 2, ("failed", "quota_exceeded"): 3}
    assert runs_used(workspace) == 2
    with pytest.raises(QuotaExceededError, match="2 runs"):
        services.run_now(job_environment=row, now=timezone.now(), actor=SYSTEM)
    with connection.cursor() as cursor:
        assert quota_pressure(cursor, at=timezone.now()) == (0, 1)
    save_plan(plan=plan, values={"stops_at_limit": False}, actor=SYSTEM, now=timezone.now())
    if policy != "hard_stop":
        services.run_now(job_environment=row, now=timezone.now(), actor=SYSTEM)


def test_a_workspace_without_a_plan_has_no_limit_and_is_counted(
    workspace: Workspace, make_job: MakeJob, link: Link
) -> None:
    change_settings(workspace=workspace, changes={"overage_policy": "hard_stop"}, now=timezone.now(), actor=SYSTEM)
    make_pending(make_job(), 5)
    assert deliver(link, claimer().claim_any(link, limit=10)) == 5
    assert runs_used(workspace) == 5


def test_each_month_has_its_own_count(workspace: Workspace, make_job: MakeJob, link: Link) -> None:
    give_plan(workspace, runs_included=3)
    last_month = month_of(month_start() - SECOND)
    set_runs_used(workspace, 3, month=last_month)
    make_pending(make_job(), 4)
    assert deliver(link, claimer().claim_any(link, limit=10)) == 3
    assert sorted(Usage.objects.values_list("month", "runs_used")) == [(last_month, 3), (month_start().date(), 3)]


def month_start() -> datetime.datetime:
    return timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def test_every_attempt_counts(workspace: Workspace, make_job: MakeJob, link: Link) -> None:
    give_plan(workspace, runs_included=2)
    services.run_now(job_environment=make_job(retry={"max_attempts": 5}), now=timezone.now(), actor=SYSTEM)
    for attempt in (1, 2):
        (claimed,) = claimer().claim_any(link, limit=1)
        assert (claimed.attempt.number, claimed.refusal) == (attempt, None)
        record_on(link, finished(claimed, RetryIn(0), FailureReason.TIMEOUT, "timed out"))
        assert runs_used(workspace) == attempt
    assert deliver(link, claimer().claim_any(link, limit=1)) == 0
    assert ended() == {("failed", "quota_exceeded"): 1}
    reasons = Run.objects.order_by("number").values_list("number", "failure_reason")
    assert list(reasons) == [(1, "timeout"), (2, "timeout"), (3, "quota_exceeded")]


def test_canceling_a_pending_execution_is_free_and_a_running_one_counts(
    workspace: Workspace, make_job: MakeJob, link: Link
) -> None:
    row = make_job()
    waiting = services.run_now(job_environment=row, now=timezone.now(), delay_seconds=60, actor=SYSTEM)
    services.cancel(workspace=workspace, execution_id=waiting.pk, now=timezone.now(), actor=SYSTEM)
    assert runs_used(workspace) == 0
    going = services.run_now(job_environment=row, now=timezone.now(), actor=SYSTEM)
    claimer().claim_any(link, limit=1)
    services.cancel(workspace=workspace, execution_id=going.pk, now=timezone.now(), actor=SYSTEM)
    assert runs_used(workspace) == 1


def test_an_attempt_given_back_unsent_is_not_counted(workspace: Workspace, make_job: MakeJob, link: Link) -> None:
    give_plan(workspace, runs_included=2)
    make_pending(make_job(), 3)
    hands = claimer()
    claimed = hands.claim_any(link, limit=3)
    assert runs_used(workspace) == 2
    allowed, refused = [one for one in claimed if not one.refusal], [one for one in claimed if one.refusal]
    hands.give_back(link, refused)
    assert runs_used(workspace) == 2, "a refused one never counted"
    hands.give_back(link, allowed)
    assert runs_used(workspace) == 0
    assert hands.give_back(link, allowed) == set()
    assert runs_used(workspace) == 0, "nothing is given back twice"
    assert deliver(link, hands.claim_any(link, limit=3)) == 2


def test_an_empty_claim_counts_nothing(workspace: Workspace, link: Link) -> None:
    assert claimer().claim_any(link, limit=10) == []
    assert not Usage.objects.exists()


def test_counting_is_a_heap_only_update(workspace: Workspace, make_job: MakeJob, link: Link) -> None:
    def counts() -> tuple[int, int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'accounts_usage'")
            return cursor.fetchone()

    make_pending(make_job(), 2)
    claimer().claim_any(link, limit=1)
    updated, heap_only = counts()
    claimer().claim_any(link, limit=1)
    with link.transaction() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
    assert counts() == (updated + 1, heap_only + 1)


class TestClock:
    """While a workspace is stopped, due occurrences are recorded as skipped and not fired."""

    def test_a_skipped_range_is_one_row_and_reconciles(self, workspace: Workspace, make_job: MakeJob) -> None:
        row = make_job(schedule={"every_seconds": 60})
        fire_due(EPOCH + MINUTE)
        give_plan(workspace, runs_included=10)
        set_runs_used(workspace, 10, month=EPOCH.date().replace(day=1))
        for minute in range(2, 8):
            fired = fire_due(EPOCH + minute * MINUTE)
            assert (fired.execution_ids, fired.skipped) == ([], {"quota": 1})
        set_runs_used(workspace, 9, month=EPOCH.date().replace(day=1))
        assert len(fire_due(EPOCH + 8 * MINUTE).execution_ids) == 1
        skipped = Execution.objects.get(status="skipped")
        assert (skipped.skip_reason, skipped.occurrences) == ("quota", 6)
        now = EPOCH + 8 * MINUTE
        ledger = account_of(row, start=EPOCH, end=now + SECOND, now=now).ledger
        assert (ledger.planned, ledger.fired, ledger.skipped, ledger.differences) == (8, 2, {"quota": 6}, ())
        row.refresh_from_db()
        assert row.last_fired_at == now

    def test_executions_pending_at_the_stop_fail_and_count_as_fired(
        self, workspace: Workspace, make_job: MakeJob, link: Link
    ) -> None:
        began = timezone.now() - 90 * SECOND
        row = make_job(schedule={"every_seconds": 60}, now=began)
        fire_due(timezone.now())
        stop_workspace(workspace)
        assert deliver(link, claimer().claim_any(link, limit=1)) == 0
        assert ended() == {("failed", "quota_exceeded"): 1}
        now = timezone.now()
        ledger = account_of(row, start=began, end=now, now=now).ledger
        assert (ledger.fired, ledger.differences) == (1, ())

    def test_other_workspaces_keep_firing(self, workspace: Workspace, make_job: MakeJob) -> None:
        make_job(schedule={"every_seconds": 60})
        elsewhere = create_workspace(slug="elsewhere", name="Elsewhere")
        config = job_config(schedule={"every_seconds": 60})
        save_job(workspace=elsewhere, job=None, slug=None, config=config, environments=None, now=EPOCH, actor=SYSTEM)
        give_plan(workspace, runs_included=0)
        fired = fire_due(EPOCH + MINUTE)
        assert (len(fired.execution_ids), fired.skipped) == (1, {"quota": 1})

    def test_the_next_month_fires_again(self, workspace: Workspace, make_job: MakeJob) -> None:
        began = datetime.datetime(2026, 3, 31, 23, 58, tzinfo=datetime.UTC)
        make_job(schedule={"every_seconds": 60}, now=began)
        give_plan(workspace, runs_included=10)
        set_runs_used(workspace, 10, month=datetime.date(2026, 3, 1))
        assert fire_due(began + MINUTE).skipped == {"quota": 1}
        assert len(fire_due(began + 2 * MINUTE).execution_ids) == 1

    @pytest.mark.parametrize("overlap", ["skip", "queue", "cancel_running"])
    def test_running_executions_are_unaffected(self, workspace: Workspace, make_job: MakeJob, overlap: str) -> None:
        make_job(schedule={"every_seconds": 60}, overlap=overlap)
        (going,) = fire_due(EPOCH + MINUTE).execution_ids
        give_plan(workspace, runs_included=0)
        assert fire_due(EPOCH + 2 * MINUTE).skipped == {"quota": 1}
        assert Execution.objects.get(pk=going).status == "pending"

    def test_missed_occurrences_stay_missed(self, workspace: Workspace, make_job: MakeJob) -> None:
        make_job(schedule={"every_seconds": 60}, misfire="fire_all", misfire_grace_seconds=150)
        give_plan(workspace, runs_included=0)
        assert fire_due(EPOCH + 10 * MINUTE).skipped == {"missed": 7, "quota": 3}

    def test_occurrences_before_a_schedule_change_are_counted_too(
        self, workspace: Workspace, make_job: MakeJob
    ) -> None:
        row = make_job(schedule={"every_seconds": 60})
        config = job_config(schedule={"every_seconds": 45})
        save_job(
            workspace=workspace,
            job=row.job,
            slug=None,
            config=config,
            environments=None,
            now=EPOCH + MINUTE + SECOND,
            actor=SYSTEM,
        )
        give_plan(workspace, runs_included=0)
        assert settle_due(EPOCH + MINUTE + 2 * SECOND).skipped == {"quota": 1}


class TestBulkReplays:
    def operation(self, workspace: Workspace) -> BulkOperation:
        wanted = HistoryFilter(workspace=workspace)
        return start_bulk(
            criteria=wanted,
            kind=BulkKind.REPLAY,
            filter_as_sent={},
            limit=100,
            rate_per_second=None,
            now=timezone.now(),
            actor=SYSTEM,
        )

    def test_create_no_execution_in_a_stopped_workspace(
        self, workspace: Workspace, make_job: MakeJob, link: Link
    ) -> None:
        make_pending(make_job(), 3)
        deliver(link, claimer().claim_any(link, limit=3))
        operation = self.operation(workspace)
        stop_workspace(workspace)
        assert work_off(timezone.now())
        operation.refresh_from_db()
        assert (operation.state, operation.position, operation.done) == ("completed", 3, 0)
        assert not Execution.objects.filter(trigger="replay").exists()


def test_a_stopped_workspace_may_disable_and_save_jobs(workspace: Workspace, make_job: MakeJob) -> None:
    row = make_job()
    stop_workspace(workspace)
    save_job(
        workspace=workspace,
        job=row.job,
        slug=None,
        config=job_config(),
        environments=None,
        now=timezone.now(),
        actor=SYSTEM,
    )
    save_job(
        workspace=workspace,
        job=row.job,
        slug=None,
        config=job_config(),
        environments=[EnvironmentChange(row.environment, enabled=False)],
        now=timezone.now(),
        actor=SYSTEM,
    )
    row.refresh_from_db()
    assert not row.enabled


def test_retries_due_while_stopped_end(workspace: Workspace, make_job: MakeJob, link: Link) -> None:
    services.run_now(job_environment=make_job(), now=timezone.now(), actor=SYSTEM)
    (claimed,) = claimer().claim_any(link, limit=1)
    record_on(link, finished(claimed, RetryIn(0), FailureReason.TIMEOUT, "timed out"))
    stop_workspace(workspace)
    assert len(requeue_due(timezone.now() + SECOND)) == 1
    assert deliver(link, claimer().claim_any(link, limit=1)) == 0
    assert ended() == {("failed", "quota_exceeded"): 1}
