"""The card of beats, workers and the clock on the start page."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from core.words import Appearance, duration_words
from dashboard.base.chips import chip
from runs.monitoring.system import KnownProcess

_RUNNING = Appearance("Running", "ok", "favorite")
_NO_HEARTBEAT = Appearance("No heartbeat", "bad", "heart_broken")
_DIFFERS = Appearance("Takes no work", "bad", "settings_alert")
_DRAINING = Appearance("Draining", "warn", "water_drop")


@dataclass(frozen=True, slots=True)
class SystemSummary:
    """`is_held`: the database is a restored copy in which nothing fires, see `runs.restore_guard`."""

    processes: Sequence[KnownProcess]
    due_lag_seconds: float
    is_held: bool

    @property
    def alive_beats(self) -> int:
        return self._alive("beat")

    @property
    def alive_workers(self) -> int:
        return self._alive("worker")

    @property
    def rows(self) -> list[tuple[KnownProcess, SafeString, str]]:
        """Each process with its state and its activity."""
        return [(process, chip(_state(process)), activity(process)) for process in self.processes]

    def _alive(self, kind: str) -> int:
        return sum(process.kind == kind and process.is_alive for process in self.processes)


def activity(process: KnownProcess) -> str:
    if process.differs:
        return f"idle: its settings differ from the stored ones: {process.differs}"
    if process.kind == "beat":
        tick = f"tick takes {duration_words(process.tick_ms)}"
        return f"{tick}, schedules maintenance tasks" if process.sends_chores else tick
    in_flight = f"{process.in_flight} of {process.capacity} in flight"
    return f"{in_flight}, {process.waiting} waiting" if process.waiting else in_flight


def _state(process: KnownProcess) -> Appearance:
    if not process.is_alive:
        return _NO_HEARTBEAT
    if process.differs:
        return _DIFFERS
    return _DRAINING if process.draining else _RUNNING
