"""Faults of Redis and of messages."""

import contextlib
import os
import random
import secrets
import signal
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg2
import redis
from celery import Celery
from kombu.exceptions import OperationalError

from scheduler_project.broker import celery_broker_url
from tests.acceptance.chaos.fault import WHILE, Fault, Heal, over
from tests.acceptance.chaos.house import House, resume_all, send, stop_all

_IDS = 50
#: Less than any server uses, so that every write is refused.
_NO_MEMORY = 1


def redis_ends(number: signal.Signals) -> Fault:
    def strike(house: House) -> Heal:
        for process in house.services.valkey():
            send(process, number)
        return over

    return Fault("Redis killed" if number == signal.SIGKILL else "Redis restarted", strike)


def redis_hangs() -> Fault:
    return hangs("Redis hangs", lambda house: house.services.valkey())


def hangs(name: str, processes: Callable[[House], list[psutil.Process]]) -> Fault:
    """Suspend a service, so that it accepts connections and answers nothing."""

    def strike(house: House) -> Heal:
        found = processes(house)
        stop_all(found)
        return lambda: resume_all(found)

    return Fault(name, strike, WHILE)


def redis_flushed() -> Fault:
    def strike(house: House) -> Heal:
        with contextlib.suppress(redis.RedisError):
            house.services.redis().flushall()
        return over

    return Fault("Redis flushed", strike)


def redis_full() -> Fault:
    """Limit Redis's memory, so that it answers but refuses writes."""

    def strike(house: House) -> Heal:
        with contextlib.suppress(redis.RedisError):
            house.services.redis().config_set("maxmemory-policy", "noeviction")
            house.services.redis().config_set("maxmemory", _NO_MEMORY)

        def heal() -> None:
            # A server started meanwhile has no limit.
            with contextlib.suppress(redis.RedisError):
                house.services.redis().config_set("maxmemory", 0)

        return heal

    return Fault("Redis out of memory", strike, WHILE)


def messages_doubled() -> Fault:
    """Enqueue every execution of the last seconds again, three times and in random order."""

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


# -- its log -----------------------------------------------------------------------------------------------------------


def cut_short(log: Path) -> None:
    """Truncate the log, as after a power cut."""
    os.truncate(log, max(0, log.stat().st_size - 7))


def zeros_at_its_end(log: Path) -> None:
    """End the log with zeros, as a file system does that allocated but did not write."""
    with log.open("ab") as file:
        file.write(bytes(512))


def rubbish_at_its_end(log: Path) -> None:
    """End the log with random bytes, as after a disk error."""
    with log.open("ab") as file:
        file.write(secrets.token_bytes(300))


TEARS = (cut_short, zeros_at_its_end, rubbish_at_its_end)
