"""A realistic month of history in a deployment's database, for screenshots and tests of the dashboard.

    DATABASE_URL=... python -m tests.support.seeded_month [--days 30] [--seed 7]

The jobs are created and paused with the product's services, in the past; their executions and runs are inserted. The
same seed gives the same history, up to now. No endpoint is called, but a beat and a worker started there would.
"""

import argparse
import datetime
import math
import os
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
if __name__ == "__main__":
    django.setup()

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.utils import timezone

from accounts.actors import SYSTEM, Actor
from accounts.environments import create_environment
from accounts.models import Workspace
from jobs.definition.contract import schedule_of
from jobs.models import JobEnvironment, JobVersion
from jobs.services.save import EnvironmentChange, pause, save_job
from runs.models import Execution, Run
from runs.monitoring import heartbeats
from tests.support.jobs import job_config
from tests.support.month_stories import BEAT_DOWN, BUSY, DOWN, STORIES, CallFailure, Story

DAY = datetime.timedelta(days=1)
_BATCH = 2_000
_MAX_ATTEMPTS = 3
_WORKER = "worker-1@atlas"
_HEADERS = {"content-type": "application/json", "user-agent": "Hourhand/0.1.0", "webhook-signature": "[redacted]"}


@dataclass(frozen=True, slots=True)
class JobHistory:
    """A job in one environment whose history is generated."""

    story: Story
    job_environment: JobEnvironment
    version: JobVersion


