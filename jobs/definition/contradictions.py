"""Warnings about settings of a job that work against each other. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.definition.contract import Overlap
from jobs.schedule import Schedule
from jobs.schedule.misfire import FIRE_ALL_LIMIT, ON_TIME, Misfire

#: The fields that are checked, besides the timing.
FIELDS = ("jitter_seconds", "overlap", "misfire", "misfire_grace_seconds", "concurrency")
_CAUGHT_UP = {
    Overlap.SKIP: "overlap skip lets one of them run and skips the others",
    Overlap.QUEUE: "overlap queue lets one run and one wait, and skips the others",
    Overlap.CANCEL_RUNNING: "overlap cancel_running cancels all but the latest of them",
}


def contradictions(schedule: Schedule | None, policies: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a sentence for each contradiction. `policies` holds FIELDS."""
    if schedule is None or schedule.type == "one_off":
        return ()
    return (*_about_jitter(schedule, policies), *_about_misfire(schedule, policies), *_about_concurrency(policies))


def _about_jitter(schedule: Schedule, policies: Mapping[str, Any]) -> Iterator[str]:
    jitter = policies["jitter_seconds"]
    if jitter and schedule.closer_than(jitter + 1):
        yield (
            f"jitter_seconds {jitter} is not shorter than the time between two firings: they can start in another "
            "order, or several at once. Keep it below that time."
        )


def _about_misfire(schedule: Schedule, policies: Mapping[str, Any]) -> Iterator[str]:
    misfire, overlap = Misfire(policies["misfire"]), Overlap(policies["overlap"])
    grace = policies["misfire_grace_seconds"]
    if misfire is Misfire.FIRE_ALL and overlap in _CAUGHT_UP:
        yield (
            f"misfire fire_all starts all missed occurrences at once, and {_CAUGHT_UP[overlap]}. Choose misfire "
            "fire_once, or overlap allow."
        )
    if misfire is Misfire.FIRE_ALL and schedule.closer_than(max(grace // FIRE_ALL_LIMIT, 1)):
        yield (
            f"misfire fire_all fires at most the latest {FIRE_ALL_LIMIT}: more occurrences can be due within the grace "
            f"of {grace} s, and the others are counted as missed."
        )
    if misfire is not Misfire.SKIP and grace < ON_TIME.total_seconds():
        yield (
            f"With misfire_grace_seconds {grace}, occurrences that are due during a restart of the clock do not fire, "
            f"although misfire is {misfire.value}."
        )


def _about_concurrency(policies: Mapping[str, Any]) -> Iterator[str]:
    concurrency, overlap = policies["concurrency"], Overlap(policies["overlap"])
    if concurrency is not None and concurrency > 1 and overlap is not Overlap.ALLOW:
        yield (
            f"With overlap {overlap.value} at most one scheduled execution runs in an environment: concurrency "
            f"{concurrency} only matters across environments and for manual executions."
        )
