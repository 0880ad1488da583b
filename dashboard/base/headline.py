"""The headline of the start page: the most urgent problem of the system or of its jobs, if any."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.words import duration_words
from runs import restore_guard
from runs.monitoring.problem_jobs import LATE, MAX_OF_KIND, ProblemJob, ProblemKind
from runs.monitoring.system import KnownProcess

_LATE_SECONDS = LATE.total_seconds()
_START_BEAT = (
    "Start one: celery -A scheduler_project beat. It accounts for the occurrences missed until then, by each job's "
    "misfire policy."
)
_START_WORKER = (
    "Start one: celery -A scheduler_project worker --queues deliveries,chores. Due executions are queued until then."
)
_OVERLOADED = "Add workers, or raise HOURHAND_MAX_IN_FLIGHT."
_NAMED = 3
_DIFFERS = (
    "The settings are named below. Correct them and restart; if theirs are the correct ones, run manage.py "
    "settings_changed there."
)
_BEHIND = "Check how long the ticks of the beats below take, and the load of PostgreSQL."


@dataclass(frozen=True, slots=True)
class Headline:
    """The problem, and what to do about it."""

    tone: str
    icon: str
    text: str
    advice: str = ""


def headline(
    processes: Sequence[KnownProcess],
    *,
    is_held: bool,
    due_lag_seconds: float,
    claim_lag_seconds: float,
    troubled: Sequence[ProblemJob],
) -> Headline:
    """Choose the most urgent problem: a system that does not fire or deliver comes before any job."""
    if is_held:
        text = "This database was restored from a dump: nothing fires."
        return Headline("bad", "history", text, restore_guard.ADVICE)
    beats, workers = (_alive(processes, kind) for kind in ("beat", "worker"))
    if not beats:
        return Headline("bad", "heart_broken", "No beat is running: nothing fires.", _START_BEAT)
    if not workers:
        return Headline("bad", "heart_broken", "No worker is running: nothing is delivered.", _START_WORKER)
    if differing := [process.name for process in (*beats, *workers) if process.differs]:
        verb = "take" if len(differing) > 1 else "takes"
        text = f"Settings differ: {', '.join(differing[:_NAMED])} {verb} no work."
        return Headline("bad", "settings_alert", text, _DIFFERS)
    if due_lag_seconds > _LATE_SECONDS:
        return Headline("bad", "timer", f"The clock is {duration_words(due_lag_seconds * 1000)} behind.", _BEHIND)
    if all(worker.draining for worker in workers):
        return Headline("warn", "water_drop", "All workers are draining: no new work starts.", _START_WORKER)
    if claim_lag_seconds > _LATE_SECONDS:
        lag = duration_words(claim_lag_seconds * 1000)
        return Headline("warn", "timer", f"Due executions have waited {lag} for a worker.", _OVERLOADED)
    problems = [each for each in troubled if each.kinds != (ProblemKind.PAUSED,)]
    if problems:
        count = f"{len(problems)} or more" if len(problems) >= MAX_OF_KIND else str(len(problems))
        text = "1 job has" if len(problems) == 1 else f"{count} jobs have"
        return Headline("warn", "warning", f"{text} problems.")
    running = f"{_counted(len(beats), 'beat')} and {_counted(len(workers), 'worker')} running"
    return Headline("ok", "check_circle", "All systems normal.", f"{running}; no job is late or failing.")


def _alive(processes: Sequence[KnownProcess], kind: str) -> list[KnownProcess]:
    return [process for process in processes if process.kind == kind and process.is_alive]


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" + ("" if count == 1 else "s")
