"""Measures the demands of the budget with their benchmarks."""

import math
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from bench import clock, delivery, firing, history, lateness, slow, stage, workflows
from bench.budget import Peer, median_ratio, number, spread
from bench.demands import Sizes


class Reached(NamedTuple):
    """A demand's value, the peer with its value, and a remark. None: not measured; the note has the reason."""

    value: float | None
    beside: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """A measure's values by the demand's name, its peers, and Hourhand's runs per second beside them."""

    reached: dict[str, Reached]
    peers: list[Peer] = field(default_factory=list)
    rate: float | None = None


def measured(measure: str, sizes: Sizes) -> Findings:
    """Run a measure on an empty database. Raises what the benchmark raises."""
    stage.empty()
    return _MEASURES[measure](sizes)


def _delivery(sizes: Sizes) -> Findings:
    with stage.target() as port:
        contest = delivery.hold_contest(port, runs=sizes.runs, rounds=sizes.rounds)
    peers = contest.peers()
    naive = [
        peer
        for peer in peers
        if peer.name.startswith(delivery.CELERY) and peer.name != delivery.CELERY_KEPT and peer.rate is not None
    ]
    best = max(naive, key=lambda peer: peer.rate or 0.0, default=Peer(f"{delivery.CELERY}, threads", None, None))
    reached = {
        "celery": _against(contest, best.name),
        "celery_kept": _against(contest, delivery.CELERY_KEPT),
        "asyncio": _against(contest, delivery.ASYNCIO),
        "bare": _against(contest, delivery.BARE),
    }
    return Findings(reached, peers, contest.hourhand)


def _processes(sizes: Sizes) -> Findings:
    with stage.target() as port:
        contest = delivery.hold_contest(port, runs=sizes.runs, rounds=sizes.rounds, processes=2, only=delivery.ASYNCIO)
    reached = _against(contest, delivery.ASYNCIO)
    return Findings({"asyncio_two": reached._replace(note=f"Hourhand {contest.hourhand:,.0f} runs/s in two processes")})


def _against(contest: delivery.Contest, name: str) -> Reached:
    """How many times faster Hourhand is than this contender."""
    if name in contest.missing:
        return Reached(None, name, contest.missing[name])
    rates = contest.rates[name]
    ratios = [ours / theirs for ours, theirs in zip(contest.rates[delivery.HOURHAND], rates, strict=True)]
    return Reached(contest.ratio(name), f"{name}: {statistics.median(rates):,.0f} runs/s", _rounds(ratios))


def _workflows(sizes: Sizes) -> Findings:
    with stage.target() as port:
        compared = workflows.compare(sizes.runs, rounds=sizes.rounds, url=f"http://127.0.0.1:{port}/")
    steps, plain = statistics.median(compared.steps), statistics.median(compared.plain)
    alone, theirs = statistics.median(compared.alone), statistics.median(compared.theirs_alone)
    together, others = statistics.median(compared.together), statistics.median(compared.theirs_together)
    return Findings(
        {
            "steps": Reached(
                median_ratio(compared.steps, compared.plain), f"{plain:,.0f} runs/s", f"{steps:,.0f} steps/s"
            ),
            "chain": Reached(
                median_ratio(compared.alone, compared.theirs_alone),
                f"asyncio: {number(theirs * 1000)} ms",
                f"{number(alone * 1000)} ms",
            ),
            "chains": Reached(
                median_ratio(compared.together, compared.theirs_together),
                f"asyncio: {number(others)} s",
                f"{number(together)} s",
            ),
        }
    )


def _mixed(sizes: Sizes) -> Findings:
    with slow.both_targets() as targets:
        comparison = slow.compare("mixed", slow.mixed, targets, rounds=sizes.rounds, runs=sizes.mixed)
    alone, among = statistics.median(comparison.alone), statistics.median(comparison.among)
    note = _note(f"{number(among)} s with slow calls", _rounds(comparison.ratios))
    return Findings({"mixed": Reached(comparison.ratio, f"without slow calls: {number(alone)} s", note)})


