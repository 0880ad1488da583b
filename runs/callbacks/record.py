"""Writes the attempts of callbacks: fenced transitions, and a row for each attempt."""

import datetime
from collections.abc import Sequence
from typing import Any, NamedTuple

from runs import counters
from runs.postgres_text import clean, sparse_array, text_array
from runs.states import CallbackStatus

#: How much of a response is kept.
KEPT_BYTES = 2048

_MOVE = """
    UPDATE runs_callback AS callback
       SET status = ended.status, lease_owner = NULL, lease_expires_at = NULL,
           finished_at = CASE WHEN ended.status <> 'pending' THEN clock_timestamp() END,
           next_attempt_at = CASE WHEN ended.status = 'pending'
               THEN clock_timestamp() + ended.wait_seconds * interval '1 second' END,
           last_status_code = ended.status_code, last_error = ended.error
      FROM unnest(%s::uuid[], %s::smallint[], %s::text[], %s::float8[], %s::smallint[], %s::text[])
           AS ended (id, attempts, status, wait_seconds, status_code, error)
     WHERE callback.id = ended.id AND callback.status = 'pending' AND callback.lease_owner = %s
       AND callback.attempts = ended.attempts
 RETURNING callback.id::text, callback.attempts
"""
_KEEP = """
    INSERT INTO runs_callbackattempt
           (callback_id, number, started_at, duration_ms, status_code, response_body, error, remote_ip, worker)
    SELECT * FROM unnest(%s::uuid[], %s::smallint[], %s::timestamptz[], %s::int[], %s::smallint[], %s::text[],
                         %s::text[], %s::inet[], %s::text[])
"""
_GIVE_BACK = """
    UPDATE runs_callback AS callback
       SET attempts = callback.attempts - 1, lease_owner = NULL, lease_expires_at = NULL,
           next_attempt_at = clock_timestamp() + unsent.wait_seconds * interval '1 second'
      FROM unnest(%s::uuid[], %s::smallint[], %s::float8[]) AS unsent (id, attempts, wait_seconds)
     WHERE callback.id = unsent.id AND callback.status = 'pending' AND callback.lease_owner = %s
       AND callback.attempts = unsent.attempts
"""


class FinishedCallbackAttempt(NamedTuple):
    """How one attempt ended. `wait_seconds` is None after the last one, and if it was delivered."""

    callback_id: str
    number: int
    delivered: bool
    wait_seconds: float | None
    started_at: datetime.datetime
    duration_ms: int
    status_code: int | None
    response_body: str | None
    error: str
    remote_ip: str | None
    worker: str

    @property
    def status(self) -> CallbackStatus:
        if self.delivered:
            return CallbackStatus.DELIVERED
        return CallbackStatus.FAILED if self.wait_seconds is None else CallbackStatus.PENDING


class UnsentCallback(NamedTuple):
    """An attempt that was not sent, and how long the callback should wait: its number is used again."""

    callback_id: str
    number: int
    wait_seconds: float


def record_callbacks(cursor: Any, finished: Sequence[FinishedCallbackAttempt], *, owner: str) -> set[tuple[str, int]]:
    """Record attempts in the caller's transaction. Returns those that moved their callback.

    An attempt whose lease has expired and which another worker has claimed since moves nothing and leaves no row.
    """
    rows = sorted(finished, key=lambda item: (item.callback_id, item.number))
    moves = [
        (item.callback_id, item.number, item.status.value, item.wait_seconds or 0, item.status_code) for item in rows
    ]
    errors = text_array([clean(item.error) for item in rows])
    cursor.execute(_MOVE, [*map(sparse_array, zip(*moves, strict=True)), errors, owner])
    moved = set(cursor.fetchall())
    kept = [item for item in rows if (item.callback_id, item.number) in moved]
    if kept:
        columns = zip(*map(_attempt, kept), strict=True)
        cursor.execute(_KEEP, list(map(list, columns)))
        ended = [item.status for item in kept if item.status is not CallbackStatus.PENDING]
        counters.add(cursor, counters.of_callbacks(ended))
    return moved


def _attempt(item: FinishedCallbackAttempt) -> tuple[Any, ...]:
    body = None if item.response_body is None else clean(item.response_body)
    return (
        item.callback_id, item.number, item.started_at, item.duration_ms, item.status_code, body, clean(item.error),
        item.remote_ip, item.worker,
    )  # fmt: skip


def give_callbacks_back(cursor: Any, unsent: Sequence[UnsentCallback], *, owner: str) -> None:
    """Return attempts that were never sent, as if they had not been claimed."""
    cursor.execute(_GIVE_BACK, [*map(sparse_array, zip(*unsent, strict=True)), owner])
