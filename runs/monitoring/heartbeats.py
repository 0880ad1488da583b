"""Heartbeats: what beats and workers report every few seconds, so that others can see whether they are alive.

A process that stops in order deletes its row; the row of one that was killed shows for a while when it was last seen.
"""

import secrets
import socket
import time
from dataclasses import dataclass
from typing import Any

#: A process reports this often.
PULSE_SECONDS = 5.0
#: A process that was silent for longer is dead, stopped, or without its database.
ALIVE_SECONDS = 30.0
_KEPT_SECONDS = 24 * 3600
_REPORT = """
    INSERT INTO runs_heartbeat AS row (id, kind, name, started_at, seen_at, clock_ahead_seconds, tick_ms, sends_chores,
                                       in_flight, waiting, capacity, draining, differs, release)
    VALUES (%(id)s, %(kind)s, %(name)s, clock_timestamp(), clock_timestamp(),
            %(clock)s - extract(epoch FROM clock_timestamp())::float8, %(tick_ms)s, %(sends_chores)s,
            %(in_flight)s, %(waiting)s, %(capacity)s, %(draining)s, %(differs)s, %(release)s)
        ON CONFLICT (id) DO UPDATE
       SET seen_at = clock_timestamp(), clock_ahead_seconds = excluded.clock_ahead_seconds,
           tick_ms = excluded.tick_ms, sends_chores = excluded.sends_chores, in_flight = excluded.in_flight,
           waiting = excluded.waiting, capacity = excluded.capacity, draining = excluded.draining,
           differs = excluded.differs
"""
_TWINS = """
    SELECT count(*) FROM runs_heartbeat
     WHERE id <> %s AND kind = %s AND name = %s AND seen_at > clock_timestamp() - %s * interval '1 second'
       AND seen_at > (SELECT started_at FROM runs_heartbeat WHERE id = %s)
"""


@dataclass(frozen=True, slots=True)
class Process:
    """The process that reports: `id` is unique to it, `name` is for people."""

    id: str
    kind: str
    name: str

    @classmethod
    def beat(cls) -> "Process":
        name = f"beat@{socket.gethostname()}"
        return cls(f"{name}/{secrets.token_hex(8)}", "beat", name)

    @classmethod
    def worker(cls, name: str) -> "Process":
        return cls(f"{name}/{secrets.token_hex(8)}", "worker", name)


@dataclass(frozen=True, slots=True)
class BeatReport:
    """How long a beat's last tick took, and whether this beat sends the maintenance tasks."""

    tick_ms: float
    sends_chores: bool


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """A worker's executions in flight and waiting for their turn, and its limit of those in flight."""

    in_flight: int
    waiting: int
    capacity: int
    draining: bool


def report(
    cursor: Any, process: Process, state: BeatReport | WorkerReport, *, differs: str = "", release: str = ""
) -> None:
    """Write a process's row, with the database's instant and how far the process's clock is ahead of it.

    `differs` names the settings for which it takes no work: `runs.monitoring.agreement`.
    """
    columns = dict.fromkeys(("tick_ms", "sends_chores", "in_flight", "waiting", "capacity", "draining"))
    columns.update({name: getattr(state, name) for name in state.__slots__})
    columns |= {"id": process.id, "kind": process.kind, "name": process.name, "differs": differs, "release": release}
    cursor.execute(_REPORT, {**columns, "clock": time.time()})


def twins(cursor: Any, process: Process) -> int:
    """How many others have reported under this process's name since it started: remote control reaches only one."""
    cursor.execute(_TWINS, [process.id, process.kind, process.name, 2 * PULSE_SECONDS, process.id])
    return int(cursor.fetchone()[0])


def leave(cursor: Any, process: Process) -> None:
    """Delete the row of a process that stops in order."""
    cursor.execute("DELETE FROM runs_heartbeat WHERE id = %s", [process.id])


def forget_dead(cursor: Any) -> None:
    """Delete the rows of processes that were silent for a day."""
    cursor.execute(
        "DELETE FROM runs_heartbeat WHERE seen_at < clock_timestamp() - %s * interval '1 second'", [_KEPT_SECONDS]
    )
