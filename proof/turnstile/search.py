"""Plays interleavings, one for each seed, and holds each to account."""

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
from proof.turnstile.gate import Actor, Gate, Line
from proof.turnstile.house import House, make_house
from proof.turnstile.oracle import findings, forgotten
from proof.turnstile.scenarios import Scenario, drawn
from proof.turnstile.scheduler import Scheduler, StuckError
from proof.turnstile.stage import Stage
from proof.turnstile.workers import Worker, claims, claims_of_job, records
from workers.connections import Link

#: An execution has come to its end after so many honest rounds.
_ROUNDS = 12
_LIVES = "SELECT EXISTS (SELECT FROM runs_execution WHERE finished_at IS NULL)"


@dataclass(frozen=True, slots=True)
class Played:
    """One interleaving. `findings` is empty where everything held; `only` is the scenario asked for, None: any."""

    seed: int
    only: str | None
    scenario: str
    findings: tuple[str, ...]
    story: tuple[Line, ...]


class Turnstile:
    """Plays on the default database, whose rows are its own meanwhile. Make it by `turnstile()`."""

    def __init__(self, house: House, crew: Crew) -> None:
        self._house = house
        self._crew = crew
        self._link = Link("turnstile")

    def play(self, seed: int, *, only: str | None = None) -> Played:
        """The interleaving of this seed: of one scenario only, or of the one that it draws."""
        rng = random.Random(seed)
        scenario = drawn(rng, only)
        ids = self._house.reset(scenario.jobs, scenario.scheduled)
        stage = Stage(self._house, Gate(), rng, ids, scenario.scheduled)
        for key in ids:
            stage.label(key)
        found = self._act(stage, scenario)
        if not found:
            found = self._account(stage)
        return Played(seed, only, scenario.name, tuple(found), tuple(stage.gate.story))

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
        found = [f"deadlock: {circle} wait for each other" for circle in scheduler.deadlocks]
        return found + [f"{actor.name}: {_told(actor.error)}" for actor in actors if actor.error is not None]

    def _account(self, stage: Stage) -> list[str]:
        found = list(forgotten(stage))
        try:
            self._finish(stage)
        except (DatabaseError, psycopg2.Error) as error:
            return [*found, f"even alone: {_told(error)}"]
        with connection.cursor() as cursor:
            changes = trace.changes(cursor)
        return found + list(dict.fromkeys(findings(stage, changes)))

    def _finish(self, stage: Stage) -> None:
        """What still lives comes to its end, as by an honest beat and worker that are alone."""
        worker = Worker(stage, "the last", self._house.claimer("the last"), fates=("succeeded",))
        for _ in range(_ROUNDS):
            if not _anything_lives():
                return
            others.time_passes(stage, times=1)
            others.reaps(stage, times=1)
            others.releases_forgotten(stage)
            claims(worker, self._link, None, limit=100)
            for place in self._house.places.values():
                if place.concurrency is not None:
                    claims_of_job(worker, self._link, str(place.row.job_id), limit=100)
            records(worker, self._link, times=100, renewing=False)


@contextlib.contextmanager
def turnstile() -> Iterator[Turnstile]:
    """Prepare the default database, which is migrated and for nothing else; its rows are left where they are."""
    with gated(), _alone(), Crew() as crew:
        house = make_house(timezone.now().replace(microsecond=0))
        made = Turnstile(house, crew)
        try:
            yield made
        finally:
            made.close()
            trace.remove()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Nobody is told of anything over Redis, and nothing is logged: both are beside what is proved."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch("runs.queue._tell", return_value=True))
        stack.enter_context(mock.patch("runs.live_tail.publish._teller", mock.MagicMock()))
        stack.enter_context(mock.patch("runs.attempts.reaping.log", mock.MagicMock()))
        yield


def _anything_lives() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_LIVES)
        lives: bool = cursor.fetchone()[0]
        return lives


def _told(error: BaseException | None) -> str:
    """The server's words, without the rows that it quotes."""
    cause = error.__cause__ if error is not None and error.__cause__ is not None else error
    return f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}"
