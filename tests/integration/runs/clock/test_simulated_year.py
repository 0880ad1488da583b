"""A year of random schedules, zones, policies, outages, pauses and edits against a model written for the test."""

import collections
import datetime
import os
import random
import zoneinfo
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection

from accounts.actors import SYSTEM
from jobs.models import JobEnvironment, SchedulePeriod
from jobs.services.save import EnvironmentChange, delete_job, pause, resume, save_job
from runs.clock.fire import fire_due
from runs.clock.reconcile import settle_due
from runs.executions import services
from runs.ledger.read import account_of
from runs.models import Execution
from tests.support.jobs import MakeJob, job_config
from tests.support.simulated_schedules import DAY, SECOND, Model, Spec, some_spec

BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
_NEXT = """
    SELECT least((SELECT min(next_fire_at) FROM jobs_jobenvironment WHERE enabled AND next_fire_at IS NOT NULL),
                 (SELECT min(until_at) FROM jobs_scheduleperiod WHERE unsettled_from IS NOT NULL))
"""
Instant = datetime.datetime


@dataclass
class Life:
    """A job in the product and in the model."""

    row: JobEnvironment
    model: Model
    lasts: datetime.timedelta
    deleted: bool = False

    def save(self, now: Instant, *, spec: Spec, enabled: bool) -> None:
        config = job_config(**spec.timing, **self.model.policy)
        environments = [EnvironmentChange(self.row.environment, enabled=True)] if enabled else None
        if self.model.state == "disabled" and not enabled:
            environments = None
        save_job(
            workspace=self.row.job.workspace, job=self.row.job, slug=None, config=config, environments=environments,
            now=now, actor=SYSTEM,
        )  # fmt: skip


