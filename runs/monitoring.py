"""What the house looks like at this moment, for monitoring. Each query's cost is bounded, whatever the tables hold."""

import datetime
from dataclasses import dataclass
from typing import Any

from runs import heartbeats, tallies

#: Rows of a kind are counted up to here.
COUNTED = 100_000
_LOOKED_AT = 10_000

# The longest due is the first entry of a partial index.
_DUE = """
    SELECT coalesce(extract(epoch FROM clock_timestamp() - min(next_fire_at)), 0)::float8
      FROM jobs_jobenvironment
     WHERE enabled AND next_fire_at IS NOT NULL AND next_fire_at <= clock_timestamp()
"""
# Of the longest due executions: what runs is not waiting, and jobs with a limit wait on purpose.
_UNCLAIMED = """
    SELECT coalesce(extract(epoch FROM clock_timestamp() - min(next_attempt_at)), 0)::float8
      FROM (SELECT next_attempt_at, status, concurrency FROM runs_execution
             WHERE finished_at IS NULL AND next_attempt_at <= clock_timestamp()
             ORDER BY next_attempt_at LIMIT %s) AS due
     WHERE status = 'pending' AND concurrency IS NULL
"""
_LIVE = """
    SELECT status, count(*) FROM (SELECT status FROM runs_execution WHERE finished_at IS NULL LIMIT %s) AS live
     GROUP BY status
"""
_BEATS = """
    SELECT count(*) FILTER (WHERE age <= %(alive)s), min(age), max(tick_ms) FILTER (WHERE age <= %(alive)s)
      FROM (SELECT extract(epoch FROM clock_timestamp() - seen_at)::float8 AS age, tick_ms
              FROM runs_heartbeat WHERE kind = 'beat') AS beat
"""
_WORKERS = """
    SELECT count(*), count(*) FILTER (WHERE draining), coalesce(sum(in_flight), 0), coalesce(sum(waiting), 0),
           coalesce(sum(capacity), 0)
      FROM runs_heartbeat
     WHERE kind = 'worker' AND seen_at >= clock_timestamp() - %(alive)s * interval '1 second'
"""
_PROCESSES = """
    SELECT kind, name, extract(epoch FROM clock_timestamp() - seen_at)::float8, started_at, tick_ms, sends_chores,
           in_flight, waiting, capacity, draining
      FROM runs_heartbeat ORDER BY kind, name, seen_at DESC LIMIT %s
"""
_MOST_PROCESSES = 500

# Since the last round of retention ended, and whether one goes on. There are a hundred rounds at most.
_RETENTION = """
    SELECT extract(epoch FROM clock_timestamp() - max(finished_at))::float8, count(*) FILTER (WHERE finished_at IS NULL)
      FROM runs_pruninground
"""
_PURGED = "SELECT count(*) FROM jobs_job WHERE purged_at IS NOT NULL"

#: The queries of tables that grow, with their parameters: each stays within a stretch of a partial index.
BOUNDED: list[tuple[str, list[int]]] = [(_DUE, []), (_UNCLAIMED, [_LOOKED_AT]), (_LIVE, [COUNTED]), (_PURGED, [])]


@dataclass(frozen=True, slots=True)
class Beats:
    """How many are alive, seconds since any of them ticked, and their slowest last tick. None where none is known."""

    alive: int
    last_tick_age_seconds: float | None
    slowest_tick_ms: float | None


@dataclass(frozen=True, slots=True)
class Workers:
    """Those alive, and what they do together."""

    alive: int
    draining: int
    in_flight: int
    waiting: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Retention:
    """Seconds since the last round ended, None before the first; whether one goes on; purged jobs not removed yet."""

    age_seconds: float | None
    under_way: bool
    jobs_to_remove: int


@dataclass(frozen=True, slots=True)
class House:
    """All that Postgres tells. Lags are seconds, 0 when nothing waits; `live` are executions by status."""

    due_lag_seconds: float
    claim_lag_seconds: float
    live: dict[str, int]
    beats: Beats
    workers: Workers
    retention: Retention
    totals: dict[str, int]


@dataclass(frozen=True, slots=True)
class KnownProcess:
    """What one beat or worker told last, and how long ago. What the other kind tells is None."""

    kind: str
    name: str
    age_seconds: float
    started_at: datetime.datetime
    tick_ms: float | None
    sends_chores: bool | None
    in_flight: int | None
    waiting: int | None
    capacity: int | None
    draining: bool | None

    @property
    def is_alive(self) -> bool:
        return self.age_seconds <= heartbeats.ALIVE_SECONDS


def due_lag_seconds(cursor: Any) -> float:
    """How long the longest due occurrence waits to be fired; 0 when none does."""
    found: float = _row(cursor, _DUE, [])[0]
    return found


def processes(cursor: Any) -> list[KnownProcess]:
    """The beats and workers that live, and the silent ones that nobody of the same name has come after."""
    cursor.execute(_PROCESSES, [_MOST_PROCESSES])
    told = [KnownProcess(*row) for row in cursor.fetchall()]
    living = {(one.kind, one.name) for one in told if one.is_alive}
    return [one for one in told if one.is_alive or (one.kind, one.name) not in living]


def lag(cursor: Any) -> float:
    """How long what is due waits, in seconds: for the clock, or for a worker."""
    unclaimed: float = _row(cursor, _UNCLAIMED, [_LOOKED_AT])[0]
    return max(due_lag_seconds(cursor), unclaimed)


def look(cursor: Any) -> House:
    """Ask Postgres."""
    alive = {"alive": heartbeats.ALIVE_SECONDS}
    return House(
        due_lag_seconds=due_lag_seconds(cursor),
        claim_lag_seconds=_row(cursor, _UNCLAIMED, [_LOOKED_AT])[0],
        live=_live(cursor),
        beats=Beats(*_row(cursor, _BEATS, alive)),
        workers=Workers(*_row(cursor, _WORKERS, alive)),
        retention=_retention(cursor),
        totals=tallies.totals(cursor),
    )


def _retention(cursor: Any) -> Retention:
    age_seconds, under_way = _row(cursor, _RETENTION, [])
    return Retention(age_seconds, bool(under_way), _row(cursor, _PURGED, [])[0])


def _live(cursor: Any) -> dict[str, int]:
    cursor.execute(_LIVE, [COUNTED])
    return dict(cursor.fetchall())


def _row(cursor: Any, query: str, parameters: Any) -> tuple[Any, ...]:
    cursor.execute(query, parameters)
    row: tuple[Any, ...] = cursor.fetchone()
    return row
