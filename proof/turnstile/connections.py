"""Connections that stop at the gate before each statement and each commit.

Within `gated`, psycopg2 makes them for Django and for the workers alike. On a thread that does not act they behave like
ordinary ones.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connections
from psycopg2 import extensions

from proof.turnstile.gate import StoryLine, current

#: Rewrites a statement, so that a test can reintroduce a fault.
Mutation = Callable[[str], str]
#: The tables that actors change or lock. Others (secrets, versions) hold immutable rows that workers cache for seconds:
#: stopping there would make the story depend on time.
_WATCHED = re.compile(r"runs_|jobs_jobenvironment|jobs_scheduleperiod|accounts_usage|advisory|proof_", re.IGNORECASE)
_WORD = re.compile(r"\s+")
_mutation: Mutation | None = None


class GatedCursor(extensions.cursor):
    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - psycopg2's name
        text = _mutated(query)
        _pass(text, self, lambda: super(GatedCursor, self).execute(text, vars))

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        _pass(str(sql), self, lambda: super(GatedCursor, self).copy_expert(sql, file, size))


class GatedConnection(extensions.connection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        current.pids.add(self.info.backend_pid)

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("cursor_factory", GatedCursor)
        return super().cursor(*args, **kwargs)

    def commit(self) -> None:
        gate, actor = current.gate, current.actor
        if gate is None or actor is None or self.info.transaction_status == extensions.TRANSACTION_STATUS_IDLE:
            super().commit()
            return
        gate.stop(actor)
        gate.log(actor.name, "commit")
        super().commit()
        gate.released = True
        gate.returned(actor)

    def rollback(self) -> None:
        gate, actor = current.gate, current.actor
        if gate is not None and actor is not None and not self.closed:
            gate.log(actor.name, "rollback")
            gate.released = True
        super().rollback()


@contextlib.contextmanager
def gated() -> Iterator[None]:
    """Make new connections to the default database gated ones."""
    options = connections["default"].settings_dict["OPTIONS"]
    connections["default"].close()
    options["connection_factory"] = GatedConnection
    try:
        yield
    finally:
        connections["default"].close()
        del options["connection_factory"]


@contextlib.contextmanager
def mutated(mutation: Mutation) -> Iterator[None]:
    """Apply `mutation` to the statements of all gated connections."""
    global _mutation  # noqa: PLW0603 - psycopg2 makes the cursors, and passes nothing on
    _mutation = mutation
    try:
        yield
    finally:
        _mutation = None


def _mutated(query: Any) -> Any:
    return _mutation(query) if _mutation is not None and isinstance(query, str) else query


def _pass(text: Any, cursor: GatedCursor, proceed: Callable[[], None]) -> None:
    gate, actor = current.gate, current.actor
    if gate is None or actor is None or not _WATCHED.search(text):
        proceed()
        return
    gate.stop(actor)
    index = len(gate.story)
    gate.log(actor.name, step := _short(text))
    try:
        proceed()
    except Exception as error:
        gate.log(actor.name, f"{step}: {type(error).__name__}")
        raise
    else:
        gate.story[index] = StoryLine(actor.name, f"{step} -> {cursor.rowcount}")
    finally:
        gate.released = gate.released or cursor.connection.autocommit
        gate.returned(actor)


def _short(text: str) -> str:
    """Shorten a statement to its verb, its table, and what it sets."""
    line = _WORD.sub(" ", text).strip()
    if match := re.match(r"UPDATE (\S+?) (?:AS \w+ )?SET (.{0,28})", line):
        return f"UPDATE {match[1]} SET {match[2]}..."
    if line.startswith("WITH"):
        match = re.search(r"(UPDATE(?! OF)|INSERT INTO|DELETE FROM) (\S+)", line)
        return f"{match[1]} {match[2]}" if match else line[:40]
    if line.startswith("SELECT"):
        table = re.search(r'FROM "?(\w+)"?', line)
        lock = re.search(r"FOR (?:NO KEY UPDATE|KEY SHARE|UPDATE)(?: OF \S+)?(?: SKIP LOCKED)?", line)
        named = table[1] if table else line[7:45]
        return f"SELECT {named}{' ' + lock[0] if lock else ''}"
    return line[:44]