@dataclass
class Year:
    """Drive the product's clock and the model through the same instants."""

    rng: random.Random
    zones: list[str]
    lives: list[Life] = field(default_factory=list)
    now: Instant = BEGIN
    ends: dict[Any, tuple[Instant, Life]] = field(default_factory=dict)
    done: collections.Counter[str] = field(default_factory=collections.Counter)

    def add(self, make_job: MakeJob, number: int) -> None:
        spec = some_spec(self.rng, self.zones, made_at=BEGIN, now=BEGIN, end=END)
        policy = {**self.some_policy(), "overlap": self.rng.choice(["allow", "skip", "queue", "cancel_running"])}
        row = make_job(slug=f"job-{number}", now=BEGIN, **spec.timing, **policy)
        self.lives.append(Life(row, Model(spec, policy, BEGIN), self.rng.uniform(0.01, 1.5) * DAY))

    def some_policy(self) -> dict[str, Any]:
        return {
            "misfire": self.rng.choice(["fire_once", "fire_all", "skip"]),
            "misfire_grace_seconds": self.rng.choice([0, 10, 3600, 86_400, 30 * 86_400]),
            "jitter_seconds": self.rng.choice([0, 0, 60]),
        }

    def run(self, changes: int, outages: int) -> None:
        moments = sorted(self.moment() for _ in range(changes))
        away = sorted((self.moment(), self.rng.choice([5 / 1440, 0.2, 3, 12])) for _ in range(outages))
        while True:
            tick = self.next_tick(away)
            end = min((at for at, _ in self.ends.values()), default=END)
            self.now = min(tick, end, moments[0] if moments else END)
            if self.now >= END:
                break
            if self.now == end:
                self.end_executions()
            elif moments and self.now == moments[0]:
                self.change_something(self.rng.choice(self.lives))
                moments.pop(0)
            else:
                self.tick()
        self.now = END
        self.tick()

    def moment(self) -> Instant:
        return BEGIN + self.rng.uniform(1, 364) * DAY

    def next_tick(self, away: list[tuple[Instant, float]]) -> Instant:
        """Return a moment after something is due, or the end of an outage."""
        with connection.cursor() as cursor:
            cursor.execute(_NEXT)
            due = cursor.fetchone()[0]
        if due is None:
            return END
        at = max(self.now, due) + self.rng.uniform(0, 0.9) * SECOND
        for begin, days in away:
            if begin <= at < begin + days * DAY:
                return begin + days * DAY + self.rng.uniform(0, 20) * SECOND
        return at

    def tick(self) -> None:
        while SchedulePeriod.objects.filter(unsettled_from__isnull=False, until_at__lte=self.now).exists():
            settle_due(self.now)
        fire_due(self.now)
        for life in self.lives:
            life.model.tick(self.now)
        self.done["ticks"] += 1
        Execution.objects.filter(status="pending", overlap="").update(
            status="succeeded", finished_at=self.now, next_attempt_at=None
        )
        self.watch()

    def watch(self) -> None:
        """Note when the running executions are to end."""
        lives = {life.row.pk: life for life in self.lives}
        running = Execution.objects.filter(finished_at__isnull=True, queued=False).exclude(overlap="")
        found = dict(running.values_list("pk", "job_environment_id"))
        self.ends = {key: self.ends.get(key, (self.now + lives[row].lasts, lives[row])) for key, row in found.items()}

    def end_executions(self) -> None:
        for key, (at, life) in list(self.ends.items()):
            if at == self.now:
                execution = services.cancel(
                    workspace=life.row.job.workspace, execution_id=key, now=self.now, actor=SYSTEM
                )
                assert execution.scheduled_for == life.model.live
                life.model.end()
        self.watch()

    def change_something(self, life: Life) -> None:
        model, now = life.model, self.now
        if life.deleted:
            return
        model.pass_time(now)
        can = {
            "active": ["pause", "pause until", "edit", "edit", "policy", "policy", "disable", "delete"],
            "paused": ["resume", "resume", "edit", "pause until"],
            "disabled": ["enable", "enable", "edit"],
        }[model.state]
        change = self.rng.choice(can)
        if change in {"disable", "delete"} and not (
            model.spec.occurrences.between(now, END) and self.rng.random() < 0.5
        ):
            change = "edit"
        self.done[change] += 1
        getattr(self, change.replace(" ", "_"))(life, model, now)

    def pause(self, life: Life, model: Model, now: Instant) -> None:
        pause(job_environments=[life.row], until=None, note="", now=now, actor=SYSTEM)
        model.change(now, state="paused", spec=model.spec)

    def pause_until(self, life: Life, model: Model, now: Instant) -> None:
        until = now + self.rng.uniform(0.01, 20) * DAY
        pause(job_environments=[life.row], until=until, note="", now=now, actor=SYSTEM)
        model.change(now, state="paused", spec=model.spec, until=until)

    def resume(self, life: Life, model: Model, now: Instant) -> None:
        resume(job_environments=[life.row], now=now, actor=SYSTEM)
        model.change(now, state="active", spec=model.spec)

    def edit(self, life: Life, model: Model, now: Instant) -> None:
        spec = some_spec(self.rng, self.zones, made_at=BEGIN, now=now, end=END)
        life.save(now, spec=spec, enabled=False)
        model.change(now, state=model.state, spec=spec, until=model.paused_until)

    def policy(self, life: Life, model: Model, now: Instant) -> None:
        model.policy.update(self.some_policy())
        life.save(now, spec=model.spec, enabled=False)

    def enable(self, life: Life, model: Model, now: Instant) -> None:
        life.save(now, spec=model.spec, enabled=True)
        model.change(now, state="active", spec=model.spec)

    def disable(self, life: Life, model: Model, now: Instant) -> None:
        config = job_config(**model.spec.timing, **model.policy)
        save_job(
            workspace=life.row.job.workspace, job=life.row.job, slug=None, config=config,
            environments=[EnvironmentChange(life.row.environment, enabled=False)], now=now, actor=SYSTEM,
        )  # fmt: skip
        model.change(now, state="disabled", spec=model.spec)

    def delete(self, life: Life, model: Model, now: Instant) -> None:
        delete_job(job=life.row.job, now=now, actor=SYSTEM)
        life.deleted = True
        model.change(now, state="disabled", spec=model.spec)