class Month:
    """The executions and runs between `start` and `now`, generated from a seed."""

    def __init__(self, *, now: datetime.datetime, days: float, seed: int) -> None:
        self.now, self.start = now, now - days * DAY
        self.rng = random.Random(seed)
        self.executions: list[Execution] = []
        self.runs: list[Run] = []

    def simulate(self, history: JobHistory) -> None:
        """Generate the executions of a job's schedule, and update its state."""
        definition = history.version.config
        schedule = schedule_of(definition, anchor=history.job_environment.job.created_at)
        assert schedule is not None
        until = self.now - history.story.paused[0] * DAY if history.story.paused else self.now
        due = schedule.next_firing_after(self.start)
        missed: list[datetime.datetime] = []
        last: Execution | None = None
        failures = 0
        while due is not None and due <= until - datetime.timedelta(minutes=1):
            following = schedule.next_firing_after(due)
            if self._within(due, BEAT_DOWN):
                missed.append(due)
            else:
                if missed:
                    self._catch_up(history, missed)
                    missed = []
                if self.rng.random() < history.story.overlapping:
                    self._skip(history, [due], "overlap", at=due)
                else:
                    last = self._fire(history, due, at=due)
                    failures = failures + 1 if last.status == "failed" else 0
            due = following
        self._leave(history, last, failures, due)

    def _leave(self, history: JobHistory, last: Execution | None, failures: int, due: datetime.datetime | None) -> None:
        if history.story.running:
            self._start(history)
        JobEnvironment.objects.filter(pk=history.job_environment.pk).update(
            last_fired_at=last.scheduled_for if last else None,
            last_status=last.status if last else "",
            consecutive_failures=failures,
            next_fire_at=None if history.story.paused else due,
            accounted_until=self.now,
        )

    def _within(self, at: datetime.datetime, days: tuple[float, float]) -> bool:
        return self.now - days[0] * DAY <= at < self.now - days[1] * DAY

    def _catch_up(self, history: JobHistory, missed: Sequence[datetime.datetime]) -> None:
        """Apply `fire_once` to missed occurrences: fire the last one late, count the others."""
        back = self.now - BEAT_DOWN[1] * DAY
        if missed[:-1]:
            self._skip(history, missed[:-1], "missed", at=back)
        self._fire(history, missed[-1], at=back)

    def _skip(
        self, history: JobHistory, planned: Sequence[datetime.datetime], reason: str, *, at: datetime.datetime
    ) -> None:
        self.executions.append(
            self._execution(
                history, status="skipped", skip_reason=reason, scheduled_for=planned[0], created_at=at, finished_at=at,
                scheduled_until=planned[-1] if len(planned) > 1 else None, occurrences=len(planned),
            )
        )  # fmt: skip

    def _start(self, history: JobHistory) -> None:
        """Add a running execution."""
        at = self.now - datetime.timedelta(seconds=48)
        execution = self._execution(
            history, status="running", trigger="manual", created_at=at, started_at=at, attempts=1, next_attempt_at=at,
            lease_owner=_WORKER, lease_expires_at=self.now + DAY,
        )  # fmt: skip
        self.executions.append(execution)

    def _fire(self, history: JobHistory, due: datetime.datetime, *, at: datetime.datetime) -> Execution:
        """Add an execution that was due at `due` and created at `at`, with its attempts."""
        created = at + self._random_ms(6)
        began = created + self._random_ms(1_900 if self._within(due, BUSY) else 9)
        execution = self._execution(
            history, status="pending", scheduled_for=due, created_at=created, enqueued_at=created, started_at=began
        )
        retry = history.version.config["retry"]
        failing = self._breakdown(history, due)
        for number in range(1, retry["max_attempts"] + 1):
            random_failure = DOWN if self.rng.random() < history.story.flaky else None
            run = self._run(history, execution, number, began, failing or random_failure)
            self.runs.append(run)
            assert run.finished_at is not None
            execution.attempts, execution.status, execution.finished_at = number, run.status, run.finished_at
            execution.failure_reason, execution.error = run.failure_reason, run.error
            if run.status == "succeeded" or run.failure_reason in {"ssl_error", "assertion_failed"}:
                break
            began = run.finished_at + self._random_ms(retry["delay_ms"] * (2**number - 1))
        self.executions.append(execution)
        return execution

    def _execution(self, history: JobHistory, **columns: Any) -> Execution:
        row = history.job_environment
        given = {"trigger": "schedule", "skip_reason": "", "overlap": history.version.config["overlap"], **columns}
        given["overlap"] = "" if given["overlap"] == "allow" else given["overlap"]
        return Execution(
            id=self._id(given["created_at"]), workspace_id=row.workspace_id, job_id=row.job_id,
            environment_id=row.environment_id, job_environment_id=row.pk, job_version_id=history.version.pk, **given,
        )  # fmt: skip

    def _breakdown(self, history: JobHistory, due: datetime.datetime) -> CallFailure | None:
        found = (one for one in history.story.breakdowns if self._within(due, (one.since, one.until)))
        broken = next(found, None) if history.job_environment.environment.slug == "production" else None
        return broken.failing if broken else None

    def _run(
        self,
        history: JobHistory,
        execution: Execution,
        number: int,
        began: datetime.datetime,
        failing: CallFailure | None,
    ) -> Run:
        story, request = history.story, history.version.config["request"]
        took = round(failing.took_ms if failing and failing.took_ms else self._spread(story.took_ms))
        answered = failing is None or failing.status is not None
        body = (failing.body if failing else story.answer) if answered else None
        kept = self.rng.random() < 0.6  # a reused connection
        dns, connect, tls = (0, 0, 0) if kept or not answered else (1, self.rng.randint(4, 9), self._ms(11, 24))
        rendered = execution.created_at.isoformat(timespec="seconds").replace("+00:00", "Z")
        sent = request["body"] and request["body"].replace("{{timestamp}}", rendered).replace(
            "{{scheduled_for}}", rendered
        ).replace("{{environment}}", history.job_environment.environment.slug)
        own = {"x-hourhand-job": story.slug, "x-hourhand-attempt": str(number), "idempotency-key": str(execution.pk)}
        return Run(
            id=self._id(began), workspace_id=execution.workspace_id, job_id=execution.job_id,
            environment_id=execution.environment_id, job_version_id=execution.job_version_id, execution=execution,
            number=number, trigger="retry" if number > 1 else execution.trigger,
            status="failed" if failing else "succeeded", failure_reason=failing.reason if failing else "",
            error=failing.error if failing else "", started_at=began,
            finished_at=began + datetime.timedelta(milliseconds=took), duration_ms=took,
            queue_ms=self._ms(0, 2), dns_ms=dns, connect_ms=connect, tls_ms=tls,
            first_byte_ms=max(round(took * 0.9), dns + connect + tls) if answered else None, total_ms=took,
            request_method=request["method"], request_url=request["url"], request_headers={**_HEADERS, **own},
            request_body=sent, response_status=failing.status if failing else 200,
            response_headers={"content-type": "application/json", "server": "shop"} if answered else None,
            response_body=body, body_bytes=len(body) if body else None, http_version="2" if answered else "",
            remote_ip="203.0.113.7" if answered else None, worker=_WORKER,
        )  # fmt: skip

    def _id(self, at: datetime.datetime) -> uuid.UUID:
        """A UUIDv7 of that instant (RFC 9562, section 5.7) from the seeded generator."""
        random_bits = self.rng.getrandbits(74)
        high, low = random_bits >> 62, random_bits & (1 << 62) - 1
        return uuid.UUID(int=int(at.timestamp() * 1000) << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)

    def _ms(self, low: int, high: int) -> int:
        return self.rng.randint(low, high)

    def _spread(self, median: float) -> float:
        """Return a random duration with this median and a long tail."""
        return self.rng.lognormvariate(math.log(median), 0.35)

    def _random_ms(self, median: float) -> datetime.timedelta:
        return datetime.timedelta(milliseconds=self._spread(median))


