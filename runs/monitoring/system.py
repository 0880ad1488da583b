"""The state of the installation, for monitoring. The cost of each query is bounded, however large the tables."""

import datetime
from dataclasses import dataclass
from typing import Any, NamedTuple

from accounts import usage
from runs import counters, restore_guard
from runs.monitoring import heartbeats

#: Rows are counted up to this number.
COUNTED = 100_000
_MAX_READ = 10_000

# The longest due is the first entry of a partial index. Jobs that can't be read don't count: the clock is not late.
_DUE = """
    SELECT coalesce(extract(epoch FROM clock_timestamp() - min(next_fire_at)), 0)::float8
      FROM jobs_jobenvironment
     WHERE enabled AND next_fire_at IS NOT NULL AND next_fire_at <= clock_timestamp() AND NOT EXISTS (
           SELECT FROM jobs_unreadableversion AS mark WHERE mark.job_environment_id = jobs_jobenvironment.id)
"""
# Of the longest due executions: running ones don't wait, and those of jobs with a limit wait on purpose.
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
# The partial index of waits has these rows only.
_WAITING = """
    SELECT wait_kind, count(*)
      FROM (SELECT wait_kind FROM runs_execution WHERE wait_expires_at IS NOT NULL LIMIT %s) AS waiting
     GROUP BY wait_kind
"""
# Each process with the age of its last report. One that stopped in order has no row.
_HEARTBEATS = """
    SELECT *, extract(epoch FROM clock_timestamp() - seen_at)::float8 AS age FROM runs_heartbeat
"""
# A process is lost if it fell silent within the hour and no other of its name has started since.
_LOST = f"""
    SELECT count(DISTINCT name) FROM ({_HEARTBEATS}) AS silent
     WHERE kind = %(kind)s AND age > %(alive)s AND age <= %(lost)s AND name NOT IN (
           SELECT name FROM ({_HEARTBEATS}) AS living WHERE kind = %(kind)s AND age <= %(alive)s)
"""  # noqa: S608 - our own text
_BEATS = f"""
    SELECT count(*) FILTER (WHERE age <= %(alive)s), ({_LOST}), min(age),
           max(tick_ms) FILTER (WHERE age <= %(alive)s)
      FROM ({_HEARTBEATS}) AS beat WHERE kind = %(kind)s
"""  # noqa: S608
_WORKERS = f"""
    SELECT count(*) FILTER (WHERE alive), ({_LOST}), min(age), count(*) FILTER (WHERE alive AND draining),
           coalesce(sum(in_flight) FILTER (WHERE alive), 0), coalesce(sum(waiting) FILTER (WHERE alive), 0),
           coalesce(sum(capacity) FILTER (WHERE alive), 0)
      FROM (SELECT *, age <= %(alive)s AS alive FROM ({_HEARTBEATS}) AS heartbeat) AS worker WHERE kind = %(kind)s
"""  # noqa: S608
_CLOCKS = f"""
    SELECT max(abs(clock_ahead_seconds)) FROM ({_HEARTBEATS}) AS heartbeat WHERE age <= %(alive)s
"""  # noqa: S608
_PROCESSES = """
    SELECT kind, name, extract(epoch FROM clock_timestamp() - seen_at)::float8, started_at, tick_ms, sends_chores,
           in_flight, waiting, capacity, draining, clock_ahead_seconds, differs, release
      FROM runs_heartbeat ORDER BY kind, name, seen_at DESC LIMIT %s
"""
_MAX_PROCESSES = 500
_LOST_SECONDS = 3600.0

_WEBHOOKS_PENDING = """
    SELECT count(*) FROM (SELECT FROM runs_webhookdelivery WHERE status = 'received' LIMIT %s) AS received
"""
# The longest due is the first entry of a partial index.
_CALLBACKS_PENDING = """
    SELECT count(*), greatest(0, coalesce(extract(epoch FROM clock_timestamp() - min(next_attempt_at)), 0))::float8
      FROM (SELECT next_attempt_at FROM runs_callback WHERE status = 'pending' ORDER BY next_attempt_at LIMIT %s)
        AS pending
"""
# The table has at most a hundred rounds.
_LAST_ROUND = """
    SELECT extract(epoch FROM clock_timestamp() - finished_at)::float8,
           extract(epoch FROM finished_at - started_at)::float8, executions, runs
      FROM runs_pruninground WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1
"""
_UNDER_WAY = "SELECT EXISTS (SELECT 1 FROM runs_pruninground WHERE finished_at IS NULL)"
_UNREADABLE = "SELECT count(DISTINCT job_environment_id) FROM jobs_unreadableversion"
_PURGED = "SELECT count(*) FROM jobs_job WHERE purged_at IS NOT NULL"

#: The queries of tables that grow, with their parameters: each reads a bounded range of a partial index.
BOUNDED: list[tuple[str, list[int]]] = [
    (_DUE, []),
    (_UNCLAIMED, [_MAX_READ]),
    (_LIVE, [COUNTED]),
    (_WAITING, [COUNTED]),
    (_PURGED, []),
    (_CALLBACKS_PENDING, [COUNTED]),
]


class Lags(NamedTuple):
    """How long the longest due occurrence waits to be fired, and the longest due execution for a worker, in seconds."""

    due_seconds: float
    claim_seconds: float


