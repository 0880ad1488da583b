"""Statistics agree with counting rows at every moment, folded or not, and are cheap."""

import collections
import datetime
import importlib
import math
import random
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Environment, Workspace
from accounts.services import create_workspace
from jobs.models import Job, JobEnvironment
from runs.executions import services
from runs.executions.delete import purge
from runs.models import Execution, Rollup, RollupDelta
from runs.retention.prune import Turn
from runs.retention.worker import work_off
from runs.states import TERMINAL, ExecutionStatus
from runs.stats import rollups
from runs.stats.histograms import FAMILY, milliseconds_of
from runs.stats.periods import Bucket, Period
from runs.stats.statistics import Figures, Subject, statistics, upcoming
from tests.support.api_caller import make_execution
from tests.support.explain_plans import QueryCost
from tests.support.jobs import MakeJob
from tests.support.seeded_history import NEWEST, seed_executions, seed_jobs
from tests.support.threads import run_in_thread, start_in_thread

pytestmark = pytest.mark.django_db

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
MS, SECOND, MINUTE, HOUR, DAY = (
    datetime.timedelta(milliseconds=1),
    datetime.timedelta(seconds=1),
    datetime.timedelta(minutes=1),
    datetime.timedelta(hours=1),
    datetime.timedelta(days=1),
)


def fold_all() -> None:
    while rollups.fold(limit=7):
        pass


def period(bucket: str, *, since: datetime.datetime = NOW - DAY, until: datetime.datetime = NOW) -> Period:
    return Period.around(since, until, Bucket(bucket), now=NOW)


# -- the same by brute force -------------------------------------------------------------------------------------------


def counted(rows: list[Execution]) -> dict[str, int]:
    counts = dict.fromkeys(ExecutionStatus.values, 0)
    for row in rows:
        counts[row.status] += row.occurrences
    return counts


def durations(rows: list[Execution]) -> list[int]:
    ran = [row for row in rows if row.status in {"succeeded", "failed"} and row.started_at]
    return sorted(round((row.finished_at - row.started_at) / MS) for row in ran)


def lateness(rows: list[Execution]) -> list[int]:
    late = [row for row in rows if row.status in TERMINAL and row.started_at and row.scheduled_for]
    return sorted(max(0, round((row.started_at - row.planned_start) / MS)) for row in late)


def agrees(found: int | None, values: list[int], percent: int) -> bool:
    """Return whether a percentile is within 2 % of the one by rank, or within a millisecond if it is small."""
    if not values:
        return found is None
    exact = values[math.ceil(len(values) * percent / 100) - 1]
    return found is not None and abs(found - exact) <= (0 if exact < 25 else 0.02 * exact + 0.5)


def agrees_with(figures: Figures, rows: list[Execution]) -> bool:
    assert figures.counts == counted(rows)
    succeeded, failed = figures.counts["succeeded"], figures.counts["failed"]
    assert figures.success_rate == (succeeded / (succeeded + failed) if succeeded + failed else None)
    for percent in (50, 95, 99):
        assert agrees(figures.duration_ms(percent), durations(rows), percent)
        assert agrees(figures.lateness_ms(percent), lateness(rows), percent)
    return True


