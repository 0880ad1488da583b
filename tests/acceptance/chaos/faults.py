"""What may happen to a house: each fault has a name, strikes, and returns how it is healed."""

import contextlib
import random
import signal
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import redis
import requests
from celery import Celery
from kombu.exceptions import OperationalError

from scheduler_project.broker import celery_broker_url
from tests.acceptance.chaos.house import (
    BACK_SECONDS,
    LEASE_SECONDS,
    LOST_AFTER_SECONDS,
    House,
    resume_all,
    send,
    stop_all,
)
from tests.acceptance.chaos.racing import race_the_tick
from tests.acceptance.chaos.services import children_of

Heal = Callable[[], None]
_REACHED_SECONDS = 45.0
_PAST_LEASE = (LEASE_SECONDS + 4.0, LEASE_SECONDS + 6.0)
_SHORT, _WHILE = (2.0, 5.0), (3.0, 6.0)
_IDS = 50
HOUR = 3600


def over() -> None:
    """Nothing to undo: the supervisor brings back what died."""


class NotReachedError(Exception):
    """A fault could not strike, because nothing came by where it waited."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`strike` answers how to undo it, after a number of seconds within `lasts`. `alone`: never with another."""

    name: str
    strike: Callable[[House], Heal]
    lasts: tuple[float, float] = (0.0, 0.0)
    alone: bool = False


# -- processes ---------------------------------------------------------------------------------------------------------


def killed(kind: str, number: int) -> Fault:
    def strike(house: House) -> Heal:
        for process in _chosen(house, kind, number):
            house.kill(process, "killed")
        return over

    return Fault(f"SIGKILL {kind} {number}", strike)


def stopped(kind: str, number: int, lasts: tuple[float, float], name: str = "SIGSTOP") -> Fault:
    """A process that stands still, and goes on. A worker's leases may run out meanwhile."""

    def strike(house: House) -> Heal:
        chosen = [one for process in _chosen(house, kind, number) for one in (process, *children_of(process))]
        stop_all(chosen)
        since = time.monotonic()

        def heal() -> None:
            if time.monotonic() - since > LOST_AFTER_SECONDS:
                for process in chosen:
                    house.note(process.pid, "stopped")
            resume_all(chosen)

        return heal

    return Fault(f"{name} {kind} {number}", strike, lasts)


def _chosen(house: House, kind: str, number: int) -> list[psutil.Process]:
    """One process of a kind, by its age. Raises NotReachedError where another fault has just ended it."""
    chosen = house.processes(kind)[number - 1 : number]
    if not chosen:
        raise NotReachedError(f"{kind} {number}")
    return chosen


def wrong_clock(kind: str, seconds: int) -> Fault:
    """The next of a kind that starts has a wrong clock, until it is killed again."""

    def strike(house: House) -> Heal:
        (house.clocks / kind).write_text(str(seconds))
        for process in _chosen(house, kind, 1):
            house.kill(process, "killed for its clock")
        worn = _awaited(lambda: list(house.clocks.glob(f"{kind}.*")), f"a {kind} with a wrong clock", BACK_SECONDS)

        def heal() -> None:
            for order in worn:
                order.unlink(missing_ok=True)
                with contextlib.suppress(psutil.NoSuchProcess):
                    house.kill(psutil.Process(int(order.suffix[1:])), "killed for its clock")

        return heal

    return Fault(f"{kind}'s clock {seconds // HOUR:+d} h", strike, (5.0, 8.0))


def deployed() -> Fault:
    """All of the house is asked to stop under load, and started anew."""

    def strike(house: House) -> Heal:
        for process in house.processes():
            house.struck[process.pid] = "deployed"
        house.deploys += 1
        house.installation.stop()
        return house.installation.launch

    return Fault("deploy", strike, alone=True)


# -- steps -------------------------------------------------------------------------------------------------------------

