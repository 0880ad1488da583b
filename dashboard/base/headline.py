"""The one sentence at the top of the start page: what is wrong with the house, or with its jobs, if anything."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.words import duration_words
from runs import restore_guard
from runs.monitoring.problem_jobs import LATE, SHOWN, ProblemKind, Troubled
from runs.monitoring.system import KnownProcess

_LATE_SECONDS = LATE.total_seconds()
_START_BEAT = "Start one: celery -A scheduler_project beat. Whatever is missed is accounted for once one is back."
_START_WORKER = "Start one: celery -A scheduler_project worker --queues deliveries,chores. What is due waits for it."
_OVERLOADED = "More workers, or more places in each (HOURHAND_MAX_IN_FLIGHT), take more at once."
_NAMED = 3
_DIFFERS = (
    "Below it says which. Put them right and restart; where theirs are the right ones, run manage.py settings_changed "
    "there."
)
_BEHIND = "Look at the beats below: how long their ticks take, and whether PostgreSQL keeps up."


@dataclass(frozen=True, slots=True)
class Headline:
    """What to know first, and what to do about it."""

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
    troubled: Sequence[Troubled],
) -> Headline:
    """What presses most: a house that does not fire or deliver comes before any job."""
    if is_held:
        what = "This database was restored from a dump: nothing fires."
        return Headline("bad", "history", what, restore_guard.ADVICE)
    beats, workers = (_alive(processes, kind) for kind in ("beat", "worker"))
    if not beats:
        return Headline("bad", "heart_broken", "No beat is alive: nothing is fired.", _START_BEAT)
    if not workers:
        return Headline("bad", "heart_broken", "No worker is alive: nothing is delivered.", _START_WORKER)
    if differing := [process.name for process in (*beats, *workers) if process.differs]:
        told = f"Settings differ: {', '.join(differing[:_NAMED])} {'take' if len(differing) > 1 else 'takes'} no work."
        return Headline("bad", "settings_alert", told, _DIFFERS)
    if due_lag_seconds > _LATE_SECONDS:
        return Headline("bad", "timer", f"The clock is {duration_words(due_lag_seconds * 1000)} behind.", _BEHIND)
    if all(worker.draining for worker in workers):
        return Headline("warn", "water_drop", "All workers are draining: they take nothing new.", _START_WORKER)
    if claim_lag_seconds > _LATE_SECONDS:
        lag = duration_words(claim_lag_seconds * 1000)
        return Headline("warn", "timer", f"What is due has waited {lag} for a worker.", _OVERLOADED)
    pressing = [one for one in troubled if one.kinds != (ProblemKind.PAUSED,)]
    if pressing:
        count = f"{len(pressing)} or more" if len(pressing) >= SHOWN else str(len(pressing))
        told = "One job is" if len(pressing) == 1 else f"{count} jobs are"
        return Headline("warn", "warning", f"{told} in trouble.")
    alive = f"{_counted(len(beats), 'beat')} and {_counted(len(workers), 'worker')} alive"
    return Headline("ok", "check_circle", "All is well.", f"{alive}; nothing is late, nothing fails.")


def _alive(processes: Sequence[KnownProcess], kind: str) -> list[KnownProcess]:
    return [process for process in processes if process.kind == kind and process.is_alive]


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" + ("" if count == 1 else "s")
