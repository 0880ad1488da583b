"""Logs every transition of executions with a trigger, for tests; never part of the product's schema.

`install` it in a throw-away database, `read` it, and check it with `proof.conformance.violations`.
"""

from dataclasses import replace
from typing import Any

from proof.conformance import Seen, Transition

_TABLE = "proof_transition"
_INSTALL = f"""
    CREATE TABLE IF NOT EXISTS {_TABLE} (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        execution_id uuid NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
        was_status text, was_attempts int, was_owner text, was_leased boolean, was_queued boolean, was_due boolean,
        was_begun boolean,
        status text NOT NULL, attempts int NOT NULL, owner text, leased boolean NOT NULL, queued boolean NOT NULL,
        due boolean NOT NULL, begun boolean NOT NULL
    );
    CREATE OR REPLACE FUNCTION {_TABLE}_log() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO {_TABLE} (execution_id, status, attempts, owner, leased, queued, due, begun)
            VALUES (NEW.id, NEW.status, NEW.attempts, NEW.lease_owner, NEW.lease_expires_at IS NOT NULL, NEW.queued,
                    coalesce(NEW.status = 'pending' AND NEW.next_attempt_at <= clock_timestamp(), false),
                    NEW.step <> '');
        ELSE
            INSERT INTO {_TABLE} (
                execution_id, was_status, was_attempts, was_owner, was_leased, was_queued, was_due, was_begun,
                status, attempts, owner, leased, queued, due, begun)
            VALUES (NEW.id, OLD.status, OLD.attempts, OLD.lease_owner, OLD.lease_expires_at IS NOT NULL, OLD.queued,
                    coalesce(OLD.status = 'pending' AND OLD.next_attempt_at <= clock_timestamp(), false),
                    OLD.step <> '',
                    NEW.status, NEW.attempts, NEW.lease_owner, NEW.lease_expires_at IS NOT NULL, NEW.queued,
                    coalesce(NEW.status = 'pending' AND NEW.next_attempt_at <= clock_timestamp(), false),
                    NEW.step <> '');
        END IF;
        RETURN NULL;
    END $$;
    CREATE OR REPLACE TRIGGER {_TABLE}_births AFTER INSERT ON runs_execution
        FOR EACH ROW EXECUTE FUNCTION {_TABLE}_log();
    CREATE OR REPLACE TRIGGER {_TABLE}_moves AFTER UPDATE ON runs_execution
        FOR EACH ROW WHEN (
            (OLD.status, OLD.attempts, OLD.lease_owner, OLD.lease_expires_at IS NULL, OLD.queued, OLD.step <> '')
            IS DISTINCT FROM
            (NEW.status, NEW.attempts, NEW.lease_owner, NEW.lease_expires_at IS NULL, NEW.queued, NEW.step <> '')
        ) EXECUTE FUNCTION {_TABLE}_log();
"""
_READ = f"""
    SELECT execution_id::text, transaction, at, was_status, was_attempts, was_owner, was_leased, was_queued, was_due,
           was_begun, status, attempts, owner, leased, queued, due, begun
      FROM {_TABLE} ORDER BY id
"""
_REMOVE = f"""
    DROP TRIGGER IF EXISTS {_TABLE}_births ON runs_execution;
    DROP TRIGGER IF EXISTS {_TABLE}_moves ON runs_execution;
    DROP FUNCTION IF EXISTS {_TABLE}_log();
    DROP TABLE IF EXISTS {_TABLE};
"""


def install(cursor: Any) -> None:
    """Log every new execution, and every change of its status, attempts, owner, lease or queue, and its first step.

    An entry belongs to the transaction of its change, and is rolled back with it.
    """
    cursor.execute(_INSTALL)


def read(cursor: Any) -> list[Transition]:
    """All transitions. Those of one execution are in order, since each holds the row's lock.

    A transaction is one step of the model, and its updates of a row are one transition, as where a claim moves a
    workflow on.
    """
    cursor.execute(_READ)
    steps: dict[tuple[str, str], Transition] = {}
    for execution_id, transaction, at, *both in cursor.fetchall():
        was, now = both[:7], Seen(*both[7:])
        key = (execution_id, transaction)
        if key in steps:
            steps[key] = replace(steps[key], at=at, after=now)
        else:
            steps[key] = Transition(execution_id, at, None if was[0] is None else Seen(*was), now)
    return list(steps.values())


def remove(cursor: Any) -> None:
    """Remove the trigger and the log."""
    cursor.execute(_REMOVE)