#: The failpoints of each step.
STEPS = {
    "fire": ("fire.written", "fire.committed"),
    "settle": ("settle.written", "settle.committed"),
    "enqueue": ("enqueue.sent",),
    "claim": ("claim.taken", "claim.committed"),
    "send": ("send.submitted",),
    "record": ("record.written", "record.committed"),
    "requeue": ("requeue.marked", "requeue.committed"),
    "reap": ("reap.written", "reap.committed"),
}


def dies_at(point: str) -> Fault:
    """The first process that comes by a failpoint is killed there, by itself."""

    def strike(house: House) -> Heal:
        _signalled_at(house, point, signal.SIGKILL)
        return over

    return Fault(f"SIGKILL at {point}", strike)


def stops_at(point: str) -> Fault:
    """The first process that comes by a failpoint stands still there until its leases are another's."""

    def strike(house: House) -> Heal:
        pid = _signalled_at(house, point, signal.SIGSTOP)
        return lambda: _resume(pid)

    return Fault(f"SIGSTOP beyond the lease at {point}", strike, _PAST_LEASE)


def _resume(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        send(psutil.Process(pid), signal.SIGCONT)


def _signalled_at(house: House, point: str, number: signal.Signals) -> int:
    """Let whoever comes by a failpoint first send itself a signal; its pid."""
    order = house.failpoints / point
    draft = order.with_name(f"{point}.draft")
    draft.write_text(str(int(number)))
    draft.rename(order)
    try:
        _bring_about(house, point)
        (done,) = _awaited(lambda: list(house.failpoints.glob(f"{point}.*")), f"a process at {point}", _REACHED_SECONDS)
    finally:
        order.unlink(missing_ok=True)
    done.unlink(missing_ok=True)
    pid = int(done.suffix[1:])
    house.note(pid, f"{number.name} at {point}")
    return pid


def _bring_about(house: House, point: str) -> None:
    """Reaping needs a worker that died with something in its hands, settling a plan that changes."""
    if point.startswith("reap."):
        _signalled_at(house, "claim.committed", signal.SIGKILL)
    elif point.startswith("settle."):
        race_the_tick(house, random.Random(house.races), rounds=2)


def _awaited(look: Callable[[], list[Any]], what: str, seconds: float) -> list[Any]:
    """What `look` finds, once there is some. Raises NotReachedError."""
    until = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > until:
            raise NotReachedError(what)
        time.sleep(0.02)
    return found


# -- Redis and its messages --------------------------------------------------------------------------------------------


def redis_ends(number: signal.Signals) -> Fault:
    def strike(house: House) -> Heal:
        for process in house.services.valkey():
            send(process, number)
        return over

    return Fault("Redis killed" if number == signal.SIGKILL else "Redis restarted", strike)


def redis_hangs() -> Fault:
    return _hangs("Redis hangs", lambda house: house.services.valkey())


def _hangs(name: str, processes: Callable[[House], list[psutil.Process]]) -> Fault:
    """A service that is there and answers nothing."""

    def strike(house: House) -> Heal:
        found = processes(house)
        stop_all(found)
        return lambda: resume_all(found)

    return Fault(name, strike, _WHILE)


def redis_flushed() -> Fault:
    def strike(house: House) -> Heal:
        with contextlib.suppress(redis.RedisError):
            house.services.redis().flushall()
        return over

    return Fault("Redis flushed", strike)


def messages_doubled() -> Fault:
    """Every execution of the last seconds is announced again, three times and in any order, whatever became of it."""

    def strike(house: House) -> Heal:
        with contextlib.suppress(psycopg2.Error):
            latest = house.services.rows("SELECT id::text FROM runs_execution ORDER BY id DESC LIMIT 600")
            ids = [key for (key,) in latest] * 3 + [str(uuid.uuid4())]
            random.Random(len(ids)).shuffle(ids)
            app = Celery("chaos", broker=celery_broker_url(house.services.redis_url))
            app.conf.broker_transport_options = {"socket_timeout": 2, "socket_connect_timeout": 2}
            with app.connection_for_write() as link, contextlib.suppress(OSError, redis.RedisError, OperationalError):
                for start in range(0, len(ids), _IDS):
                    some = (ids[start : start + _IDS],)
                    app.send_task("workers.deliver", args=some, queue="deliveries", connection=link, retry=False)
        return over

    return Fault("messages doubled and shuffled", strike)


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


def postgres_ends(number: signal.Signals) -> Fault:
    def strike(house: House) -> Heal:
        for process in house.services.postgres()[:1]:
            send(process, number)
        return over

    return Fault("PostgreSQL stopped (immediate)" if number == signal.SIGQUIT else "PostgreSQL restarted", strike)


def postgres_paused() -> Fault:
    return _hangs("PostgreSQL paused", lambda house: house.services.postgres())


def postgres_refuses() -> Fault:
    """Every connection is broken, and new ones are refused: nobody listens on the socket that is found."""

    def strike(house: House) -> Heal:
        path = house.services.postgres_socket
        aside = path.with_suffix(".aside")
        with contextlib.ExitStack() as stack:
            try:
                cursor = stack.enter_context(house.services.database())
                path.rename(aside)
            except (psycopg2.Error, FileNotFoundError):
                return over
            deaf = socket.socket(socket.AF_UNIX)
            deaf.bind(str(path))
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = current_user AND pid <> pg_backend_pid()"
            )
        return lambda: _listen_again(path, aside, deaf)

    return Fault("PostgreSQL refuses connections", strike, _WHILE)


