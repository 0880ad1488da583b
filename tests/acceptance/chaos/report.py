"""The report of a storm: its faults, the outcome of planned occurrences, and the verdict."""

import collections
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.acceptance.chaos.history import History
from tests.acceptance.chaos.house import House
from tests.acceptance.chaos.oracle import Finding, Invariant, doubled, judge
from tests.acceptance.chaos.punctuality import ALLOWED_SECONDS, LATE_SECONDS, Recovery
from tests.acceptance.chaos.storm import Storm, Struck

_SHOWN = 10
_MARKS = {True: "holds ", False: "BROKEN"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check and its violations."""

    rule: str
    against: Sequence[str]


def verdicts(storm: Storm, house: House) -> list[Verdict]:
    """Return all checks of the design and this storm with their violations."""
    findings: dict[Invariant, list[Finding]] = collections.defaultdict(list)
    for finding in judge(storm.history):
        findings[finding.invariant].append(finding)
    found = [Verdict(rule.value, [f"{one.subject}: {one.detail}" for one in findings[rule]]) for rule in Invariant]
    slow = [_told(struck, seen) for struck, seen in storm.blows if not _in_time(seen)]
    found.append(Verdict(f"back under {LATE_SECONDS:g} s within {ALLOWED_SECONDS:g} s of each fault", slow))
    absent = [f"a process is missing after {struck.blow.name}" for struck, _ in storm.blows if not struck.whole]
    found.append(Verdict("no process restarted by hand", absent))
    found.append(Verdict("no process ended that nobody struck", house.died_alone()))
    found.append(Verdict("everything came to rest", [] if storm.came_to_rest else ["something still goes on"]))
    return found


def _in_time(seen: Recovery) -> bool:
    return seen.seconds is not None and seen.seconds <= ALLOWED_SECONDS


def report(storm: Storm, house: House, found: Sequence[Verdict], *, seed: int) -> str:
    lines = [
        f"Hourhand under chaos, seed {seed}, worker processes: {house.workers}",
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.release()}",
        "",
        *_timeline(storm),
        "",
        *_sums(storm.history),
        *_supervision(storm, house),
        "",
        *(line for verdict in found for line in _lines_of(verdict)),
        "5 cost stays flat: no matter of faults; bench/ and the tests of query plans hold it",
        "",
        "all of it holds" if not any(verdict.against for verdict in found) else "BROKEN: see above",
    ]
    return "\n".join(lines) + "\n"


def _lines_of(verdict: Verdict) -> Iterator[str]:
    yield f"{_MARKS[not verdict.against]} {verdict.rule}"
    for against in verdict.against[:_SHOWN]:
        yield f"         {against}"
    if len(verdict.against) > _SHOWN:
        yield f"         and {len(verdict.against) - _SHOWN} more"


def _timeline(storm: Storm) -> Iterator[str]:
    yield "   at    lasts   back    worst  uncalled  fault"
    for struck, seen in storm.blows:
        lasted = struck.healed_at - struck.struck_at
        yield f"{struck.struck_at - storm.began_at:5.0f} s {lasted:5.1f} s {_told(struck, seen)}"


def _told(struck: Struck, seen: Recovery) -> str:
    back = "never" if seen.seconds is None else f"{seen.seconds} s"
    missed = f" (not reached: {', '.join(struck.missed)})" if struck.missed else ""
    return f"{back:>6} {seen.worst_seconds:6.1f} s {seen.missing:9}  {struck.blow.name}{missed}"


def _sums(history: History) -> Iterator[str]:
    scheduled = [one for one in history.executions if one.trigger == "schedule"]
    planned = sum(1 for job in history.jobs for _ in job.planned())
    fired = sum(one.occurrences for one in scheduled if not one.skip_reason)
    skipped: collections.Counter[str] = collections.Counter()
    for one in scheduled:
        if one.skip_reason:
            skipped[one.skip_reason] += one.occurrences
    ended = collections.Counter(one.status for one in history.executions)
    lost = sum(1 for run in history.runs if run.failure_reason == "worker_lost")
    yield f"planned  {planned:,} occurrences: {fired:,} fired, {sum(skipped.values()):,} skipped ({_listed(skipped)})"
    yield f"ended    {len(history.executions):,} executions ({_listed(ended)}), {len(history.runs):,} runs"
    yield f"seen     {len(history.exchanges):,} requests at the target"
    yield f"twice    {len(doubled(history))} executions reached the target again"
    yield f"lost     {lost} runs with their worker, each tried again by its policy"


def _listed(counts: "collections.Counter[str]") -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none"


def _supervision(storm: Storm, house: House) -> Iterator[str]:
    told = house.installation.output.read_text(errors="replace")
    slowest = max((seen.seconds or 0 for _, seen in storm.blows), default=0)
    yield f"slowest  {slowest} s until on time again"
    yield f"leases   {house.longest_overdue_seconds:.1f} s past their end at most, faults in the way included"
    yield (
        f"restarts {told.count('restarting it')} by the supervisor of web, beats and workers, 0 by hand; "
        f"{house.deploys} deploys"
    )