def holds(subject: Subject, wanted: Period, rows: list[Execution]) -> None:
    """Return whether statistics of these executions agree with counting them."""
    found = statistics(subject, wanted)
    parts = collections.defaultdict(list)
    for row in rows:
        if wanted.since <= row.due_at < wanted.until:
            parts[(row.due_at - wanted.since) // wanted.bucket.width].append(row)
    assert len(found.buckets) == wanted.count
    assert all(agrees_with(figures, parts[place]) for place, figures in enumerate(found.buckets))
    assert agrees_with(found.total, [row for part in parts.values() for row in part])


class RandomExecutions:
    """Create executions of every kind, with random times."""

    def __init__(self, states: list[JobEnvironment], seed: int) -> None:
        self.states, self.pick = states, random.Random(seed)

    def instant(self) -> datetime.datetime:
        return NOW - self.pick.random() * 26 * HOUR + self.pick.choice([0, 0, 1]) * HOUR

    def make(self) -> Execution:
        due = self.instant()
        trigger = self.pick.choice(["schedule", "schedule", "manual", "replay"])
        planned = {"scheduled_for": due, "jitter_ms": self.pick.choice([0, 0, 700])} if trigger == "schedule" else {}
        made = make_execution(
            self.pick.choice(self.states),
            **{"trigger": trigger, "created_at": due, **planned, **self._live(due)},
        )
        return self.end(made) if self.pick.random() < 0.7 else made

    def _live(self, due: datetime.datetime) -> dict[str, Any]:
        return {"status": "pending", "started_at": None, "finished_at": None, "next_attempt_at": due, "attempts": 0}

    def end(self, row: Execution) -> Execution:
        """End executions in a random way, as any statement may."""
        status = self.pick.choice(["succeeded", "succeeded", "failed", "canceled", "skipped"])
        started = row.due_at + self.pick.expovariate(1) * SECOND
        took = self.pick.choice([0, 1, 17, 250, self.pick.lognormvariate(5, 2)]) * MS
        ran = status in {"succeeded", "failed"} or (status == "canceled" and self.pick.random() < 0.5)
        columns: dict[str, Any] = {"status": status, "finished_at": started + took, "next_attempt_at": None}
        columns |= {"started_at": started} if ran else {}
        columns |= {"failure_reason": "timeout"} if status == "failed" else {}
        if status == "skipped":
            columns |= {"skip_reason": "missed", "occurrences": self.pick.choice([1, 40])}
        Execution.objects.filter(pk=row.pk).update(**columns)
        return row

    def end_some(self) -> None:
        live = list(Execution.objects.filter(status="pending").order_by("pk"))
        for row in self.pick.sample(live, len(live) // 3):
            self.end(row)
        for row in Execution.objects.filter(status="skipped").order_by("pk")[:2]:
            Execution.objects.filter(pk=row.pk).update(occurrences=row.occurrences + 5)


@pytest.mark.parametrize("seed", range(2))
def test_statistics_agree_with_counting_rows_in_every_bucket_and_subject(
    seed: int, make_job: MakeJob, workspace: Workspace
) -> None:
    staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    report, other = make_job(slug="report"), make_job(slug="other")
    elsewhere = JobEnvironment.objects.create(workspace=workspace, job=report.job, environment=staging)
    rng = RandomExecutions([report, other, elsewhere], seed)
    subjects = {
        Subject.of(workspace, None): {report.pk, other.pk, elsewhere.pk},
        Subject.of(workspace, [staging.pk]): {elsewhere.pk},
        Subject.of(workspace, None, report.job): {report.pk, elsewhere.pk},
        Subject.of(workspace, [report.environment_id], report.job): {report.pk},
        Subject.of(workspace, []): set(),
        Subject.of(create_workspace(slug="stranger", name="Stranger"), None): set(),
    }
    for turn in range(2):
        for _ in range(40):
            rng.make()
        rng.end_some()
        if not turn:
            rollups.fold(limit=rng.pick.randrange(1, 60))
        rows = list(Execution.objects.all())
        bucket = rng.pick.choice(["1m", "5m", "15m"])
        for subject, states in subjects.items():
            own = [row for row in rows if row.job_environment_id in states]
            for wanted in (
                period(bucket),
                period("1h", since=NOW - 30 * HOUR),
                period("6h"),
                period("1d", until=NOW + DAY),
            ):
                holds(subject, wanted, own)
    fold_all()
    assert not RollupDelta.objects.exists()
    holds(Subject.of(workspace, None), period("5m"), list(Execution.objects.all()))


def test_the_database_and_the_reader_use_the_same_bins() -> None:
    wanted = [*range(2000), *(round(1.7**n) for n in range(14, 60))]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ms, runs_bin(ms * interval '1 millisecond') FROM unnest(%s::float8[]) AS one (ms)", [wanted]
        )
        placed = {round(ms): place for ms, place in cursor.fetchall()}
        cursor.execute("SELECT runs_bin(NULL), runs_bin(interval '-1 hour'), runs_bin(interval '499 microseconds')")
        assert cursor.fetchone() == (None, 0, 0)
    longest = max(value for value in placed if placed[value] < FAMILY - 1)
    assert longest * MS > 200 * 365 * DAY
    for value, place in placed.items():
        if value <= longest:
            assert abs(milliseconds_of(place) - value) <= 0.02 * value + 0.5, value


# -- exactness ---------------------------------------------------------------------------------------------------------


def whole(workspace: Workspace) -> Figures:
    return statistics(Subject.of(workspace, None), period("1h", until=NOW + HOUR)).total


def test_every_way_to_end_an_execution_counts_it_at_once(make_job: MakeJob, workspace: Workspace) -> None:
    state = make_job()
    waiting = services.run_now(job_environment=state, now=NOW, delay_seconds=60, actor=SYSTEM)
    assert whole(workspace).counts["pending"] == 1
    services.cancel(workspace=workspace, execution_id=waiting.pk, now=NOW, actor=SYSTEM)
    assert whole(workspace).counts["canceled"] == 1
    held = services.run_now(job_environment=state, now=NOW, actor=SYSTEM)
    lease = {
        "status": "running",
        "lease_owner": "me",
        "lease_expires_at": NOW,
        "attempts": 1,
        "started_at": timezone.now(),
    }
    Execution.objects.filter(pk=held.pk).update(**lease)
    assert whole(workspace).counts["running"] == 1
    services.cancel(workspace=workspace, execution_id=held.pk, now=NOW, actor=SYSTEM)
    assert whole(workspace).counts == {**dict.fromkeys(ExecutionStatus.values, 0), "canceled": 2}


def test_pruned_executions_stay_counted_and_purged_ones_do_not(make_job: MakeJob, workspace: Workspace) -> None:
    state, other = make_job(slug="report"), make_job(slug="other")
    for one in (state, state, other):
        make_execution(one, trigger="manual")
    rollups.fold(limit=2)
    Execution.objects.all()._raw_delete("default")
    assert whole(workspace).counts["succeeded"] == 3
    fold_all()
    assert whole(workspace).counts["succeeded"] == 3
    purge(job=state.job, now=NOW, actor=SYSTEM)
    assert not work_off(Turn(60, sleep=lambda _: None), NOW)
    assert not Rollup.objects.filter(subject_id=state.pk).exists()
    assert (
        statistics(Subject.of(workspace, None, other.job), period("1h", until=NOW + HOUR)).total.counts["succeeded"]
        == 1
    )


def test_a_rolled_back_end_is_not_counted(make_job: MakeJob, workspace: Workspace) -> None:
    state = make_job()
    with transaction.atomic():
        make_execution(state, trigger="manual")
        assert whole(workspace).counts["succeeded"] == 1
        transaction.set_rollback(True)
    assert not RollupDelta.objects.exists()
    assert whole(workspace).counts["succeeded"] == 0


@pytest.mark.django_db(transaction=True)
def test_a_late_commit_is_counted_once(make_job: MakeJob, workspace: Workspace) -> None:
    """A worker may record minutes after an outage: the commit counts, not a clock or the order of ids."""
    state = make_job()
    with transaction.atomic():
        late = make_execution(state, trigger="manual", finished_at=NOW - HOUR)
        run_in_thread(lambda: [make_execution(state, trigger="manual"), rollups.fold()])
        assert run_in_thread(lambda: whole(workspace)).counts["succeeded"] == 1
    assert late.status == "succeeded"
    assert whole(workspace).counts["succeeded"] == 2
    fold_all()
    assert whole(workspace).counts["succeeded"] == 2


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_fold_the_same_delta(make_job: MakeJob, workspace: Workspace) -> None:
    state = make_job()
    for _ in range(20):
        make_execution(state, trigger="manual")
    with transaction.atomic():
        assert rollups.fold(limit=3) == 3
        assert run_in_thread(rollups.fold) == 0
        # Uncommitted changes are invisible: it is still counted from its deltas.
        assert run_in_thread(lambda: whole(workspace)).counts["succeeded"] == 20
    folding = [start_in_thread(fold_all) for _ in range(3)]
    for done in folding:
        done()
    fold_all()
    assert whole(workspace).counts["succeeded"] == 20


def test_old_digests_are_removed_and_minutes_before_hours(make_job: MakeJob, workspace: Workspace) -> None:
    state = make_job()
    for age in (0, 7, 9, 400, 402):
        make_execution(state, trigger="manual", created_at=NOW - age * DAY)
    fold_all()
    while rollups.prune(NOW, limit=3):
        pass
    kept = {(NOW - row.hour).days: [] for row in Rollup.objects.all()}
    for row in Rollup.objects.filter(subject_id=state.pk).order_by("detailed"):
        kept[(NOW - row.hour).days].append(row.detailed)
    assert kept == {0: [False, True], 7: [False, True], 9: [False], 400: [False]}


def test_executions_older_than_the_statistics_are_counted(make_job: MakeJob, workspace: Workspace) -> None:
    state = make_job()
    for _ in range(3):
        make_execution(state, trigger="manual")
    RollupDelta.objects.all().delete()
    history = importlib.import_module("runs.migrations.0008_digests")._HISTORY
    with connection.cursor() as cursor:
        cursor.execute(history)
    assert whole(workspace).counts["succeeded"] == 3


# -- cost --------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fresh_tables")
def test_statistics_of_a_long_history_read_only_digests_and_live_rows() -> None:
    seeded = seed_jobs(jobs=300)
    seed_executions(12_000, runs=False)
    rollups.fold(limit=1_000_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE runs_digest; ANALYZE runs_endedslip")
    job = Job.objects.get(slug="job-4")
    for subject in (Subject.of(seeded.workspace, None), Subject.of(seeded.workspace, None, job)):
        for bucket in ("5m", "1h"):
            wanted = period(bucket, since=NEWEST - 3 * HOUR, until=NEWEST + MINUTE)
            with CaptureQueriesContext(connection) as queries:
                found = statistics(subject, wanted)
                upcoming(subject)
            assert sum(found.total.counts.values()) > 10
            assert len(queries) == 2
            for sql in (query["sql"] for query in queries):
                findings = QueryCost.of(sql)
                assert not findings.scanned_whole & {"runs_execution", "runs_digest", "jobs_jobenvironment"}, sql
                # 40 live ones, an hour's digest for each environment.
                assert findings.read.get("runs_execution", 0) <= 2 * 40, sql
                assert findings.read.get("runs_digest", 0) <= 2 * 4, sql


# -- what comes next ---------------------------------------------------------------------------------------------------


def test_the_next_firings_of_permitted_jobs_are_listed_soonest_first(make_job: MakeJob, workspace: Workspace) -> None:
    for minute in range(30):
        make_job(slug=f"job-{minute}", name=f"Job {minute}", schedule=f"{minute} 13 * * *", now=NOW)
    make_job(slug="by-hand")
    create_workspace(slug="other", name="Other")
    found = upcoming(Subject.of(workspace, None))
    assert [one.job for one in found] == [f"job-{minute}" for minute in range(20)]
    assert found[3].scheduled_for == NOW + HOUR + 3 * MINUTE
    assert (found[3].job_name, found[3].environment) == ("Job 3", "production")
    assert upcoming(Subject.of(workspace, [])) == []
    [only] = upcoming(Subject.of(workspace, None, Job.objects.get(slug="job-25")))
    assert only.job == "job-25"
