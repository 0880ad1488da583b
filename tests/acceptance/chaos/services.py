"""PostgreSQL and Valkey under a separate supervisor, found by the listeners of their sockets."""

import contextlib
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import redis

from ops.embedded.peers import listener_pid
from ops.embedded.postgres import SUPERUSER


class Services:
    def __init__(self, database_url: str, redis_url: str) -> None:
        self.database_url, self.redis_url = database_url, redis_url
        options = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(database_url).query))
        self.database_name = urllib.parse.urlsplit(database_url).path.removeprefix("/")
        self.postgres_socket = Path(options["host"]) / f".s.PGSQL.{options.get('port', '5432')}"
        self.valkey_socket = Path(urllib.parse.unquote(urllib.parse.urlsplit(redis_url).path))

    def postgres(self) -> list[psutil.Process]:
        """Return the server's pid and those of its processes; none while it is down."""
        found = _listener(self.postgres_socket)
        return [found, *children_of(found)] if found else []

    def valkey(self) -> list[psutil.Process]:
        found = _listener(self.valkey_socket)
        return [found] if found else []

    def valkey_logs(self) -> list[Path]:
        """Return the path of Valkey's append-only file."""
        return [log for one in self.valkey() for log in Path(one.cwd()).glob("appendonlydir/*.incr.aof")]

    def redis(self) -> "redis.Redis":
        """Return a client with a short timeout."""
        return redis.Redis.from_url(self.redis_url, socket_timeout=2, socket_connect_timeout=2)

    def database(self) -> contextlib.AbstractContextManager[Any]:
        """Yield a cursor on a new connection. Raises psycopg2.Error while the database is down."""
        return self._cursor(self.database_url)

    def superuser(self) -> contextlib.AbstractContextManager[Any]:
        """Yield a superuser's cursor that may write even in read-only mode."""
        return self._cursor(
            host=str(self.postgres_socket.parent),
            user=SUPERUSER,
            dbname="postgres",
            options="-c default_transaction_read_only=off",
        )

    @contextlib.contextmanager
    def _cursor(self, *url: str, **parameters: str) -> Iterator[Any]:
        link = psycopg2.connect(*url, connect_timeout=5, **parameters)
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
    """Return the descendants of a process; none if it has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(process.children(recursive=True))
    return []


def _listener(path: Path) -> psutil.Process | None:
    pid = listener_pid(path)
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid) if pid else None
    return None
