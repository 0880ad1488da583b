"""Beats that are killed, suspended, duplicated, have wrong clocks or lose their services.

The oracle knows only intervals: a job with an interval of one second is due at each whole second after its creation.
Each due time must be in the database exactly once, as fired or as skipped.
"""

import collections
import datetime
import random
import signal
import time
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.deployment import Deployment
from tests.support.recording_receiver import Receiver
from tests.support.relay import Relay
from tests.support.waiting import wait_for

pytestmark = pytest.mark.storms
SECOND = datetime.timedelta(seconds=1)
MINUTE_SECONDS = 60
HOUR_SECONDS = 3600


def every_second(deployment: Deployment, receiver: Receiver, count: int, **fields: Any) -> list[str]:
    slugs = [f"tick-{number}" for number in range(count)]
    for slug in slugs:
        deployment.make_job(
            slug, schedule={"every_seconds": 1}, request={"url": f"{receiver.url}/", "method": "GET"}, **fields
        )
    return slugs


def database_now(deployment: Deployment) -> datetime.datetime:
    return deployment.rows("SELECT clock_timestamp()")[0][0]


def planned(made_at: datetime.datetime, until: datetime.datetime) -> list[datetime.datetime]:
    """Each whole second later than `made_at`, up to `until`."""
    first = made_at.replace(microsecond=0) + SECOND
    return [first + index * SECOND for index in range(int((until - first) / SECOND) + 1)]


def recorded_times(
    deployment: Deployment, until: datetime.datetime
) -> dict[str, "collections.Counter[datetime.datetime]"]:
    """Count per job how often each time was fired or skipped."""
    found: dict[str, collections.Counter[datetime.datetime]] = collections.defaultdict(collections.Counter)
    for slug, first, occurrences in deployment.rows(
        "SELECT job.slug, scheduled_for, occurrences FROM runs_execution JOIN jobs_job AS job ON job.id = job_id"
        " WHERE trigger = 'schedule'"
    ):
        instants = (first + index * SECOND for index in range(occurrences))
        found[slug].update(instant for instant in instants if instant <= until)
    return found


def handled_until(deployment: Deployment) -> datetime.datetime:
    """Return the current second, after beat has processed every job up to it."""
    until = database_now(deployment).replace(microsecond=0)
    behind = "SELECT count(*) FROM jobs_jobenvironment WHERE enabled AND next_fire_at <= %s"
    wait_for(lambda: deployment.rows(behind, until) == [(0,)], "the beats to catch up")
    return until


def assert_each_occurrence_is_recorded_once(deployment: Deployment, until: datetime.datetime) -> None:
    found = recorded_times(deployment, until)
    jobs = deployment.rows("SELECT slug, created_at FROM jobs_job WHERE slug LIKE 'tick-%%'")
    assert jobs
    for slug, made_at in jobs:
        wanted = collections.Counter(planned(made_at, until))
        assert found[slug] == wanted, f"{slug} lost {wanted - found[slug]}, doubled {found[slug] - wanted}"


def logged_at(deployment: Deployment, name: str) -> float:
    """Return the timestamp of the first line of a process's log."""
    return instant(deployment.log(name).split("timestamp=", 1)[1].split(maxsplit=1)[0])


