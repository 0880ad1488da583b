"""`/metrics`: everything is counted exactly once, and a scrape costs the same at any size."""

import datetime
import random

import pytest
import time_machine
from django.db import connection, transaction
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from accounts.actors import SYSTEM
from accounts.models import Plan, Usage, Workspace
from accounts.quota import month_of
from accounts.services import create_workspace
from runs import counters
from runs.attempts.contract import Ending, FinishedAttempt, Timings
from runs.attempts.reaping import reap_expired
from runs.attempts.recording import record
from runs.attempts.retry import SUCCEEDED, GiveUp, RetryIn
from runs.clock.fire import fire_due
from runs.executions import services
from runs.failures import FailureReason
from runs.models import CounterDelta, CounterTotal, Execution, Heartbeat, PruningRound
from runs.monitoring import heartbeats, system
from tests.support.jobs import EPOCH, MakeJob
from workers.connections import Link
from workers.worker.claim import Claimer
from workers.worker.claimed import Claimed

pytestmark = pytest.mark.django_db(transaction=True)

MS = datetime.timedelta(milliseconds=1)


@pytest.fixture
def link():
    made = Link("test")
    yield made
    made.close()


def claim(link: Link, count: int = 1) -> list[Claimed]:
    claimed = Claimer(owner="test", lease_seconds=60, user_agent="test").claim_any(link, limit=100)
    assert len(claimed) == count
    return claimed


def ended(claimed: Claimed, verdict=SUCCEEDED, reason=None, *, started_at=None, ms: int = 5) -> FinishedAttempt:
    started_at = started_at or claimed.claimed_at
    ending = Ending(verdict, reason, "", started_at, started_at + ms * MS)
    return FinishedAttempt(claimed.attempt, claimed.sent, None, None, None, Timings(), ending, "worker")


def record_on(link: Link, *items: FinishedAttempt) -> None:
    with link.transaction() as cursor:
        record(cursor, items)


def totals() -> dict[str, int]:
    with connection.cursor() as cursor:
        return counters.totals(cursor)


