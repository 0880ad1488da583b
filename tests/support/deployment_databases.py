"""The databases of deployments: a template in the state after its first run, and copies of it."""

import atexit
import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg2
import psycopg2.errors
import redis

from tests.support.project import ROOT
from tests.support.waiting import wait_for

_TEMPLATE = "acceptance_template"


class Template(NamedTuple):
    """The original of every deployment: a database and a data directory after the first run."""

    database: str
    directory: Path


@functools.cache
def deployment_template() -> Template:
    """Create the template, once per process."""
    url, directory = os.environ["DATABASE_URL"], tempfile.mkdtemp(prefix="hourhand-template-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    _execute(url, f"DROP DATABASE IF EXISTS {_TEMPLATE}", f"CREATE DATABASE {_TEMPLATE}")
    environment = {**os.environ, "DATABASE_URL": _with_database(url, _TEMPLATE), "HOURHAND_DATA_DIR": directory}
    for command in (["migrate", "-v0"], ["first_run"]):
        subprocess.run(
            [sys.executable, "manage.py", *command], cwd=ROOT, env=environment, check=True, capture_output=True
        )
    return Template(_TEMPLATE, Path(directory))


@contextlib.contextmanager
def copied_database(template: Template) -> Iterator[str]:
    """Yield the URL of a copy of the template, and drop it afterwards. Redis is flushed before and after."""
    url = os.environ["DATABASE_URL"]
    name = f"house_{os.getpid()}_{time.monotonic_ns()}"
    _execute(url, f"CREATE DATABASE {name} TEMPLATE {template.database}")
    broker = redis.Redis.from_url(os.environ["REDIS_URL"])
    broker.flushall()
    try:
        yield _with_database(url, name)
    finally:
        broker.flushall()
        drop_database(url, name)


def drop_database(url: str, name: str) -> None:
    """Drop a database despite its connections. Autovacuum's can't be ended, so wait for it."""
    wait_for(lambda: _dropped(url, name), f"autovacuum to leave {name}")


def _dropped(url: str, name: str) -> bool:
    try:
        _execute(url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    except psycopg2.errors.InsufficientPrivilege:
        return False
    return True


def _with_database(url: str, name: str) -> str:
    return urllib.parse.urlsplit(url)._replace(path=f"/{name}").geturl()


def _execute(url: str, *statements: str) -> None:
    link = psycopg2.connect(url)
    link.autocommit = True
    try:
        with link.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        link.close()