def instant(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def end(deployment: Deployment, slugs: list[str]) -> None:
    for slug in slugs:
        deployment.call("POST", f"/jobs/{slug}/pause/", json={})
    wait_for(lambda: deployment.unfinished() == 0, "everything to end")


class Chaos:
    """Kills and suspends beats at random and brings each back after a few seconds."""

    def __init__(self, deployment: Deployment, names: list[str], rng: random.Random) -> None:
        self.deployment, self.rng = deployment, rng
        self.up, self.killed, self.stopped = set(names), dict[str, float](), dict[str, float]()
        self.done: collections.Counter[str] = collections.Counter()

    def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._bring_back(time.monotonic())
            if self.up and self.rng.random() < 0.5:
                self._strike(self.rng.choice(sorted(self.up)))
            time.sleep(self.rng.uniform(0.1, 0.6))
        self._bring_back(float("inf"))

    def _strike(self, name: str) -> None:
        back_at = time.monotonic() + self.rng.uniform(0.1, 4.0)
        self.up.discard(name)
        if self.rng.random() < 0.4:
            self.deployment.kill(name)
            self.killed[name] = back_at
        else:
            self.deployment.signal(name, signal.SIGSTOP)
            self.stopped[name] = back_at

    def _bring_back(self, now: float) -> None:
        for name in [name for name, at in self.killed.items() if at <= now]:
            del self.killed[name]
            self.deployment.start(name)
            self.up.add(name)
            self.done["killed"] += 1
        for name in [name for name, at in self.stopped.items() if at <= now]:
            del self.stopped[name]
            self.deployment.signal(name, signal.SIGCONT)
            self.up.add(name)
            self.done["stopped"] += 1


def test_five_beats_killed_and_suspended_at_random_lose_and_duplicate_nothing(
    deployment: Deployment, receiver: Receiver, full: bool
):
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    deployment.environment["HOURHAND_LEASE_SECONDS"] = "30"  # the worker is not under test
    beats = [f"beat-{number}" for number in range(1, 6)]
    for name in (*beats, "worker"):
        deployment.start(name)
    slugs = every_second(deployment, receiver, 200 if full else 30)
    chaos = Chaos(deployment, beats, random.Random(seed))
    chaos.run(600 if full else 12)
    until = handled_until(deployment)
    end(deployment, slugs)
    assert chaos.done["killed"]
    assert chaos.done["stopped"]
    assert_each_occurrence_is_recorded_once(deployment, until)
    assert set(receiver.deliveries().values()) == {1}
    fired = "SELECT count(DISTINCT job_id) FROM runs_execution WHERE status = 'succeeded'"
    assert deployment.rows(fired) == [(len(slugs),)]


def test_beats_with_clocks_an_hour_off_fire_nothing_early_or_twice(deployment: Deployment, receiver: Receiver):
    deployment.start("beat-ahead", clock_off_by_seconds=HOUR_SECONDS)
    deployment.start("beat-behind", clock_off_by_seconds=-HOUR_SECONDS)
    deployment.start("worker")
    later = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=30)).isoformat()
    deployment.make_job("later", schedule=later, request={"url": f"{receiver.url}/later"})
    deployment.make_job("by-hand", request={"url": f"{receiver.url}/by-hand"})
    delayed = deployment.call("POST", "/jobs/by-hand/run/", json={"delay_seconds": 1800})
    slugs = every_second(deployment, receiver, 5)
    wait_for(lambda: len(receiver.seen) >= 20, "some firings")
    until = handled_until(deployment)
    for slug in slugs:
        deployment.call("POST", f"/jobs/{slug}/pause/", json={})
    wait_for(lambda: deployment.unfinished() == 1, "everything to end that is due")

    assert_each_occurrence_is_recorded_once(deployment, until)
    assert deployment.rows(
        "SELECT count(*) FROM runs_execution WHERE created_at < scheduled_for AND trigger = 'schedule'"
    ) == [(0,)]
    assert deployment.rows("SELECT enqueued_at FROM runs_execution WHERE id = %s", delayed["id"]) == [(None,)]
    assert deployment.call("GET", "/jobs/later/executions/")["results"] == []
    for request in receiver.seen:
        assert request["path"] == "/"
        assert (
            request["at"] >= datetime.datetime.fromisoformat(request["headers"]["x-hourhand-scheduled-for"]).timestamp()
        )
    assert set(receiver.deliveries().values()) == {1}


