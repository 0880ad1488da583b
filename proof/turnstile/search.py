"""Plays interleavings, one for each seed, and checks each."""

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from unittest import mock

import psycopg2
from django.db import DatabaseError, connection
from django.utils import timezone

from proof.turnstile import others, trace
from proof.turnstile.connections import gated
from proof.turnstile.crew import Crew
from proof.turnstile.fixture import Fixture, make_fixture
from proof.turnstile.gate import Actor, Gate, StoryLine
from proof.turnstile.oracle import findings, queued_behind_none
from proof.turnstile.scenarios import Scenario, draw
from proof.turnstile.scheduler import Scheduler, StuckError
from proof.turnstile.stage import Stage
from proof.turnstile.workers import Worker, claims, claims_of_job, records
from workers.connections import Link

#: Enough rounds without faults for every execution to end.
_ROUNDS = 12
_LIVES = "SELECT EXISTS (SELECT FROM runs_execution WHERE finished_at IS NULL)"


@dataclass(frozen=True, slots=True)
class Interleaving:
    """An interleaving. `findings` is empty if all rules hold; `only` is the requested scenario, None: any."""

    seed: int
    only: str | None
    scenario: str
    findings: tuple[str, ...]
    story: tuple[StoryLine, ...]


class Turnstile:
    """Plays on the default database, which it has for itself. Make it with `turnstile()`."""

    def __init__(self, fixture: Fixture, crew: Crew) -> None:
        self._fixture = fixture
        self._crew = crew
        self._link = Link("turnstile")

    def play(self, seed: int, *, only: str | None = None) -> Interleaving:
        """Play the interleaving of this seed, of scenario `only` or of one that it draws."""
        rng = random.Random(seed)
        scenario = draw(rng, only)
        ids = self._fixture.reset(scenario.jobs, scenario.scheduled)
        stage = Stage(self._fixture, Gate(), rng, ids, scenario.scheduled)
        for key in ids:
            stage.label(key)
        problems = self._act(stage, scenario)
        if not problems:
            problems = self._check(stage)
        return Interleaving(seed, only, scenario.name, tuple(problems), tuple(stage.gate.story))

    def close(self) -> None:
        self._link.close()

    def _act(self, stage: Stage, scenario: Scenario) -> list[str]:
        cast = scenario.cast(stage)
        actors = [Actor(name) for name, _ in cast]
        order = random.Random(stage.rng.random())
        with connection.cursor() as cursor:
            scheduler = Scheduler(stage.gate, actors, order, cursor.cursor)
            self._crew.play(stage.gate, [(actor, act) for actor, (_, act) in zip(actors, cast, strict=True)])
            try:
                scheduler.run()
            except StuckError as error:
                return [f"stuck: {error}"]
        problems = [f"deadlock: {cycle} wait for each other" for cycle in scheduler.deadlocks]
        return problems + [f"{actor.name}: {_message(actor.error)}" for actor in actors if actor.error is not None]

    def _check(self, stage: Stage) -> list[str]:
        problems = list(queued_behind_none(stage))
        try:
            self._finish(stage)
        except (DatabaseError, psycopg2.Error) as error:
            return [*problems, f"without faults: {_message(error)}"]
        with connection.cursor() as cursor:
            changes = trace.changes(cursor)
        return problems + list(dict.fromkeys(findings(stage, changes)))

    def _finish(self, stage: Stage) -> None:
        """End all live executions with a beat and a worker without faults."""
        worker = Worker(stage, "the last", self._fixture.claimer("the last"), fates=("succeeded",))
        for _ in range(_ROUNDS):
            if not _any_live():
                return
            others.time_passes(stage, times=1)
            others.reaps(stage, times=1)
            others.releases_forgotten(stage)
            claims(worker, self._link, None, limit=100)
            for fixture_job in self._fixture.jobs_by_name.values():
                if fixture_job.concurrency is not None:
                    claims_of_job(worker, self._link, str(fixture_job.job_environment.job_id), limit=100)
            records(worker, self._link, times=100, renewing=False)


@contextlib.contextmanager
def turnstile() -> Iterator[Turnstile]:
    """Prepare the default database, which must be migrated and unused otherwise; its rows stay."""
    with gated(), _isolated(), Crew() as crew:
        fixture = make_fixture(timezone.now().replace(microsecond=0))
        player = Turnstile(fixture, crew)
        try:
            yield player
        finally:
            player.close()
            trace.remove()


@contextlib.contextmanager
def _isolated() -> Iterator[None]:
    """Switch off Redis and logs, which do not matter here."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch("runs.queue._try", return_value=True))
        stack.enter_context(mock.patch("runs.live_tail.publish._publisher", mock.MagicMock()))
        stack.enter_context(mock.patch("runs.attempts.reaping.log", mock.MagicMock()))
        yield


def _any_live() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_LIVES)
        any_live: bool = cursor.fetchone()[0]
        return any_live


def _message(error: BaseException | None) -> str:
    """The server's words, without the rows that it quotes."""
    cause = error.__cause__ if error is not None and error.__cause__ is not None else error
    return f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}"
