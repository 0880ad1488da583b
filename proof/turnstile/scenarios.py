"""The catalogue of scenarios. A seed draws a scenario and the details of its cast."""

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

#: What an actor does, with a link of its own.
Act = Callable[[Link], None]
Cast = Sequence[tuple[str, Act]]
_POLICIES = ("skip", "queue", "cancel_running")
_ANSWERED = ("succeeded", "failed")
_OFTEN = 0.7


@dataclass(frozen=True, slots=True)
class Scenario:
    """`jobs` names the job of each initial execution, `scheduled` the jobs that beats may fire."""

    name: str
    jobs: tuple[str, ...]
    scheduled: tuple[str, ...]
    cast: Callable[[Stage], Cast]


def draw(rng: random.Random, only: str | None = None) -> Scenario:
    """Draw a scenario of the catalogue."""
    name = only or rng.choice(tuple(CATALOGUE))
    return CATALOGUE[name](rng)


def _same_worker_again(_rng: random.Random) -> Scenario:
    """A worker loses an attempt, claims the next one itself, and then acts on the first."""

    def cast(stage: Stage) -> Cast:
        worker = _worker(stage, "A")
        patient = [stage.rng.random() < _OFTEN for _ in range(3)]

        def claims_twice(link: Link) -> None:
            claims(worker, link, stage.ids, limit=3)
            if patient[0]:
                pause("", ready=lambda: stage.reaped)
            claims(worker, link, stage.ids, limit=3)
            gives_back(worker, link)

        def waits(is_patient: bool) -> None:
            if is_patient:
                pause("", ready=lambda: worker.claim_count > 1)

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
            ("beat", _plain(others.reaps, stage, times=1, once_expired=True)),
        ]

    return Scenario("the same worker again", ("plain",), (), cast)


def _two_workers(rng: random.Random) -> Scenario:
    """Two workers get the same ids."""

    def cast(stage: Stage) -> Cast:
        first, second = _worker(stage, "A"), _worker(stage, "B")
        return [
            *_acts(first, stage.ids, rounds=2),
            *_acts(second, stage.ids, rounds=1),
            ("time", _plain(others.time_passes, stage, times=2)),
            ("beat", _plain(others.reaps, stage, times=2)),
            *_some(stage, {"requeue": others.requeues, "person": others.cancels}),
        ]

    return Scenario("two workers", ("plain",) * rng.randint(1, 3), (), cast)


def _canceled(rng: random.Random) -> Scenario:
    """A user cancels executions, singly or in bulk, while they are claimed, recorded, given back and reaped."""

    def cast(stage: Stage) -> Cast:
        worker = _worker(stage, "A", fates=("succeeded", "failed", "unsent", "aborted"))
        acts: list[tuple[str, Act]] = [
            *_acts(worker, stage.ids, rounds=2),
            ("person", _plain(others.cancels, stage)),
            ("bulk", _plain(stage.rng.choice((others.cancels_all, others.cancels_live)), stage)),
        ]
        if stage.rng.random() < 0.5:
            acts += [
                ("time", _plain(others.time_passes, stage, times=1)),
                ("beat", _plain(others.reaps, stage, times=1)),
            ]
        return acts

    return Scenario("canceled", ("plain",) * rng.randint(1, 3), (), cast)


def _limited(rng: random.Random) -> Scenario:
    """Three workers claim executions of a job with a concurrency of one or two."""
    name = rng.choice(("one", "two"))

    def cast(stage: Stage) -> Cast:
        acts: list[tuple[str, Act]] = []
        for owner in ("A", "B", "C"):
            worker = _worker(stage, owner, fates=FATES[:3])
            job_id = str(stage.fixture.jobs_by_name[name].job_environment.job_id)
            acts += [
                (owner, partial(_claims_limited, worker, job_id)),
                (f"{owner} recorder", partial(_records, worker)),
            ]
        acts += _some(stage, {"person": others.cancels, "bulk": others.cancels_live})
        if stage.rng.random() < 0.5:
            acts += [
                ("time", _plain(others.time_passes, stage, times=1)),
                ("beat", _plain(others.reaps, stage, times=1)),
            ]
        return acts

    return Scenario("limited", (name,) * 4, (), cast)


def _overlapping(policy: str, rng: random.Random) -> Scenario:
    """Beats fire a job that must not overlap with itself, while a worker delivers it and users cancel."""

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
                    "other": partial(others.runs_by_hand, name=policy),
                },
            ),
        ]

    return Scenario(f"overlap {policy}", (policy,) * rng.randint(0, 1), (policy,), cast)


def _anything(rng: random.Random) -> Scenario:
    """The actors of all other scenarios, at random."""
    jobs = tuple(rng.choice(("plain", "plain", *_POLICIES)) for _ in range(rng.randint(1, 3)))
    scheduled = tuple(sorted({rng.choice(_POLICIES) for _ in range(2)}))

    def cast(stage: Stage) -> Cast:
        first, second = _worker(stage, "A"), _worker(stage, "B", fates=_ANSWERED)
        sometimes: dict[str, Callable[[Stage], None]] = {
            "beat 1": partial(others.fires, occurrence=1),
            "beat 2": partial(others.fires, occurrence=2),
            "reaper 2": partial(others.reaps, times=1),
            "requeue": others.requeues,
            "person": others.cancels,
            "bulk": others.cancels_all,
            "end": others.cancels_live,
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
    """PostgreSQL goes away after the commit of a give-back; the worker repeats it, and claims the same number again."""

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
    return Worker(stage, owner, stage.fixture.claimer(owner), fates=fates)


def _acts(worker: Worker, ids: Sequence[str] | None, *, rounds: int) -> Cast:
    """A worker's threads: one claims, sends and gives back, one records and renews, one gives back at shutdown."""

    def claims_again(link: Link) -> None:
        for _ in range(rounds):
            claims(worker, link, ids, limit=3)
            if worker.stage.rng.random() < 0.5:
                gives_back(worker, link)

    def stops(link: Link) -> None:
        if pause("", ready=lambda: any(attempt.fate == "unsent" for attempt in worker.ready)):
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
    """Each of these acts with a probability of one half."""
    return [(name, _plain(act, stage)) for name, act in acts.items() if stage.rng.random() < 0.5]


def _plain(act: Callable[..., None], *args: Any, **kwargs: Any) -> Act:
    """Make an act that uses Django's connection."""
    return lambda _link: act(*args, **kwargs)