@dataclass(frozen=True, slots=True)
class Beats:
    """How many are alive, how many were lost within the hour, the age of the latest tick, and the slowest last tick.

    None without any.
    """

    alive: int
    lost: int
    last_tick_age_seconds: float | None
    slowest_tick_ms: float | None


@dataclass(frozen=True, slots=True)
class Workers:
    """How many are alive, how many were lost within the hour, the age of the latest heartbeat, and their totals."""

    alive: int
    lost: int
    last_heartbeat_age_seconds: float | None
    draining: int
    in_flight: int
    waiting: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Round:
    """The last round of retention: its age and its duration in seconds, and the rows that it removed."""

    age_seconds: float
    seconds: float
    executions: int
    runs: int


@dataclass(frozen=True, slots=True)
class Retention:
    """The last round (None before the first ends), whether one is under way, and purged jobs not yet removed."""

    last: Round | None
    under_way: bool
    jobs_to_remove: int


class PendingCallbacks(NamedTuple):
    """How many callbacks are pending, and how long the longest due has waited for a worker, in seconds."""

    pending: int
    lag_seconds: float


@dataclass(frozen=True, slots=True)
class SystemState:
    """What PostgreSQL knows. `live` are executions by status, `waiting` those that wait, by kind.

    `held`: nothing fires (`runs.restore_guard`).

    `unreadable` counts job-environments that wait because a process can't read their version
    (`runs.attempts.unreadable`). `clock_skew_seconds` is the largest distance of a beat's or worker's clock from the
    database's.
    """

    held: bool
    unreadable: int
    lags: Lags
    live: dict[str, int]
    waiting: dict[str, int]
    beats: Beats
    workers: Workers
    clock_skew_seconds: float | None
    quota: usage.QuotaPressure
    retention: Retention
    webhooks_pending: int
    callbacks: PendingCallbacks
    totals: dict[str, int]


@dataclass(frozen=True, slots=True)
class KnownProcess:
    """The last report of a beat or worker, and its age. The fields of the other kind are None."""

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
    clock_ahead_seconds: float | None
    differs: str = ""
    release: str = ""

    @property
    def is_alive(self) -> bool:
        return self.age_seconds <= heartbeats.ALIVE_SECONDS


def due_lag_seconds(cursor: Any) -> float:
    """How long the longest due occurrence waits to be fired. 0 without any."""
    seconds: float = _row(cursor, _DUE, [])[0]
    return seconds


def processes(cursor: Any) -> list[KnownProcess]:
    """The beats and workers that are alive, and the silent ones without a living one of the same name."""
    cursor.execute(_PROCESSES, [_MAX_PROCESSES])
    rows = [KnownProcess(*row) for row in cursor.fetchall()]
    living = {(process.kind, process.name) for process in rows if process.is_alive}
    return [process for process in rows if process.is_alive or (process.kind, process.name) not in living]


def lags(cursor: Any) -> Lags:
    """How long due rows wait: for the clock, and for a worker."""
    return Lags(due_lag_seconds(cursor), _row(cursor, _UNCLAIMED, [_MAX_READ])[0])


def lag(cursor: Any) -> float:
    """The longer of the two, in seconds."""
    return max(lags(cursor))


def read_state(cursor: Any) -> SystemState:
    """Read it all."""
    beat, worker = (
        {"kind": kind, "alive": heartbeats.ALIVE_SECONDS, "lost": _LOST_SECONDS} for kind in ("beat", "worker")
    )
    return SystemState(
        held=restore_guard.is_copy(cursor),
        unreadable=_row(cursor, _UNREADABLE, [])[0],
        lags=lags(cursor),
        live=_counts(cursor, _LIVE),
        waiting=_counts(cursor, _WAITING),
        beats=Beats(*_row(cursor, _BEATS, beat)),
        workers=Workers(*_row(cursor, _WORKERS, worker)),
        clock_skew_seconds=_row(cursor, _CLOCKS, beat)[0],
        quota=usage.quota_pressure(cursor, at=_row(cursor, "SELECT clock_timestamp()", [])[0]),
        retention=retention(cursor),
        webhooks_pending=_row(cursor, _WEBHOOKS_PENDING, [COUNTED])[0],
        callbacks=pending_callbacks(cursor),
        totals=counters.totals(cursor),
    )


def pending_callbacks(cursor: Any) -> PendingCallbacks:
    """The callbacks that are not delivered or given up."""
    return PendingCallbacks(*_row(cursor, _CALLBACKS_PENDING, [COUNTED]))


def retention(cursor: Any) -> Retention:
    """The last round, and what is under way."""
    cursor.execute(_LAST_ROUND)
    last = cursor.fetchone()
    return Retention(Round(*last) if last else None, _row(cursor, _UNDER_WAY, [])[0], _row(cursor, _PURGED, [])[0])


def _counts(cursor: Any, query: str) -> dict[str, int]:
    cursor.execute(query, [COUNTED])
    return dict(cursor.fetchall())


def _row(cursor: Any, query: str, parameters: Any) -> tuple[Any, ...]:
    cursor.execute(query, parameters)
    row: tuple[Any, ...] = cursor.fetchone()
    return row
