"""A believable month of history in an installation's own database: for pictures of the dashboard and for its tests.

    DATABASE_URL=... python -m tests.support.seeded_month [--days 30] [--seed 7]

The jobs are made and paused by the verbs that everybody uses, as of then; their executions and runs are inserted. The
same seed tells the same story, up to now. Nothing is called: whoever starts a clock or a worker there calls for real.
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
from jobs.definition.contract import planned_by
from jobs.models import JobEnvironment, JobVersion
from jobs.services.save import EnvironmentChange, pause, save_job
from runs.models import Execution, Run
from runs.monitoring import heartbeats
from tests.support.jobs import job_config
from tests.support.month_stories import BUSY, CLOCK_AWAY, DOWN, STORIES, Failing, Story

DAY = datetime.timedelta(days=1)
_BATCH = 2_000
_MAX_ATTEMPTS = 3
_WORKER = "worker-1@atlas"
_HEADERS = {"content-type": "application/json", "user-agent": "Hourhand/0.1.0", "webhook-signature": "[redacted]"}


@dataclass(frozen=True, slots=True)
class Place:
    """A job in one environment, as the seeded month goes on there."""

    story: Story
    row: JobEnvironment
    version: JobVersion


class Month:
    """All that happens between `start` and `now`, by chance that a seed decides."""

    def __init__(self, *, now: datetime.datetime, days: float, seed: int) -> None:
        self.now, self.start = now, now - days * DAY
        self.chance = random.Random(seed)
        self.executions: list[Execution] = []
        self.runs: list[Run] = []

    def live_through(self, place: Place) -> None:
        """Everything that a job's schedule planned, as it fired or did not, and where that leaves the job."""
        definition = place.version.config
        schedule = planned_by(definition, anchor=place.row.job.created_at)
        assert schedule is not None
        until = self.now - place.story.paused[0] * DAY if place.story.paused else self.now
        due = schedule.next_firing_after(self.start)
        missed: list[datetime.datetime] = []
        last: Execution | None = None
        failures = 0
        while due is not None and due <= until - datetime.timedelta(minutes=1):
            following = schedule.next_firing_after(due)
            if self._within(due, CLOCK_AWAY):
                missed.append(due)
            else:
                if missed:
                    self._catch_up(place, missed)
                    missed = []
                if self.chance.random() < place.story.overlapping:
                    self._skip(place, [due], "overlap", at=due)
                else:
                    last = self._fire(place, due, at=due)
                    failures = failures + 1 if last.status == "failed" else 0
            due = following
        self._leave(place, last, failures, due)

    def _leave(self, place: Place, last: Execution | None, failures: int, due: datetime.datetime | None) -> None:
        if place.story.running:
            self._start(place)
        JobEnvironment.objects.filter(pk=place.row.pk).update(
            last_fired_at=last.scheduled_for if last else None,
            last_status=last.status if last else "",
            consecutive_failures=failures,
            next_fire_at=None if place.story.paused else due,
            accounted_until=self.now,
        )

    def _within(self, at: datetime.datetime, days: tuple[float, float]) -> bool:
        return self.now - days[0] * DAY <= at < self.now - days[1] * DAY

    def _catch_up(self, place: Place, missed: Sequence[datetime.datetime]) -> None:
        """What the policy `fire_once` makes of a stretch: the last one late, the others counted."""
        back = self.now - CLOCK_AWAY[1] * DAY
        if missed[:-1]:
            self._skip(place, missed[:-1], "missed", at=back)
        self._fire(place, missed[-1], at=back)

    def _skip(self, place: Place, planned: Sequence[datetime.datetime], reason: str, *, at: datetime.datetime) -> None:
        self.executions.append(
            self._execution(
                place, status="skipped", skip_reason=reason, scheduled_for=planned[0], created_at=at, finished_at=at,
                scheduled_until=planned[-1] if len(planned) > 1 else None, occurrences=len(planned),
            )
        )  # fmt: skip

    def _start(self, place: Place) -> None:
        """One execution that goes on now."""
        at = self.now - datetime.timedelta(seconds=48)
        execution = self._execution(
            place, status="running", trigger="manual", created_at=at, started_at=at, attempts=1, next_attempt_at=at,
            lease_owner=_WORKER, lease_expires_at=self.now + DAY,
        )  # fmt: skip
        self.executions.append(execution)

    def _fire(self, place: Place, due: datetime.datetime, *, at: datetime.datetime) -> Execution:
        """An execution that was due then and made `at`, with its attempts."""
        created = at + self._chance_ms(6)
        began = created + self._chance_ms(1_900 if self._within(due, BUSY) else 9)
        execution = self._execution(
            place, status="pending", scheduled_for=due, created_at=created, enqueued_at=created, started_at=began
        )
        retry = place.version.config["retry"]
        failing = self._breakdown(place, due)
        for number in range(1, retry["max_attempts"] + 1):
            by_chance = DOWN if self.chance.random() < place.story.flaky else None
            run = self._run(place, execution, number, began, failing or by_chance)
            self.runs.append(run)
            assert run.finished_at is not None
            execution.attempts, execution.status, execution.finished_at = number, run.status, run.finished_at
            execution.failure_reason, execution.error = run.failure_reason, run.error
            if run.status == "succeeded" or run.failure_reason in {"ssl_error", "assertion_failed"}:
                break
            began = run.finished_at + self._chance_ms(retry["delay_ms"] * (2**number - 1))
        self.executions.append(execution)
        return execution

    def _execution(self, place: Place, **columns: Any) -> Execution:
        row = place.row
        given = {"trigger": "schedule", "skip_reason": "", "overlap": place.version.config["overlap"], **columns}
        given["overlap"] = "" if given["overlap"] == "allow" else given["overlap"]
        return Execution(
            id=self._id(given["created_at"]), workspace_id=row.workspace_id, job_id=row.job_id,
            environment_id=row.environment_id, job_environment_id=row.pk, job_version_id=place.version.pk, **given,
        )  # fmt: skip

    def _breakdown(self, place: Place, due: datetime.datetime) -> Failing | None:
        found = (one for one in place.story.breakdowns if self._within(due, (one.since, one.until)))
        broken = next(found, None) if place.row.environment.slug == "production" else None
        return broken.failing if broken else None

    def _run(
        self, place: Place, execution: Execution, number: int, began: datetime.datetime, failing: Failing | None
    ) -> Run:
        story, request = place.story, place.version.config["request"]
        took = round(failing.took_ms if failing and failing.took_ms else self._spread(story.took_ms))
        answered = failing is None or failing.status is not None
        body = (failing.body if failing else story.answer) if answered else None
        kept = self.chance.random() < 0.6  # a connection that was kept from the call before
        dns, connect, tls = (0, 0, 0) if kept or not answered else (1, self.chance.randint(4, 9), self._ms(11, 24))
        rendered = execution.created_at.isoformat(timespec="seconds").replace("+00:00", "Z")
        sent = request["body"] and request["body"].replace("{{timestamp}}", rendered).replace(
            "{{scheduled_for}}", rendered
        ).replace("{{environment}}", place.row.environment.slug)
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
        """A UUIDv7 of that instant (RFC 9562, section 5.7), by chance that the seed decides."""
        random_bits = self.chance.getrandbits(74)
        high, low = random_bits >> 62, random_bits & (1 << 62) - 1
        return uuid.UUID(int=int(at.timestamp() * 1000) << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)

    def _ms(self, low: int, high: int) -> int:
        return self.chance.randint(low, high)

    def _spread(self, median: float) -> float:
        """Most take about as long, few take very long."""
        return self.chance.lognormvariate(math.log(median), 0.35)

    def _chance_ms(self, median: float) -> datetime.timedelta:
        return datetime.timedelta(milliseconds=self._spread(median))