def test_workers_with_clocks_an_hour_off_record_correct_times(deployment: Deployment, receiver: Receiver):
    deployment.make_job("one", request={"url": f"{receiver.url}/"})
    for name, off in (("worker-ahead", HOUR_SECONDS), ("worker-behind", -HOUR_SECONDS)):
        deployment.start(name, clock_off_by_seconds=off)
        asked = deployment.call("POST", "/jobs/one/run/", json={})
        wait_for(lambda: deployment.unfinished() == 0, "the execution to end")
        assert abs(logged_at(deployment, name) - time.time() - off) < MINUTE_SECONDS
        seen = receiver.seen[-1]
        execution = deployment.call("GET", f"/executions/{asked['id']}/")
        (run,) = execution["runs"]
        for told in (execution, run):
            started_at, finished_at = (instant(told[column]) for column in ("started_at", "finished_at"))
            assert seen["at"] - MINUTE_SECONDS < started_at <= finished_at < time.time() + 1
        assert abs(int(seen["headers"]["webhook-timestamp"]) - seen["at"]) < MINUTE_SECONDS
        deployment.kill(name)


def test_occurrences_missed_without_a_beat_fire_once_and_are_counted(
    deployment: Deployment, receiver: Receiver, full: bool
):
    deployment.start("beat")
    deployment.start("worker")
    slugs = every_second(deployment, receiver, 3, misfire="fire_once")
    wait_for(lambda: len(receiver.deliveries()) >= 9, "the first firings")
    deployment.kill("beat", signal.SIGTERM)
    stopped_at = database_now(deployment)
    time.sleep(300 if full else 10)
    started_at = database_now(deployment)
    deployment.start("beat")
    wait_for(lambda: _fired_after(deployment, started_at) >= 6, "firings after the pause")
    until = handled_until(deployment)
    end(deployment, slugs)

    assert_each_occurrence_is_recorded_once(deployment, until)
    missed = deployment.rows(
        "SELECT occurrences FROM runs_execution WHERE skip_reason = 'missed' AND scheduled_for <= %s"
        " AND scheduled_for + occurrences * interval '1 second' > %s",
        *[stopped_at + (started_at - stopped_at) / 2] * 2,
    )
    assert len(missed) == len(slugs)
    assert all(count >= (started_at - stopped_at) / SECOND - 2 for (count,) in missed)
    fired = deployment.rows(
        "SELECT count(*) FROM runs_execution WHERE status = 'succeeded' AND scheduled_for > %s AND scheduled_for < %s",
        stopped_at, started_at,
    )  # fmt: skip
    assert fired == [(0,)]


def _fired_after(deployment: Deployment, instant: datetime.datetime) -> int:
    return deployment.rows("SELECT count(*) FROM runs_run WHERE started_at > %s", instant)[0][0]


def test_beats_recover_after_losing_postgres_and_redis(deployment: Deployment, receiver: Receiver):
    relays = relayed(deployment)
    # Long enough for a busy machine: otherwise a worker renews its leases too late after the outage.
    deployment.environment["HOURHAND_LEASE_SECONDS"] = "15"
    for name in ("beat-1", "beat-2", "worker"):
        deployment.start(name)
    create_task(deployment)
    slugs = every_second(deployment, receiver, 5)
    wait_for(lambda: len(receiver.seen) >= 10, "the first firings")
    for lost in (relays["redis"], relays["postgres"]):
        lost.cut()
        time.sleep(3)
        before = len(receiver.seen)
        if lost is relays["redis"]:
            wait_for(lambda before=before: len(receiver.seen) >= before + 10, "firings without Redis")
        lost.mend()
        before = len(receiver.seen)
        wait_for(lambda before=before: len(receiver.seen) >= before + 10, "firings afterwards")
    until = handled_until(deployment)
    end(deployment, slugs)
    assert_each_occurrence_is_recorded_once(deployment, until)
    assert set(receiver.deliveries().values()) == {1}
    assert [deployment.processes[name].poll() for name in ("beat-1", "beat-2", "worker")] == [None] * 3
    assert "clock_database_away" in deployment.log("beat-1")