def recorded(row: JobEnvironment, planned: list[Instant]) -> dict[Instant, str]:
    """Return the recorded outcome of each occurrence. Ranges are spread over the model's occurrences."""
    found: dict[Instant, str] = {}
    for execution in Execution.objects.filter(job_environment=row, trigger="schedule"):
        last = execution.scheduled_until or execution.scheduled_for
        covered = [at for at in planned if execution.scheduled_for <= at <= last]
        if execution.status != "skipped":
            covered = [execution.scheduled_for]
        assert len(covered) == execution.occurrences, (execution.scheduled_for, last, execution.skip_reason)
        assert not found.keys() & set(covered), "recorded twice"
        found.update(dict.fromkeys(covered, execution.skip_reason or "fired"))
    return found


def settled_outcomes(model: Model) -> dict[Instant, str]:
    """Return the model's outcomes, without the current pause: it is not recorded yet."""
    return {at: outcome for at, outcome in model.outcomes.items() if at <= END}


def assert_equal(life: Life) -> None:
    expected = settled_outcomes(life.model)
    found = recorded(life.row, sorted(expected))
    dropped = {at for at, outcome in expected.items() if outcome == "dst_gap"}
    for at in dropped & found.keys():
        # In a range that was wholly missed, occurrences that would not have fired count too.
        found[at] = "dst_gap" if found[at] == "missed" else found[at]
    differing = {at: (expected.get(at), found.get(at)) for at in expected.keys() ^ found.keys()}
    differing |= {at: (expected[at], found[at]) for at in expected.keys() & found.keys() if expected[at] != found[at]}
    assert not differing, f"{life.row.job.slug} {life.model.spec.timing}: {sorted(differing.items())[:5]}"


def assert_reconciled(life: Life) -> collections.Counter[str]:
    row = JobEnvironment.objects.select_related("job").get(pk=life.row.pk)
    ledger = account_of(row, start=BEGIN, end=END, now=END).ledger
    assert ledger.differences == ()
    assert ledger.due == 0
    assert ledger.planned == ledger.fired + sum(ledger.skipped.values())
    return collections.Counter({"fired": ledger.fired, **ledger.skipped})


def changes_its_clock(name: str) -> bool:
    zone = zoneinfo.ZoneInfo(name)
    return BEGIN.astimezone(zone).utcoffset() != (BEGIN + 180 * DAY).astimezone(zone).utcoffset()


def a_year(make_job: MakeJob, seed: int, *, jobs: int, changes: int, outages: int) -> collections.Counter[str]:
    rng = random.Random(seed)
    zones = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"})
    changing = [name for name in zones if changes_its_clock(name)]
    year = Year(rng, [*rng.sample(zones, 4), *rng.sample(changing, 12), "Australia/Lord_Howe"])
    for number in range(jobs):
        year.add(make_job, number)
    year.run(changes, outages)
    total: collections.Counter[str] = collections.Counter()
    for life in year.lives:
        assert_equal(life)
        total += assert_reconciled(life)
    print(f"seed {seed}: {dict(year.done)} {dict(total)}")
    return total


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)  # Committed, so that Postgres can vacuum the rows of a year.
def test_a_simulated_year_agrees_with_the_model(make_job: MakeJob, full: bool):
    """Repeat a failure with HOURHAND_TEST_SEED; `--full` simulates many more years."""
    given = os.environ.get("HOURHAND_TEST_SEED")
    first = int(given) if given else random.SystemRandom().randrange(2**32)
    total: collections.Counter[str] = collections.Counter()
    for number in range(20 if full else 1):
        print(f"HOURHAND_TEST_SEED={first + number}")
        total += a_year(make_job, first + number, jobs=6, changes=80, outages=10)
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE jobs_job, runs_execution, runs_run CASCADE")
    assert total["fired"] > 100
    assert total["paused"]
