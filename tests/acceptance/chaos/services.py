"""PostgreSQL and Valkey, whom another supervisor watches over: found by whoever listens on their sockets."""

import contextlib
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import redis

from scheduler_project.embedded.peers import listener_pid


class Services:
    def __init__(self, database_url: str, redis_url: str) -> None:
        self.database_url, self.redis_url = database_url, redis_url
        options = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(database_url).query))
        self.postgres_socket = Path(options["host"]) / f".s.PGSQL.{options.get('port', '5432')}"
        self.valkey_socket = Path(urllib.parse.unquote(urllib.parse.urlsplit(redis_url).path))

    def postgres(self) -> list[psutil.Process]:
        """The server, first, and each of its processes; none while it is away."""
        found = _listener(self.postgres_socket)
        return [found, *children_of(found)] if found else []

    def valkey(self) -> list[psutil.Process]:
        found = _listener(self.valkey_socket)
        return [found] if found else []

    def redis(self) -> "redis.Redis":
        """A client that gives up soon on a server that hangs."""
        return redis.Redis.from_url(self.redis_url, socket_timeout=2, socket_connect_timeout=2)

    @contextlib.contextmanager
    def database(self) -> Iterator[Any]:
        """A cursor on a connection of its own. Raises psycopg2.Error while the database is away."""
        link = psycopg2.connect(self.database_url, connect_timeout=5)
        link.autocommit = True
        try:
            with link.cursor() as cursor:
                yield cursor
        finally:
            link.close()

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self.database() as cursor:
            cursor.execute(query, parameters)
            return list(cursor.fetchall())


def children_of(process: psutil.Process) -> list[psutil.Process]:
    """Its children, and theirs; none where it is gone already."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(process.children(recursive=True))
    return []


def _listener(path: Path) -> psutil.Process | None:
    pid = listener_pid(path)
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid) if pid else None
    return None