def relayed(deployment: Deployment) -> dict[str, Relay]:
    """Put a relay in front of each service, for processes started afterwards."""
    database = urllib.parse.urlsplit(deployment.environment["DATABASE_URL"])
    options = dict(urllib.parse.parse_qsl(database.query))
    broker = urllib.parse.urlsplit(deployment.redis_url)
    socket_name = f".s.PGSQL.{options.get('port', '5432')}"
    relays = {
        "postgres": Relay(deployment.directory / socket_name, Path(options["host"]) / socket_name),
        "redis": Relay(deployment.directory / "redis.sock", Path(broker.path)),
    }
    options["host"] = str(deployment.directory)
    deployment.environment["DATABASE_URL"] = database._replace(query=urllib.parse.urlencode(options)).geturl()
    deployment.environment["REDIS_URL"] = f"unix://{deployment.directory}/redis.sock?{broker.query}"
    return relays


def create_task(deployment: Deployment) -> None:
    """Create a maintenance task that is due every second. Nothing consumes its messages, so they stay in Redis."""
    deployment.rows("INSERT INTO django_celery_beat_intervalschedule (every, period) VALUES (1, 'seconds')")
    deployment.rows(
        """
        INSERT INTO django_celery_beat_periodictask (name, task, args, kwargs, queue, enabled, total_run_count,
            date_changed, description, one_off, headers, interval_id)
        SELECT 'sweep', 'maintenance.sweep', '[]', '{}', 'sweepings', true, 0, now(), '', false, '{}', id
          FROM django_celery_beat_intervalschedule WHERE every = 1 AND period = 'seconds'
        """
    )


def test_maintenance_tasks_are_sent_by_one_beat_and_by_the_other_after_its_death(deployment: Deployment):
    beats = {"beat-1", "beat-2"}
    deployment.environment["HOURHAND_LOG_LEVEL"] = "DEBUG"  # logs each task that is sent
    create_task(deployment)
    for name in beats:
        deployment.start(name)
    wait_for(lambda: deployment.redis().llen("sweepings") >= 2, "tasks to be sent")
    told = wait_for(
        lambda: len(found := deployment.rows("SELECT sends_chores FROM runs_heartbeat")) == 2 and found,
        "both heartbeats",
    )
    assert sum(sender for (sender,) in told) <= 1
    (sender,) = [name for name in beats if sends_tasks(deployment, name)]
    deployment.kill(sender)
    (survivor,) = beats - {sender}
    wait_for(lambda: sends_tasks(deployment, survivor), "the other beat to send tasks")


def sends_tasks(deployment: Deployment, name: str) -> bool:
    return "Sending due task sweep" in deployment.log(name)


def test_metrics_describe_a_working_deployment(deployment: Deployment, receiver: Receiver):
    deployment.start("beat")
    deployment.start("worker")
    slugs = every_second(deployment, receiver, 3)
    wait_for(lambda: len(receiver.seen) >= 9, "some firings")
    end(deployment, slugs)
    wait_for(lambda: "\nhourhand_workers 1.0\n" in _scraped(deployment), "the worker's heartbeat")
    told = dict(line.rsplit(" ", 1) for line in _scraped(deployment).splitlines() if not line.startswith("#"))
    ((runs,),) = deployment.rows("SELECT count(*) FROM runs_run WHERE status = 'succeeded'")
    assert float(told['hourhand_runs_total{failure_reason="",status="succeeded"}']) == runs
    assert float(told["hourhand_lateness_seconds_count"]) == runs
    assert 0 < float(told["hourhand_lateness_seconds_sum"]) < 60 * runs
    assert told["hourhand_beats"] == told["hourhand_database_up"] == told["hourhand_broker_up"] == "1.0"
    assert float(told["hourhand_last_tick_age_seconds"]) < 30
    for name in ("beat", "worker"):
        deployment.kill(name, signal.SIGTERM)
    assert "\nhourhand_beats 0.0\n" in _scraped(deployment)
    assert "\nhourhand_workers 0.0\n" in _scraped(deployment)


def _scraped(deployment: Deployment) -> str:
    return requests.get(f"{deployment.url}/metrics", timeout=10).text
