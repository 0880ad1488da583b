"""Who meets whom: a catalogue from which a seed draws, each entry with a cast drawn by the seed too."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from proof.turnstile import others
from proof.turnstile.gate import pause
from proof.turnstile.stage import Stage
from proof.turnstile.workers import FATES, Worker, claims, claims_of_job, gives_back, records
from workers.connections import Link

#: What an actor does, on a link of its own.
Act = Callable[[Link], None]
Cast = Sequence[tuple[str, Act]]
_POLICIES = ("skip", "queue", "cancel_running")
_ANSWERED = ("succeeded", "failed")
_OFTEN = 0.7


@dataclass(frozen=True, slots=True)
class Scenario:
    """`jobs` has the job of each execution that is there from the start, `scheduled` what beats may fire."""

    name: str
    jobs: tuple[str, ...]
    scheduled: tuple[str, ...]
    cast: Callable[[Stage], Cast]


def drawn(rng: random.Random, only: str | None = None) -> Scenario:
    """One of the catalogue, with what it needs."""
    name = only or rng.choice(tuple(CATALOGUE))
    return CATALOGUE[name](rng)


def _same_worker_again(_rng: random.Random) -> Scenario:
    """A worker loses its attempt, claims the next one itself, and then gets to what it had to do for the first."""

    def cast(stage: Stage) -> Cast:
        worker = _worker(stage, "A")
        patient = [stage.rng.random() < _OFTEN for _ in range(3)]

        def claims_twice(link: Link) -> None:
            claims(worker, link, stage.ids, limit=3)
            if patient[0]:
                pause("", ready=lambda: stage.reaped)
            claims(worker, link, stage.ids, limit=3)
            gives_back(worker, link)

        def waits(wanted: bool) -> None:
            if wanted:
                pause("", ready=lambda: worker.taken > 1)

        def records_late(link: Link) -> None:
            waits(patient[1])
            records(worker, link, times=3)

        def stops_late(link: Link) -> None:
            waits(patient[2])
            gives_back(worker, link)

        return [
            ("A", claims_twice),
            ("A recorder", records_late),
            ("A stopping", stops_late),
            ("time", _plain(others.time_passes, stage, times=1)),
            ("beat", _plain(others.reaps, stage, times=1, once_lapsed=True)),
        ]

    return Scenario("the same worker again", ("plain",), (), cast)


def _two_workers(rng: random.Random) -> Scenario:
    """Two workers, each told the same ids."""

    def cast(stage: Stage) -> Cast:
        first, second = _worker(stage, "A"), _worker(stage, "B")
        return [
            *_acts(first, stage.ids, rounds=2),
            *_acts(second, stage.ids, rounds=1),
            ("time", _plain(others.time_passes, stage, times=2)),
            ("beat", _plain(others.reaps, stage, times=2)),
            *_some(stage, {"requeue": others.sends_again, "person": others.cancels}),
        ]

    return Scenario("two workers", ("plain",) * rng.randint(1, 3), (), cast)


def _canceled(rng: random.Random) -> Scenario:
    """Somebody cancels, one by one or in bulk, what is claimed, recorded, given back and reaped."""

    def cast(stage: Stage) -> Cast:
        worker = _worker(stage, "A", fates=("succeeded", "failed", "unsent", "aborted"))
        acts: list[tuple[str, Act]] = [
            *_acts(worker, stage.ids, rounds=2),
            ("person", _plain(others.cancels, stage)),
            ("bulk", _plain(stage.rng.choice((others.cancels_all, others.makes_an_end)), stage)),
        ]
        if stage.rng.random() < 0.5:
            acts += [
                ("time", _plain(others.time_passes, stage, times=1)),
                ("beat", _plain(others.reaps, stage, times=1)),
            ]
        return acts

    return Scenario("canceled", ("plain",) * rng.randint(1, 3), (), cast)


def _limited(rng: random.Random) -> Scenario:
    """Three workers claim of a job of which only one or two may run at once."""
    name = rng.choice(("one", "two"))

    def cast(stage: Stage) -> Cast:
        acts: list[tuple[str, Act]] = []
        for owner in ("A", "B", "C"):
            worker = _worker(stage, owner, fates=FATES[:3])
            job_id = str(stage.house.places[name].row.job_id)
            acts += [
                (owner, partial(_claims_limited, worker, job_id)),
                (f"{owner} recorder", partial(_records, worker)),
            ]
        acts += _some(stage, {"person": others.cancels, "bulk": others.makes_an_end})
        if stage.rng.random() < 0.5:
            acts += [
                ("time", _plain(others.time_passes, stage, times=1)),
                ("beat", _plain(others.reaps, stage, times=1)),
            ]
        return acts

    return Scenario("limited", (name,) * 4, (), cast)


def _overlapping(policy: str, rng: random.Random) -> Scenario:
    """Beats fire a job that must not overlap with itself, while workers are at it and people cancel."""

    def cast(stage: Stage) -> Cast:
        worker = _worker(stage, "A", fates=("succeeded", "failed", "unsent", "lost"))
        first = stage.rng.randint(1, 2)
        return [
            ("beat 1", _plain(others.fires, stage, occurrence=first)),
            ("beat 2", _plain(others.fires, stage, occurrence=2, once_claimed=stage.rng.random() < _OFTEN)),
            ("beat 3", _plain(others.fires, stage, occurrence=3, once_claimed=stage.rng.random() < _OFTEN)),
            *_acts(worker, None, rounds=3),
            ("time", _plain(others.time_passes, stage, times=1)),
            ("reaper", _plain(others.reaps, stage, times=1)),
            *_some(
                stage,
                {
                    "person": others.cancels,
                    "bulk": others.cancels_all,
                    "net": others.releases_forgotten,
                    "other": partial(others.asks, name=policy),
                },
            ),
        ]

    return Scenario(f"overlap {policy}", (policy,) * rng.randint(0, 1), (policy,), cast)


def _anything(rng: random.Random) -> Scenario:
    """Whatever the others have, at random."""
    jobs = tuple(rng.choice(("plain", "plain", *_POLICIES)) for _ in range(rng.randint(1, 3)))
    scheduled = tuple(sorted({rng.choice(_POLICIES) for _ in range(2)}))

    def cast(stage: Stage) -> Cast:
        first, second = _worker(stage, "A"), _worker(stage, "B", fates=_ANSWERED)
        sometimes: dict[str, Callable[[Stage], None]] = {
            "beat 1": partial(others.fires, occurrence=1),
            "beat 2": partial(others.fires, occurrence=2),
            "reaper 2": partial(others.reaps, times=1),
            "requeue": others.sends_again,
            "person": others.cancels,
            "bulk": others.cancels_all,
            "end": others.makes_an_end,
            "net": others.releases_forgotten,
        }
        return [
            *_acts(first, None, rounds=2),
            *_acts(second, None, rounds=1),
            ("time", _plain(others.time_passes, stage, times=2)),
            ("reaper 1", _plain(others.reaps, stage, times=2)),
            *_some(stage, sometimes),
        ]

    return Scenario("anything", jobs, scheduled, cast)


def _lost_answer(_rng: random.Random) -> Scenario:
    """PostgreSQL goes away after it committed a give back; the worker asks again, and claims the same number anew."""

    def cast(stage: Stage) -> Cast:
        worker = _worker(stage, "A", fates=("succeeded", "unsent"))
        worker.loses_answers = True

        def claims_again(link: Link) -> None:
            for _ in range(3):
                gives_back(worker, link)
                claims(worker, link, stage.ids, limit=3)

        return [("A", claims_again), ("A recorder", partial(_records, worker))]

    return Scenario("a lost answer", ("plain",), (), cast)


CATALOGUE: Mapping[str, Callable[[random.Random], Scenario]] = {
    "the same worker again": _same_worker_again,
    "two workers": _two_workers,
    "canceled": _canceled,
    "limited": _limited,
    **{f"overlap {policy}": partial(_overlapping, policy) for policy in _POLICIES},
    "a lost answer": _lost_answer,
    "anything": _anything,
}


def _worker(stage: Stage, owner: str, fates: Sequence[str] = FATES) -> Worker:
    return Worker(stage, owner, stage.house.claimer(owner), fates=fates)


def _acts(worker: Worker, ids: Sequence[str] | None, *, rounds: int) -> Cast:
    """A worker's threads: the one that claims, sends and gives back, and the one that records and renews.

    While it stops, a third gives back.
    """

    def claims_again(link: Link) -> None:
        for _ in range(rounds):
            claims(worker, link, ids, limit=3)
            if worker.stage.rng.random() < 0.5:
                gives_back(worker, link)

    def stops(link: Link) -> None:
        if pause("", ready=lambda: any(held.fate == "unsent" for held in worker.ready)):
            gives_back(worker, link)

    return [
        (worker.owner, claims_again),
        (f"{worker.owner} recorder", lambda link: records(worker, link, times=4)),
        (f"{worker.owner} stopping", stops),
    ]


def _claims_limited(worker: Worker, job_id: str, link: Link) -> None:
    for _ in range(2):
        claims_of_job(worker, link, job_id, limit=2)
        gives_back(worker, link)


def _records(worker: Worker, link: Link) -> None:
    records(worker, link, times=2)


def _some(stage: Stage, acts: Mapping[str, Callable[[Stage], None]]) -> Cast:
    """Each of them or not."""
    return [(name, _plain(act, stage)) for name, act in acts.items() if stage.rng.random() < 0.5]


def _plain(act: Callable[..., None], *args: Any, **kwargs: Any) -> Act:
    """An act on Django's connection."""
    return lambda _link: act(*args, **kwargs)