@transaction.atomic
def seed(workspace: Workspace, *, now: datetime.datetime, days: float = 30, seed: int = 7) -> None:
    """Fill an empty workspace with such a month."""
    month = Month(now=now, days=days, seed=seed)
    for history in _histories(workspace, month):
        month.simulate(history)
    # Ids of the same millisecond are unordered, so history is inserted in the order of creation.
    Execution.objects.bulk_create(sorted(month.executions, key=lambda one: one.created_at), batch_size=_BATCH)
    Run.objects.bulk_create(sorted(month.runs, key=lambda one: one.started_at), batch_size=_BATCH)
    with connection.cursor() as cursor:
        heartbeats.report(cursor, heartbeats.Process("beat/1", "beat", "beat@atlas"), heartbeats.BeatReport(2.1, True))
        for number in (1, 2):
            worker = heartbeats.Process(f"worker/{number}", "worker", f"worker-{number}@atlas")
            heartbeats.report(cursor, worker, heartbeats.WorkerReport(2 - number, 0, 1000, False))


def _histories(workspace: Workspace, month: Month) -> Iterator[JobHistory]:
    """Create the jobs at the start of the month, and yield them in each of their environments."""
    admin = get_user_model().objects.filter(is_superuser=True).first()
    actor = Actor.of_user(admin) if admin else SYSTEM
    if not workspace.environments.filter(slug="staging").exists():
        # Younger than the first environment, in which new jobs are enabled.
        create_environment(workspace=workspace, name="Staging", slug="staging", actor=actor, now=month.now)
    environments = {environment.slug: environment for environment in workspace.environments.all()}
    for story in STORIES:
        job = save_job(
            workspace=workspace, job=None, slug=story.slug, config=_definition(story), actor=actor, now=month.start,
            environments=[EnvironmentChange(environments[slug], enabled=True) for slug in story.environments],
        )  # fmt: skip
        rows = list(job.job_environments.select_related("environment", "job").order_by("environment__slug"))
        if story.paused:
            days_ago, note = story.paused
            pause(job_environments=rows, until=None, note=note, actor=actor, now=month.now - days_ago * DAY)
        assert job.current_version is not None
        for row in rows:
            yield JobHistory(story, row, job.current_version)


def _definition(story: Story) -> dict[str, Any]:
    whole = job_config(
        name=story.name, description=story.description, tags=list(story.tags), schedule=story.schedule,
        timezone=story.timezone, retry={"max_attempts": _MAX_ATTEMPTS, "delay_ms": 1_000},
        request={"url": story.url, "method": story.method, "body": story.body},
    )  # fmt: skip
    for name, value in story.definition.items():
        whole[name] = {**whole[name], **value} if isinstance(value, dict) else value
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    seed(Workspace.objects.get(), now=timezone.now(), days=given.days, seed=given.seed)


if __name__ == "__main__":
    main()
