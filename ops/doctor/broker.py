"""Redis or Valkey: a wake-up call for workers. What is wrong with it costs seconds, not firings.

Every look takes a client.
"""

from collections.abc import Iterator
from typing import Any

import redis
from django.conf import settings

from core.redis import redis_client
from ops.doctor.examination import AwayError, Look, Source
from ops.doctor.findings import Finding, ok, problem, warning

_TIMEOUT_SECONDS = 4
_OLDEST = (6, 2)
_NEARLY_FULL = 0.8
_MANY_MESSAGES = 1000
_QUEUES = ("deliveries", "chores")


def _hold(look: Look) -> list[Finding]:
    with redis_client(settings.REDIS_URL, timeout_seconds=_TIMEOUT_SECONDS, decode=True) as client:
        try:
            return list(look(client))
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            raise AwayError(str(error)) from error


BROKER = Source(
    title="Redis",
    hold=_hold,
    advice="Start it, or put REDIS_URL right. Until then workers find their work in PostgreSQL, up to seconds later.",
)


def answers(client: Any) -> Iterator[Finding]:
    client.ping()
    info = client.info("replication")
    if info.get("role") == "slave":
        yield problem("broker", "It is a replica and takes no messages.", "Let REDIS_URL name the primary.")
    else:
        yield ok("broker", "It answers.")


def version(client: Any) -> Iterator[Finding]:
    info = client.info("server")
    name = {"valkey": "Valkey"}.get(str(info.get("server_name")), "Redis")
    told = str(info.get("valkey_version") or info["redis_version"])
    if tuple(map(int, str(info["redis_version"]).split(".")[:2])) < _OLDEST:
        yield problem("version", f"{name} {told} is too old.", "Use Valkey 9, or Redis 6.2 or newer.")
    else:
        yield ok("version", f"{name} {told}.")


def memory(client: Any) -> Iterator[Finding]:
    info = client.info("memory")
    used, most = int(info["used_memory"]), int(info.get("maxmemory", 0))
    policy = info.get("maxmemory_policy", "noeviction")
    told = f"{used / 2**20:,.0f} MiB of {f'{most / 2**20:,.0f} MiB' if most else 'no limit'}, {policy}"
    if policy != "noeviction" and most:
        yield warning(
            "memory",
            f"{told}: when it is full it drops messages, and those executions wait until a beat sends them again.",
            "Set maxmemory-policy to noeviction, and give Hourhand a Redis of its own.",
        )
    elif most and used > _NEARLY_FULL * most:
        yield warning(
            "memory", f"{told}: nearly full, and then no message is taken.", "Raise maxmemory, or start workers."
        )
    else:
        yield ok("memory", f"{told}.")


def persistence(client: Any) -> Iterator[Finding]:
    info = client.info("persistence")
    failed = [name for name in ("rdb_last_bgsave_status", "aof_last_write_status") if info.get(name, "ok") != "ok"]
    if failed:
        yield problem(
            "persistence",
            f"It can't write to its disk ({', '.join(failed)}), and may refuse messages for that.",
            "Free its disk, and read its log.",
        )
    elif int(info.get("aof_enabled", 0)) or _saves(client):
        yield ok("persistence", "It keeps messages over a restart.")
    else:
        yield warning(
            "persistence",
            "It forgets all messages when it restarts; a beat sends them again within a minute.",
            "Set appendonly yes and appendfsync everysec.",
        )


def queues(client: Any) -> Iterator[Finding]:
    waiting = {name: int(client.llen(name)) for name in _QUEUES}
    told = ", ".join(f"{count:,} in {name}" for name, count in waiting.items())
    if max(waiting.values()) > _MANY_MESSAGES:
        yield warning(
            "queues",
            f"Messages wait: {told}.",
            "Start more workers, with --queues deliveries,chores: a queue that nobody listens to only grows.",
        )
    else:
        yield ok("queues", f"Messages: {told}.")


def _saves(client: Any) -> bool:
    """Whether snapshots are made; a service that tells nobody its settings is taken by its word that it makes some."""
    try:
        return bool(client.config_get("save").get("save"))
    except redis.ResponseError:
        return int(client.info("persistence").get("rdb_last_save_time", 0)) > 0
