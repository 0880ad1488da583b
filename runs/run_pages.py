"""A page of attempts, whatever it is filtered by: so many rows of one index are looked through, and no more.

There is no index by how an attempt ended. So a page that looks for something rare may come short, or empty, and says
how far it got: the next one goes on from there. What it costs does not grow with the history.
"""

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from accounts.ids import id_at
from runs.models import Run

#: How many rows a page looks through.
LOOKED_THROUGH = 5000
#: An attempt has its id before it begins: it may wait for its host in a worker, whose clock may differ.
_ID_IS_EARLIER, _CLOCKS_DIFFER = datetime.timedelta(hours=1), datetime.timedelta(minutes=1)
_TABLE = Run._meta.db_table
_COLUMNS = "id, job_id, status, failure_reason, environment_id, trigger, number, started_at"


@dataclass(frozen=True, slots=True)
class RunFilter:
    """None means that a field narrows nothing. `job_ids` are the jobs meant, all within `workspace_ids`."""

    workspace_ids: tuple[uuid.UUID, ...]
    job_ids: tuple[uuid.UUID, ...] | None = None
    execution_id: uuid.UUID | None = None
    environment_ids: tuple[uuid.UUID, ...] | None = None
    statuses: tuple[str, ...] | None = None
    triggers: tuple[str, ...] | None = None
    failure_reason: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class LookedThrough:
    """What was found, in order. `reached`: the last row looked at where there was no room for more; else None."""

    ids: list[uuid.UUID]
    reached: uuid.UUID | None


def runs_of(wanted: RunFilter, *, after: uuid.UUID | None, descending: bool, first: int, count: int) -> LookedThrough:
    """`count` of the wanted runs after a position, `first` of them skipped."""
    looked, values = _looked_through(wanted, after, descending=descending)
    conditions, told = _conditions(wanted)
    order = "id DESC" if descending else "id"
    sql = f"SELECT id FROM ({looked}) AS looked WHERE {conditions} ORDER BY {order} LIMIT %s OFFSET %s"
    ids = _asked(sql, (*values, *told, count, first))
    if len(ids) == count:
        return LookedThrough(ids, None)
    last = _asked(f"SELECT id FROM ({looked}) AS looked OFFSET {LOOKED_THROUGH - 1}", values)
    return LookedThrough(ids, last[0] if last else None)


def _looked_through(wanted: RunFilter, after: uuid.UUID | None, *, descending: bool) -> tuple[str, tuple[Any, ...]]:
    """The rows that a page looks through: of an execution, of a few jobs, or of a few workspaces."""
    column, keys = _heads(wanted)
    bounds, told = ["TRUE"], list[Any]()
    if wanted.execution_id is not None:
        bounds.append("workspace_id = ANY(%s::uuid[])")
        told.append(list(wanted.workspace_ids))
    if after is not None:
        bounds.append(f"id {'<' if descending else '>'} %s")
        told.append(after)
    if wanted.until is not None:
        bounds.append("id < %s")
        told.append(id_at(_shifted(wanted.until, _CLOCKS_DIFFER)))
    if wanted.since is not None:
        bounds.append("id >= %s")
        told.append(id_at(_shifted(wanted.since, -_ID_IS_EARLIER)))
    page = f"ORDER BY id {'DESC' if descending else 'ASC'} LIMIT {LOOKED_THROUGH}"
    part = f"SELECT {_COLUMNS} FROM {_TABLE} WHERE {column} = %s AND {' AND '.join(bounds)} {page}"
    # Legs of one index each, in order: Postgres merges them and reads no more than it needs. Each has its own limit, as
    # otherwise a table of a few ten thousand rows is rather read whole.
    legs = " UNION ALL ".join(f"({part})" for _ in keys)
    sql = f"SELECT {_COLUMNS} FROM ({legs}) AS legs {page}"
    return sql, tuple(value for key in keys for value in (key, *told))


def _heads(wanted: RunFilter) -> tuple[str, Sequence[uuid.UUID]]:
    """What the index begins with that holds them. Nobody's rows stand for none at all."""
    nobody = (uuid.UUID(int=0),)
    if wanted.execution_id is not None:
        return "execution_id", (wanted.execution_id,)
    if wanted.job_ids is not None:
        return "job_id", wanted.job_ids or nobody
    return "workspace_id", wanted.workspace_ids or nobody


def _shifted(at: datetime.datetime, by: datetime.timedelta) -> datetime.datetime:
    """An instant moved, but not out of the calendar."""
    try:
        return at + by
    except OverflowError:
        return at


def _conditions(wanted: RunFilter) -> tuple[str, tuple[Any, ...]]:
    found: list[tuple[str, tuple[Any, ...]]] = [("TRUE", ())]
    if wanted.execution_id is not None and wanted.job_ids is not None:
        found.append(("job_id = ANY(%s::uuid[])", (list(wanted.job_ids),)))
    if wanted.environment_ids is not None:
        found.append(("environment_id = ANY(%s::uuid[])", (list(wanted.environment_ids),)))
    if wanted.statuses is not None:
        found.append(("status = ANY(%s)", (list(wanted.statuses),)))
    if wanted.triggers is not None:
        # From its second attempt on an execution's trigger is `retry`.
        again = " OR number > 1" if "retry" in wanted.triggers else ""
        found.append((f"((trigger = ANY(%s) AND number = 1){again})", (list(wanted.triggers),)))
    if wanted.failure_reason is not None:
        found.append(("failure_reason = %s", (wanted.failure_reason,)))
    if wanted.since is not None:
        found.append(("started_at >= %s", (wanted.since,)))
    if wanted.until is not None:
        found.append(("started_at < %s", (wanted.until,)))
    return " AND ".join(sql for sql, _ in found), tuple(value for _, values in found for value in values)


def _asked(sql: str, params: Sequence[Any]) -> list[uuid.UUID]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [row[0] for row in cursor.fetchall()]
