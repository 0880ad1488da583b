"""The processes of the house, as the start page shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from core.words import Appearance, duration_words
from dashboard.base.chips import chip
from runs.monitoring.system import KnownProcess

_ALIVE = Appearance("Alive", "ok", "favorite")
_SILENT = Appearance("Silent", "bad", "heart_broken")
_DIFFERS = Appearance("Takes no work", "bad", "settings_alert")
_DRAINING = Appearance("Draining", "warn", "water_drop")


@dataclass(frozen=True, slots=True)
class SystemSummary:
    """Who is there to do the work, how far the clock is behind, and whether it is held: `runs.restore_guard`."""

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
        """Each process, how it is, and what it does."""
        return [(one, chip(_look(one)), doing(one)) for one in self.processes]

    def _alive(self, kind: str) -> int:
        return sum(one.kind == kind and one.is_alive for one in self.processes)


def doing(process: KnownProcess) -> str:
    if process.differs:
        return f"waits, for its settings differ from the house's: {process.differs}"
    if process.kind == "beat":
        ticks = f"ticks in {duration_words(process.tick_ms)}"
        return f"{ticks}, sends the chores" if process.sends_chores else ticks
    under_way = f"{process.in_flight} of {process.capacity} in flight"
    return f"{under_way}, {process.waiting} waiting" if process.waiting else under_way


def _look(process: KnownProcess) -> Appearance:
    if not process.is_alive:
        return _SILENT
    if process.differs:
        return _DIFFERS
    return _DRAINING if process.draining else _ALIVE
