"""What beats and workers tell of themselves every few seconds, so that everybody can see whether they live.

A process that ends in order takes its row away; that of one that was killed tells for a while when it was last seen.
"""

import secrets
import socket
import time
from dataclasses import dataclass
from typing import Any

#: A process tells of itself this often.
PULSE_SECONDS = 5.0
#: One that was silent for longer than this is dead, stopped, or without its database.
ALIVE_SECONDS = 30.0
_REMEMBERED_SECONDS = 24 * 3600
_TELL = """
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
    """Who tells: `id` is this very process, `name` what people call it."""

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
class Ticking:
    """A beat's news: how long its last tick took, and whether it is the one that sends the chores."""

    tick_ms: float
    sends_chores: bool


@dataclass(frozen=True, slots=True)
class Delivering:
    """A worker's news: executions under way, waiting for a place, and how many it can have under way."""

    in_flight: int
    waiting: int
    capacity: int
    draining: bool


def tell(cursor: Any, process: Process, news: Ticking | Delivering, *, differs: str = "", release: str = "") -> None:
    """Leave a process's news, with the database's instant and how far this process's own clock is from that.

    `differs` names the settings for which it takes no work: `runs.monitoring.agreement`.
    """
    told = dict.fromkeys(("tick_ms", "sends_chores", "in_flight", "waiting", "capacity", "draining"))
    told.update({name: getattr(news, name) for name in news.__slots__})
    said = {"id": process.id, "kind": process.kind, "name": process.name, **told}
    cursor.execute(_TELL, {**said, "differs": differs, "release": release, "clock": time.time()})


def twins(cursor: Any, process: Process) -> int:
    """How many others told of themselves by this process's name since it started: remote control reaches one only."""
    cursor.execute(_TWINS, [process.id, process.kind, process.name, 2 * PULSE_SECONDS, process.id])
    return int(cursor.fetchone()[0])


def leave(cursor: Any, process: Process) -> None:
    """The process ends in order."""
    cursor.execute("DELETE FROM runs_heartbeat WHERE id = %s", [process.id])


def forget_dead(cursor: Any) -> None:
    """Drop what was not heard from for a day."""
    cursor.execute(
        "DELETE FROM runs_heartbeat WHERE seen_at < clock_timestamp() - %s * interval '1 second'", [_REMEMBERED_SECONDS]
    )