@transaction.atomic
def seed(workspace: Workspace, *, now: datetime.datetime, days: float = 30, seed: int = 7) -> None:
    """Fill a workspace, which should be empty, with such a month."""
    month = Month(now=now, days=days, seed=seed)
    for place in _places(workspace, month):
        month.live_through(place)
    # Ids of the same millisecond are in no order: history is inserted as it was created.
    Execution.objects.bulk_create(sorted(month.executions, key=lambda one: one.created_at), batch_size=_BATCH)
    Run.objects.bulk_create(sorted(month.runs, key=lambda one: one.started_at), batch_size=_BATCH)
    with connection.cursor() as cursor:
        heartbeats.tell(cursor, heartbeats.Process("beat/1", "beat", "beat@atlas"), heartbeats.Ticking(2.1, True))
        for number in (1, 2):
            worker = heartbeats.Process(f"worker/{number}", "worker", f"worker-{number}@atlas")
            heartbeats.tell(cursor, worker, heartbeats.Delivering(2 - number, 0, 1000, False))


def _places(workspace: Workspace, month: Month) -> Iterator[Place]:
    """The jobs, made when the month began, in each of their environments."""
    admin = get_user_model().objects.filter(is_superuser=True).first()
    actor = Actor.of_user(admin) if admin else SYSTEM
    if not workspace.environments.filter(slug="staging").exists():
        # Younger than the workspace's first, which new jobs are enabled in.
        create_environment(workspace=workspace, name="Staging", slug="staging", actor=actor, now=month.now)
    environments = {environment.slug: environment for environment in workspace.environments.all()}
    for story in STORIES:
        job = save_job(
            workspace=workspace, job=None, slug=story.slug, config=_definition(story), actor=actor, now=month.start,
            environments=[EnvironmentChange(environments[slug], enabled=True) for slug in story.places],
        )  # fmt: skip
        rows = list(job.job_environments.select_related("environment", "job").order_by("environment__slug"))
        if story.paused:
            days_ago, note = story.paused
            pause(job_environments=rows, until=None, note=note, actor=actor, now=month.now - days_ago * DAY)
        assert job.current_version is not None
        for row in rows:
            yield Place(story, row, job.current_version)


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
