"""Logs every committed change of an execution with a trigger, for the oracle.

The changes of one execution are in order, since each holds its row's lock.
"""

import datetime
import json
from typing import Any, NamedTuple

from django.db import connection

_COLUMNS = ("status", "attempts", "lease_owner", "lease_expires_at", "queued", "finished_at", "enqueued_at")
_CREATE = f"""
CREATE UNLOGGED TABLE IF NOT EXISTS proof_change (
    seq bigserial PRIMARY KEY, pid int, at timestamptz, execution_id uuid, job_id uuid, job_environment_id uuid,
    trigger text, overlap text, concurrency smallint, before jsonb, after jsonb
);
CREATE OR REPLACE FUNCTION proof_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO proof_change (pid, at, execution_id, job_id, job_environment_id, trigger, overlap, concurrency,
                              before, after)
    VALUES (pg_backend_pid(), clock_timestamp(), NEW.id, NEW.job_id, NEW.job_environment_id, NEW.trigger, NEW.overlap,
            NEW.concurrency,
            CASE WHEN TG_OP = 'UPDATE' THEN
                 jsonb_build_array({", ".join(f"OLD.{name}" for name in _COLUMNS)}) END,
            jsonb_build_array({", ".join(f"NEW.{name}" for name in _COLUMNS)}));
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER proof_notes AFTER INSERT OR UPDATE ON runs_execution
    FOR EACH ROW EXECUTE FUNCTION proof_note();
"""
_DROP = """
DROP TRIGGER IF EXISTS proof_notes ON runs_execution;
DROP FUNCTION IF EXISTS proof_note();
DROP TABLE IF EXISTS proof_change;
"""
_READ = """
    SELECT pid, at, execution_id::text, job_id::text, job_environment_id::text, trigger, overlap, concurrency,
           before::text, after::text
      FROM proof_change ORDER BY seq
"""


class Row(NamedTuple):
    """An execution's columns before or after a change; instants are text."""

    status: str
    attempts: int
    owner: str | None
    lease_expires_at: str | None
    queued: bool
    finished_at: str | None
    enqueued_at: str | None


class Change(NamedTuple):
    """A change of an execution by a server process. `before` is None for its insertion."""

    pid: int
    at: datetime.datetime
    execution_id: str
    job_id: str
    job_environment_id: str
    trigger: str
    overlap: str
    concurrency: int | None
    before: Row | None
    after: Row


def install() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_CREATE)


def remove() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_DROP)


def changes(cursor: Any) -> list[Change]:
    cursor.execute(_READ)
    return [Change._make((*row[:-2], _row(row[-2]), _row(row[-1]))) for row in cursor.fetchall()]


def _row(columns: str | None) -> Any:
    return None if columns is None else Row(*json.loads(columns))
