"""Connections whose cursors stop at the gate before each statement, and that stop before a commit.

They are what psycopg2 makes for Django and for the workers' links alike, while `gated` holds. On a thread that does not
act they are ordinary ones.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connections
from psycopg2 import extensions

from proof.turnstile.gate import here

#: Turns a statement into another: how a test puts an old fault back.
Mutation = Callable[[str], str]
#: What actors change or lock. Of other tables (secrets, versions) they only read what stays as it is, and keep it for
#: seconds: stopping there would make the story depend on the time.
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
        here.pids.add(self.info.backend_pid)

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("cursor_factory", GatedCursor)
        return super().cursor(*args, **kwargs)

    def commit(self) -> None:
        gate, actor = here.gate, here.actor
        if gate is None or actor is None or self.info.transaction_status == extensions.TRANSACTION_STATUS_IDLE:
            super().commit()
            return
        gate.stop(actor)
        gate.tell(actor.name, "commit")
        super().commit()
        gate.released = True
        gate.returned(actor)

    def rollback(self) -> None:
        gate, actor = here.gate, here.actor
        if gate is not None and actor is not None and not self.closed:
            gate.tell(actor.name, "rollback")
            gate.released = True
        super().rollback()


@contextlib.contextmanager
def gated() -> Iterator[None]:
    """New connections to the default database are gated ones."""
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
    """Statements are other ones meanwhile, of every connection that is gated."""
    global _mutation  # noqa: PLW0603 - cursors are made by psycopg2, which passes nothing on
    _mutation = mutation
    try:
        yield
    finally:
        _mutation = None


def _mutated(query: Any) -> Any:
    return _mutation(query) if _mutation is not None and isinstance(query, str) else query


def _pass(text: Any, cursor: GatedCursor, go_on: Callable[[], None]) -> None:
    gate, actor = here.gate, here.actor
    if gate is None or actor is None or not _WATCHED.search(text):
        go_on()
        return
    gate.stop(actor)
    place = len(gate.story)
    gate.tell(actor.name, told := _short(text))
    try:
        go_on()
    except Exception as error:
        gate.tell(actor.name, f"{told}: {type(error).__name__}")
        raise
    else:
        gate.story[place] = type(gate.story[place])(actor.name, f"{told} -> {cursor.rowcount}")
    finally:
        gate.released = gate.released or cursor.connection.autocommit
        gate.returned(actor)


def _short(text: str) -> str:
    """The verb and the table of a statement, and what it sets."""
    line = _WORD.sub(" ", text).strip()
    if found := re.match(r"UPDATE (\S+?) (?:AS \w+ )?SET (.{0,28})", line):
        return f"UPDATE {found[1]} SET {found[2]}..."
    if line.startswith("WITH"):
        found = re.search(r"(UPDATE(?! OF)|INSERT INTO|DELETE FROM) (\S+)", line)
        return f"{found[1]} {found[2]}" if found else line[:40]
    if line.startswith("SELECT"):
        table = re.search(r'FROM "?(\w+)"?', line)
        lock = re.search(r"FOR (?:NO KEY UPDATE|KEY SHARE|UPDATE)(?: OF \S+)?(?: SKIP LOCKED)?", line)
        named = table[1] if table else line[7:45]
        return f"SELECT {named}{' ' + lock[0] if lock else ''}"
    return line[:44]