def _beside(sizes: Sizes) -> Findings:
    with slow.both_targets() as targets:
        comparison = slow.compare("beside", slow.beside, targets, rounds=sizes.rounds, runs=0)
    alone, among = statistics.median(comparison.alone) * 1000, statistics.median(comparison.among) * 1000
    note = _note(f"{number(among)} ms beside slow calls", _rounds(comparison.ratios))
    return Findings({"beside": Reached(comparison.ratio, f"without slow calls: {number(alone)} ms", note)})


def _memory(_: Sizes) -> Findings:
    with slow.both_targets() as targets:
        in_flight, peak = slow.memory(targets)
    note = f"{in_flight / 1e6:,.0f} MB with all in flight; the value is the maximum until they were recorded"
    return Findings({"memory": Reached(peak / 1e6, note=note)})


def _due(sizes: Sizes) -> Findings:
    bursts = clock.due_at_once(sizes.due, rounds=sizes.rounds, with_peer=True)
    alone, together = clock.Burst.median(bursts.alone), clock.Burst.median(bursts.together)
    seconds = statistics.median(bursts.theirs)
    at_its_rate = f"at its rate: {number(seconds)} s"
    theirs = f"django-celery-beat, {at_its_rate if math.isfinite(seconds) else f'none in {clock.PEER_SECONDS} s'}"
    busy = f"a beat alone, like the peer; with workers and the target on the same cores {number(together.sent)} s"
    cores = _note(f"{os.cpu_count()} workers", _rounds([burst.wire for burst in bursts.together]))
    return Findings(
        {"sent": Reached(alone.sent, theirs, busy), "wire": Reached(together.wire, note=cores)},
    )


def _lateness(sizes: Sizes) -> Findings:
    stream = {"per_second": sizes.per_second, "seconds": sizes.seconds, "rounds": sizes.rounds}
    spread_out = lateness.measured(**stream)
    together = lateness.measured(**stream, together=True).median
    p50, p99, most = spread_out.median
    note = f"spread over each second; if all are due at the same instant {number(together.p50)} ms"
    worst = f"maximum {number(most)} ms; if all are due at the same instant {number(together.p99)} ms"
    return Findings({"p50": Reached(p50, note=note), "p99": Reached(p99, note=worst)})


def _firing(sizes: Sizes) -> Findings:
    rates = firing.measured(sizes.due, rounds=sizes.rounds)
    note = _note(f"{number(rates.cold)} /s when each version is read for the first time", _rounds(rates.warm))
    return Findings({"fire_due": Reached(rates.median, note=note)})


def _idle(sizes: Sizes) -> Findings:
    idle = clock.none_due(sizes.idle)
    soon, latest = statistics.median(idle.added), max(idle.added)
    note = f"a job added then fired after {number(soon)} s, at most {number(latest)} s"
    beside = f"with {clock.FEW} schedules: {number(idle.few.elapsed)} ms"
    return Findings({"idle": Reached(idle.many.elapsed, beside, note)})


def _history(sizes: Sizes) -> Findings:
    pages = history.compared(sizes.short, sizes.long, rounds=sizes.pages)
    alike = [page for page in pages if page.few == page.many]
    first, worst = pages[0], max(alike, key=lambda page: page.ratio)
    most = f"{worst.query or 'no filter'} {worst.ratio:.2f} x"
    note = f"{number(first.after)} ms; of {len(alike)} filters with equal rows in both, the slowest: {most}"
    scanning = [page.query for page in pages if "runs_execution" in page.cost.scanned_whole]
    return Findings(
        {
            "page": Reached(first.ratio, f"the short history: {number(first.before)} ms", note),
            "scans": Reached(len(scanning), note=", ".join(scanning) or f"of {len(pages)}"),
        }
    )


def _rounds(values: list[float]) -> str:
    return f"{len(values)} rounds: {spread(values)}" if len(values) > 1 else ""


def _note(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


_MEASURES: dict[str, Callable[[Sizes], Findings]] = {
    "delivery": _delivery,
    "processes": _processes,
    "workflows": _workflows,
    "mixed": _mixed,
    "due": _due,
    "lateness": _lateness,
    "firing": _firing,
    "idle": _idle,
    "beside": _beside,
    "memory": _memory,
    "history": _history,
}
