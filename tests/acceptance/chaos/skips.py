"""Rules of skips: each has its cause at the time of its decision. Pure."""

import datetime
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.acceptance.chaos.excuses import (
    PROMPT_SECONDS,
    RECORDED_SECONDS,
    SLACK_SECONDS,
    disturbed,
    in_time_until,
    recorded_by,
)
from tests.acceptance.chaos.findings import Finding, Index, Invariant
from tests.acceptance.chaos.history import ONE_AT_A_TIME, Execution, History, Job, Period

#: The most occurrences of a job that `fire_all` fires at once.
_FIRE_ALL_MOST = 100
#: The lateness that `misfire: skip` accepts as on time.
_ON_TIME_SECONDS = 15.0
#: The share of a job's skips that a busy machine may cause.
_SELDOM = 0.1


@dataclass(frozen=True, slots=True)
class _Decided:
    """A skipped occurrence, its period, and the time span of the decision."""

    at: float
    period: Period
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class _Life:
    """An execution from its creation to the recording of its end; infinite: it never ended."""

    of: str
    since: float
    until: float


def without_cause(history: History, index: Index) -> Iterator[Finding]:
    for execution in history.executions:
        if (execution.status == "skipped") != bool(execution.skip_reason):
            said = f"is {execution.status} with the reason '{execution.skip_reason}'"
            yield Finding(Invariant.SKIPPED, execution.id, said)
    for job in history.jobs:
        rows = sorted(_scheduled(index, job), key=lambda one: one.scheduled_for or job.made_at)
        skips = [
            (execution, decided)
            for execution, following in itertools.zip_longest(rows, rows[1:])
            if execution.skip_reason
            for decided in _occurrences(history, job, execution, following.created_at if following else None)
        ]
        lives = _lives(history, index, job)
        for execution, decided in skips:
            if problem := _problem(history, job, lives, execution, decided):
                yield _finding(job, execution, decided, problem)
        yield from _overlapping_late(job, lives, skips)


def _finding(job: Job, execution: Execution, decided: _Decided, problem: str) -> Finding:
    at = datetime.datetime.fromtimestamp(decided.at, datetime.UTC)
    return Finding(Invariant.SKIPPED, job.slug, f"{at:%H:%M:%S} is {execution.skip_reason}, but {problem}")


def _overlapping_late(
    job: Job, lives: Sequence[_Life], skips: Sequence[tuple[Execution, _Decided]]
) -> Iterator[Finding]:
    """Report overlap skips shortly after an end, if there are more than a busy machine causes by recording it late."""
    overlaps = [one for one in skips if one[0].skip_reason == "overlap"]
    late = [
        _finding(job, execution, decided, f"what ran had ended {seconds:.1f} s before")
        for execution, decided in overlaps
        if RECORDED_SECONDS < (seconds := _idle_seconds(lives, execution, decided)) <= PROMPT_SECONDS
    ]
    if len(late) > max(1.0, _SELDOM * len(overlaps)):
        yield from late


def _scheduled(index: Index, job: Job) -> list[Execution]:
    return [one for one in index.of_job[job.id] if one.trigger == "schedule" and one.scheduled_for is not None]


def _occurrences(history: History, job: Job, execution: Execution, next_at: float | None) -> Iterator[_Decided]:
    """Yield the skips of one row: those due at its creation were decided then, later ones before the next row."""
    at, last = execution.scheduled_for, execution.last or execution.scheduled_for
    while at is not None and last is not None and at <= last:
        period = job.period_at(at)
        if period is None or period.every_seconds is None:
            return
        due, made_at = at.timestamp(), execution.created_at
        latest = in_time_until(history, due, calm=PROMPT_SECONDS)
        if at == execution.scheduled_for or due <= made_at + SLACK_SECONDS:
            yield _Decided(due, period, made_at, made_at)
        else:
            yield _Decided(due, period, due, max(due, min(latest, next_at) if next_at else latest))
        at += datetime.timedelta(seconds=period.every_seconds)


def _problem(history: History, job: Job, lives: Sequence[_Life], execution: Execution, decided: _Decided) -> str:
    if decided.until < decided.at - SLACK_SECONDS:
        return f"that was decided {decided.at - decided.until:.1f} s before it was due"
    match execution.skip_reason:
        case "overlap":
            return _nothing_ran(lives, execution, decided)
        case "missed":
            return _clock_was_there(history, decided)
        case "paused":
            return _not_left_by(history, job, decided, {"paused"})
        case "ended":
            return _not_left_by(history, job, decided, {"ended", "disabled"})
        case other:
            return f"nothing here causes a skip for '{other}'"


def _lives(history: History, index: Index, job: Job) -> list[_Life]:
    return [
        _Life(one.id, one.created_at, math.inf if one.finished_at is None else recorded_by(history, one.finished_at))
        for one in index.of_job[job.id]
        if one.status != "skipped"
    ]


def _nothing_ran(lives: Sequence[_Life], skipped: Execution, decided: _Decided) -> str:
    if decided.period.overlap not in ONE_AT_A_TIME:
        return f"its policy is {decided.period.overlap}"
    idle = _idle_seconds(lives, skipped, decided) > PROMPT_SECONDS
    return "nothing of that job was going on" if idle else ""


def _idle_seconds(lives: Sequence[_Life], skipped: Execution, decided: _Decided) -> float:
    """Return how long no execution of the job was live at the time of the decision."""
    ends = (life.until for life in lives if life.of != skipped.id and life.since <= decided.until + SLACK_SECONDS)
    return max(0.0, decided.since - max(ends, default=-math.inf))


def _clock_was_there(history: History, decided: _Decided) -> str:
    """Return why a missed occurrence should have fired: not too late, or nothing delayed beat. Empty: it should not."""
    period = decided.period
    late = decided.until - decided.at + SLACK_SECONDS
    grace = float(max(1, period.misfire_grace_seconds))
    window = min(grace, _ON_TIME_SECONDS) if period.misfire == "skip" else grace
    step = float(period.every_seconds or 0)
    passed_over = step * _FIRE_ALL_MOST if period.misfire == "fire_all" else step
    if late < min(window, passed_over):
        return f"it was decided {late:.1f} s after it at most, when misfire '{period.misfire}' still fires it"
    if window >= PROMPT_SECONDS and not disturbed(history, decided.at, decided.until):
        return "nothing held up the clock"
    return ""


def _not_left_by(history: History, job: Job, decided: _Decided, states: set[str]) -> str:
    """Return why a skip is explained neither by its period's state nor by the change to the next. Empty: it is."""
    period = decided.period
    following = job.following(period)
    if period.state in states:
        return ""
    if following is None or period.until is None or following.state not in states:
        return f"the job was {period.state}"
    until = period.until.timestamp()
    if in_time_until(history, decided.at, calm=PROMPT_SECONDS) < until:
        return f"it was due {until - decided.at:.1f} s before that"
    return "" if decided.until >= until - SLACK_SECONDS else "it was decided before that"
