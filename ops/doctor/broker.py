"""Redis or Valkey, which wakes workers up: its failures cost seconds, not firings. Every probe takes a client."""

from collections.abc import Iterator
from typing import Any

import redis
from django.conf import settings

from core.redis import redis_client
from ops.doctor.examination import Probe, Source, UnreachableError
from ops.doctor.findings import Finding, ok, problem, warning

_TIMEOUT_SECONDS = 4
_OLDEST = (6, 2)
_NEARLY_FULL = 0.8
_MANY_MESSAGES = 1000
_QUEUES = ("deliveries", "chores")


def _run(probe: Probe) -> list[Finding]:
    with redis_client(settings.REDIS_URL, timeout_seconds=_TIMEOUT_SECONDS, decode=True) as client:
        try:
            return list(probe(client))
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            raise UnreachableError(str(error)) from error


BROKER = Source(
    title="Redis",
    run=_run,
    advice="Start it, or correct REDIS_URL. Until then workers find executions in PostgreSQL, seconds later.",
)


def answers(client: Any) -> Iterator[Finding]:
    client.ping()
    info = client.info("replication")
    if info.get("role") == "slave":
        yield problem("broker", "It is a replica and accepts no messages.", "Set REDIS_URL to the primary.")
    else:
        yield ok("broker", "It answers.")


def version(client: Any) -> Iterator[Finding]:
    info = client.info("server")
    name = {"valkey": "Valkey"}.get(str(info.get("server_name")), "Redis")
    number = str(info.get("valkey_version") or info["redis_version"])
    if tuple(map(int, str(info["redis_version"]).split(".")[:2])) < _OLDEST:
        yield problem("version", f"{name} {number} is too old.", "Use Valkey 9, or Redis 6.2 or newer.")
    else:
        yield ok("version", f"{name} {number}.")


def memory(client: Any) -> Iterator[Finding]:
    info = client.info("memory")
    used, limit = int(info["used_memory"]), int(info.get("maxmemory", 0))
    policy = info.get("maxmemory_policy", "noeviction")
    usage = f"{used / 2**20:,.0f} MiB of {f'{limit / 2**20:,.0f} MiB' if limit else 'no limit'}, {policy}"
    if policy != "noeviction" and limit:
        yield warning(
            "memory",
            f"{usage}: when full it drops messages, and their executions wait until a beat sends them again.",
            "Set maxmemory-policy to noeviction, and use this Redis for Hourhand only.",
        )
    elif limit and used > _NEARLY_FULL * limit:
        yield warning(
            "memory", f"{usage}: nearly full. A full Redis accepts no messages.", "Raise maxmemory, or start workers."
        )
    else:
        yield ok("memory", f"{usage}.")


def persistence(client: Any) -> Iterator[Finding]:
    info = client.info("persistence")
    failed = [name for name in ("rdb_last_bgsave_status", "aof_last_write_status") if info.get(name, "ok") != "ok"]
    if failed:
        yield problem(
            "persistence",
            f"It cannot write to its disk ({', '.join(failed)}), and may therefore refuse messages.",
            "Free space on its disk, and read its log.",
        )
    elif int(info.get("aof_enabled", 0)) or _saves(client):
        yield ok("persistence", "It keeps messages over a restart.")
    else:
        yield warning(
            "persistence",
            "It loses all messages when it restarts; a beat sends them again within a minute.",
            "Set appendonly yes and appendfsync everysec.",
        )


def queues(client: Any) -> Iterator[Finding]:
    waiting = {name: int(client.llen(name)) for name in _QUEUES}
    counts = ", ".join(f"{count:,} in {name}" for name, count in waiting.items())
    if max(waiting.values()) > _MANY_MESSAGES:
        yield warning(
            "queues",
            f"Messages wait: {counts}.",
            "Start more workers, with --queues deliveries,chores: a queue without a worker grows without end.",
        )
    else:
        yield ok("queues", f"Messages: {counts}.")


def _saves(client: Any) -> bool:
    """Whether it makes snapshots. A hosted service may hide its settings: then the last snapshot's time decides."""
    try:
        return bool(client.config_get("save").get("save"))
    except redis.ResponseError:
        return int(client.info("persistence").get("rdb_last_save_time", 0)) > 0