def scraped(client: Client, **headers: str) -> dict[tuple[str, ...], float]:
    """Return every sample of a scrape, by name and non-empty label values in order."""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    return {
        (sample.name, *sorted(filter(None, sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_every_end_is_counted_once_and_a_fenced_one_never(make_job: MakeJob, link: Link):
    job = make_job()
    for _ in range(4):
        services.run_now(job_environment=job, now=EPOCH, actor=SYSTEM)
    good, bad, again, fenced = claim(link, 4)
    record_on(
        link,
        ended(good),
        ended(bad, GiveUp(FailureReason.TIMEOUT), FailureReason.TIMEOUT, ms=700),
        ended(again, RetryIn(1000), FailureReason.DNS_ERROR),
        ended(fenced)._replace(attempt=fenced.attempt._replace(number=7)),
    )
    record_on(link, ended(good))
    assert totals() == {
        "executions/succeeded/": 1,
        "executions/failed/timeout": 1,
        "runs/succeeded/": 1,
        "runs/failed/timeout": 1,
        "runs/failed/dns_error": 1,
        "duration/le/0.005": 2,
        "duration/le/1": 1,
        "duration/ms": 710,
    }


def test_lateness_counts_from_the_scheduled_instant_for_first_attempts_only(make_job: MakeJob, link: Link):
    make_job(schedule={"every_seconds": 60})
    planned = EPOCH + datetime.timedelta(seconds=60)
    fire_due(planned)
    (first,) = claim(link)
    record_on(link, ended(first, RetryIn(0), FailureReason.TIMEOUT, started_at=planned + 30 * MS))
    (second,) = claim(link)
    record_on(link, ended(second, started_at=planned + 5000 * MS))
    counted = {key: count for key, count in totals().items() if key.startswith("lateness")}
    assert counted == {"lateness/le/0.05": 1, "lateness/ms": 30}


def test_missed_occurrences_are_counted_by_reason(make_job: MakeJob):
    make_job(schedule={"every_seconds": 60})
    fire_due(EPOCH + datetime.timedelta(seconds=330))
    assert totals()["skipped/missed"] == 4


def test_idle_cancels_and_reaped_executions_are_counted(make_job: MakeJob, workspace, link: Link):
    job = make_job(retry={"max_attempts": 1})
    waiting = services.run_now(job_environment=job, now=EPOCH, actor=SYSTEM)
    services.cancel(workspace=workspace, execution_id=waiting.pk, now=EPOCH, actor=SYSTEM)
    services.run_now(job_environment=job, now=EPOCH, actor=SYSTEM)
    claim(link)
    Execution.objects.filter(status="running").update(lease_expires_at=EPOCH)
    assert reap_expired(user_agent="test", rng=random.Random(1)) == 1
    counted = totals()
    assert counted["executions/canceled/"] == counted["executions/failed/worker_lost"] == 1
    assert counted["runs/failed/worker_lost"] == 1
    assert "runs/canceled/" not in counted


def test_folding_keeps_totals_and_counts_each_delta_once():
    with connection.cursor() as cursor:
        for number in range(25):
            counters.add(cursor, {"runs/succeeded/": 1, f"executions/{number % 3}/": number})
        before = totals()
        assert [counters.fold(cursor, limit=10) for _ in range(4)] == [10, 10, 5, 0]
        counters.add(cursor, {"runs/succeeded/": 1})
    assert totals() == {**before, "runs/succeeded/": 26}
    assert (CounterTotal.objects.get(pk="runs/succeeded/").amount, CounterDelta.objects.count()) == (25, 1)


def test_two_beats_folding_at_once_share_the_deltas(link: Link):
    with connection.cursor() as cursor:
        for _ in range(6):
            counters.add(cursor, {"runs/succeeded/": 1})
    with transaction.atomic(), connection.cursor() as cursor, link.transaction() as other:
        cursor.execute("SELECT id FROM runs_tallyslip ORDER BY id LIMIT 2 FOR UPDATE")
        assert counters.fold(other) == 4
    with connection.cursor() as cursor:
        assert counters.fold(cursor) == 2
    assert totals() == {"runs/succeeded/": 6}


def test_a_count_is_rolled_back_with_its_transaction():
    with transaction.atomic(), connection.cursor() as cursor:
        counters.add(cursor, {"runs/succeeded/": 1})
        transaction.set_rollback(True)
    assert totals() == {}


def test_a_scrape_has_counters_histograms_and_lags(make_job: MakeJob, link: Link, client: Client):
    make_job(slug="due", schedule={"every_seconds": 60})  # due since EPOCH
    manual = make_job(slug="manual")
    now = datetime.datetime.now(datetime.UTC)
    services.run_now(job_environment=manual, now=now, actor=SYSTEM)
    (claimed,) = claim(link)
    record_on(link, ended(claimed, ms=40))
    services.run_now(job_environment=manual, now=now - datetime.timedelta(seconds=90), actor=SYSTEM)
    found = scraped(client)
    assert found["hourhand_executions_total", "succeeded"] == 1
    assert found["hourhand_executions_total", "failed", "timeout"] == 0
    assert found["hourhand_runs_total", "succeeded"] == 1
    assert found["hourhand_run_duration_seconds_bucket", "0.025"] == 0
    assert found["hourhand_run_duration_seconds_bucket", "0.05"] == 1
    assert found["hourhand_run_duration_seconds_bucket", "+Inf"] == 1
    assert (found["hourhand_run_duration_seconds_count",], found["hourhand_run_duration_seconds_sum",]) == (1, 0.04)
    assert found["hourhand_live_executions", "pending"] == 1
    assert 90 <= found["hourhand_claim_lag_seconds",] < 120
    assert found["hourhand_due_lag_seconds",] > 3600
    assert found["hourhand_occurrences_skipped_total", "missed"] == 0
    assert (found["hourhand_database_up",], found["hourhand_broker_up",]) == (1, 1)
    assert found["hourhand_beats",] == 0
    assert ("hourhand_last_tick_age_seconds",) not in found


def test_an_execution_waiting_for_its_jobs_limit_is_no_lag(make_job: MakeJob, client: Client):
    services.run_now(job_environment=make_job(concurrency=1), now=EPOCH, actor=SYSTEM)
    assert scraped(client)["hourhand_claim_lag_seconds",] == 0


def test_beats_and_workers_are_counted_until_they_stop(client: Client):
    beat, worker, gone = heartbeats.Process.beat(), *map(heartbeats.Process.worker, ("w1@here", "w2@here"))
    with connection.cursor() as cursor:
        heartbeats.report(cursor, beat, heartbeats.BeatReport(tick_ms=3.0, sends_chores=True))
        heartbeats.report(cursor, beat, heartbeats.BeatReport(tick_ms=1.5, sends_chores=True))
        for process in (worker, gone):
            heartbeats.report(
                cursor,
                process,
                heartbeats.WorkerReport(in_flight=7, waiting=2, capacity=100, draining=process == worker),
            )
        cursor.execute(
            "UPDATE runs_heartbeat SET seen_at = seen_at - interval '40 seconds' WHERE name = %s", ["w2@here"]
        )
        found = scraped(client)
        assert (found["hourhand_beats",], found["hourhand_tick_seconds",]) == (1, 0.0015)
        assert found["hourhand_last_tick_age_seconds",] < 5
        assert (found["hourhand_workers",], found["hourhand_workers_draining",]) == (1, 1)
        assert found["hourhand_deliveries_in_flight",] == 7
        assert found["hourhand_delivery_capacity",] == 100
        heartbeats.leave(cursor, beat)
        cursor.execute("UPDATE runs_heartbeat SET seen_at = seen_at - interval '2 days' WHERE name = %s", ["w2@here"])
        heartbeats.forget_dead(cursor)
    assert [row.name for row in Heartbeat.objects.all()] == ["w1@here"]


def test_a_silent_worker_is_lost_until_replaced_or_for_an_hour(client: Client):
    news = heartbeats.WorkerReport(in_flight=0, waiting=0, capacity=100, draining=False)
    with connection.cursor() as cursor:
        for name in ("w1@here", "w2@here", "w3@here"):
            heartbeats.report(cursor, heartbeats.Process.worker(name), news)
        for seconds, name in ((60, "w2@here"), (7200, "w3@here")):
            cursor.execute(
                "UPDATE runs_heartbeat SET seen_at = seen_at - %s * interval '1 second' WHERE name = %s",
                [seconds, name],
            )
        found = scraped(client)
        assert (found["hourhand_workers",], found["hourhand_workers_lost",], found["hourhand_beats_lost",]) == (1, 1, 0)
        assert found["hourhand_last_worker_heartbeat_age_seconds",] < 5
        heartbeats.report(cursor, heartbeats.Process.worker("w2@here"), news)
    found = scraped(client)
    assert (found["hourhand_workers",], found["hourhand_workers_lost",]) == (2, 0)


def test_the_largest_clock_skew_is_reported(client: Client):
    assert ("hourhand_clock_skew_seconds",) not in scraped(client)
    with connection.cursor() as cursor:
        for name in ("beat@here", "beat@there"):
            heartbeats.report(cursor, heartbeats.Process(name, "beat", name), heartbeats.BeatReport(1.0, False))
        assert scraped(client)["hourhand_clock_skew_seconds",] < 1
        with time_machine.travel(datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)):
            heartbeats.report(cursor, heartbeats.Process("slow", "beat", "slow"), heartbeats.BeatReport(1.0, False))
    assert scraped(client)["hourhand_clock_skew_seconds",] == pytest.approx(3600, abs=5)


def test_workspaces_near_or_at_their_quota_are_counted_without_names(workspace, client: Client):
    plan = Plan.objects.create(name="Small", runs_included=10)
    month = month_of(datetime.datetime.now(datetime.UTC))
    for slug, policy, used in (
        ("near", "hard_stop", 9), ("at-end", "hard_stop", 10), ("far", "hard_stop", 8), ("pays", "allow", 99),
    ):  # fmt: skip
        made = create_workspace(slug=slug, name=slug)
        Workspace.objects.filter(pk=made.pk).update(plan=plan, overage_policy=policy)
        Usage.objects.create(
            workspace=made, month=month, runs_used=used, runs_included=10, overage_cents_per_thousand=0
        )
    found = scraped(client)
    assert found["hourhand_quota_workspaces", "near"] == found["hourhand_quota_workspaces", "stopped"] == 1


def test_the_last_retention_is_reported_with_its_rows(client: Client):
    ended = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=2)
    assert ("hourhand_retention_age_seconds",) not in scraped(client)
    for executions, ago in ((1, 24), (500, 0)):
        finished_at = ended - datetime.timedelta(hours=ago)
        PruningRound.objects.create(
            started_at=finished_at - datetime.timedelta(seconds=90),
            finished_at=finished_at,
            executions=executions,
            runs=700,
        )
    found = scraped(client)
    assert found["hourhand_retention_age_seconds",] == pytest.approx(7200, abs=30)
    assert found["hourhand_retention_duration_seconds",] == 90
    assert found["hourhand_retention_rows", "executions"] == 500
    assert found["hourhand_retention_under_way",] == 0


def test_a_token_is_required_if_one_is_set(client: Client, settings):
    settings.METRICS_TOKEN = "let-me-in"
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert scraped(client, authorization="Bearer let-me-in")["hourhand_database_up",] == 1


def test_openmetrics_is_served_on_request(client: Client):
    answer = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.content.endswith(b"# EOF\n")


def test_a_broken_redis_is_reported_with_the_other_metrics(client: Client, settings):
    settings.REDIS_URL = "unix:///nobody.sock?db=0"
    found = scraped(client)
    assert (found["hourhand_broker_up",], found["hourhand_database_up",]) == (0, 1)
    assert ("hourhand_queue_messages", "deliveries") not in found


@pytest.mark.usefixtures("fresh_tables")
def test_no_query_of_a_scrape_reads_a_whole_table(make_job: MakeJob):
    make_job(schedule={"every_seconds": 60})
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        plans = []
        for query, parameters in system.BOUNDED:
            cursor.execute(f"EXPLAIN {query}", parameters)
            plans.append("\n".join(line for (line,) in cursor.fetchall()))
    for plan, index in zip(
        plans,
        ("job_environment_due", "execution_live", "execution_", "_waits", "job_purged", "callback_due"),
        strict=True,
    ):
        assert index in plan
        assert "Seq Scan" not in plan