def _listen_again(path: Path, aside: Path, deaf: socket.socket) -> None:
    """Put the real socket back, unless a server that was started meanwhile has made another."""
    deaf.close()
    if _is_deaf(path):
        aside.replace(path)
    else:
        aside.unlink(missing_ok=True)


def _is_deaf(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) != 0


# -- people and targets ------------------------------------------------------------------------------------------------


def plan_races() -> Fault:
    def strike(house: House) -> Heal:
        race_the_tick(house, random.Random(house.races), rounds=5)
        return over

    return Fault("edits, pauses and deletes race the tick", strike)


def target_kills_worker() -> Fault:
    """A job whose target kills the worker that calls it, once; tried again, it answers."""

    def strike(house: House) -> Heal:
        before = set(house.struck)
        try:
            answer = house.ask("POST", "/jobs/deadly/run/")
        except requests.RequestException as error:
            raise NotReachedError("the API") from error
        if not answer.ok:
            raise NotReachedError("the API")
        _awaited(lambda: sorted(set(house.struck) - before), "the target to be called", _REACHED_SECONDS)
        return over

    return Fault("a target kills its worker", strike)


def catalogue() -> Sequence[Fault]:
    """Every fault there is."""
    return (
        *(killed(kind, number) for kind, number in (("beat", 1), ("beat", 2), ("worker", 1), ("worker", 2))),
        killed("web", 1),
        *(stopped(kind, number, _SHORT) for kind, number in (("beat", 1), ("beat", 2), ("worker", 1), ("worker", 2))),
        stopped("web", 1, _SHORT),
        stopped("worker", 1, _PAST_LEASE, "paused beyond its lease:"),
        *(dies_at(point) for points in STEPS.values() for point in points),
        stops_at("claim.committed"),
        stops_at("record.written"),
        redis_ends(signal.SIGKILL),
        redis_ends(signal.SIGTERM),
        redis_hangs(),
        redis_flushed(),
        messages_doubled(),
        postgres_ends(signal.SIGQUIT),
        postgres_ends(signal.SIGINT),
        postgres_paused(),
        postgres_refuses(),
        plan_races(),
        target_kills_worker(),
        *(wrong_clock(kind, seconds) for kind in ("beat", "worker") for seconds in (HOUR, -HOUR)),
        deployed(),
    )
