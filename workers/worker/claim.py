"""Claims pending executions for this worker, one UPDATE for a batch; renews their leases and gives them back."""

import datetime
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from accounts.quota import month_of
from accounts.usage import count_started, uncount
from core.failpoints import failpoint
from runs.attempts.contract import AttemptKey
from runs.live_tail.publish import publish
from runs.postgres_text import array
from runs.restore_guard import IS_COPY
from workers.connections import Link
from workers.worker.claimed import Claimed, ClaimedRow
from workers.worker.held_bodies import HeldBodies
from workers.worker.prepare import Preparation, Preparer
from workers.worker.steps import next_calls
from workers.worker.unreadable import return_unreadable

_RETURNED = """
    execution.id::text, execution.workspace_id::text, execution.job_id::text, execution.environment_id::text,
    execution.job_environment_id::text, execution.job_version_id::text, execution.trigger, execution.attempts,
    execution.scheduled_for, execution.next_attempt_at, clock_timestamp(), execution.step, execution.step_attempts,
    execution.started_at
"""
_CLAIM = f"""
    UPDATE runs_execution AS execution
       SET status = 'running', attempts = execution.attempts + 1,
           lease_owner = %(owner)s, lease_expires_at = clock_timestamp() + %(lease)s * interval '1 second',
           started_at = coalesce(execution.started_at, clock_timestamp())
      FROM (
          SELECT id FROM runs_execution
           WHERE {{wanted}} AND status = 'pending' AND next_attempt_at <= clock_timestamp() AND NOT {IS_COPY}
           ORDER BY {{order}} LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
      ) AS wanted
     WHERE execution.id = wanted.id
 RETURNING """  # noqa: S608 - our own text
_CLAIM_IDS = _CLAIM.format(wanted="id = ANY(%(ids)s::uuid[]) AND concurrency IS NULL", order="id") + _RETURNED
_CLAIM_ANY = _CLAIM.format(wanted="finished_at IS NULL AND concurrency IS NULL", order="next_attempt_at") + _RETURNED
# The executions of jobs with a concurrency limit are claimed separately, one job at a time.
_LIMITED_JOBS = """
    SELECT DISTINCT job_id::text FROM runs_execution
     WHERE concurrency IS NOT NULL AND finished_at IS NULL AND status = 'pending'
       AND next_attempt_at <= clock_timestamp() AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s::uuid[]))
     ORDER BY 1
"""
_LOCK_JOB = "SELECT pg_advisory_xact_lock(hashtextextended('concurrency ' || %s, 0))"
_RUNNING_OF_JOB = """
    SELECT count(*) FILTER (WHERE status = 'running') FROM runs_execution
     WHERE job_id = %s AND concurrency IS NOT NULL AND finished_at IS NULL
"""
# In order: each execution may start while fewer run than its own version allows.
_CLAIM_LIMITED = (
    _CLAIM.format(
        wanted="""id IN (
               SELECT id FROM (
                   SELECT id, concurrency, row_number() OVER (ORDER BY next_attempt_at, id) AS place
                     FROM runs_execution
                    WHERE job_id = %(job)s AND concurrency IS NOT NULL AND finished_at IS NULL AND status = 'pending'
                      AND next_attempt_at <= clock_timestamp()
               ) AS line WHERE %(running)s + place <= concurrency
           )""",
        order="next_attempt_at, id",
    )
    + _RETURNED
)
# An attempt is this worker's while its execution is running with this owner and this number. A single expression over
# both sides makes PostgreSQL look the executions up by their ids (see `runs.attempts.fence`).
_IS_OURS = """
    CASE WHEN execution.status = 'running'
         THEN execution.lease_owner = %(owner)s AND execution.attempts = held.attempts END
"""
_HELD = """
    runs_execution AS execution
      JOIN unnest(%(ids)s::uuid[], %(attempts)s::smallint[]) AS held (id, attempts) ON execution.id = held.id
"""
# Renewing and giving back never wait for a lock: one locked row would delay the leases of all others.
_EXTEND = f"""
    UPDATE runs_execution AS execution SET lease_expires_at = clock_timestamp() + %(lease)s * interval '1 second'
      FROM (SELECT execution.id FROM {_HELD} WHERE {_IS_OURS} FOR NO KEY UPDATE OF execution SKIP LOCKED) AS ours
     WHERE execution.id = ours.id
 RETURNING execution.id::text, execution.attempts
"""  # noqa: S608 - our own text
_STILL_OURS = f"SELECT execution.id::text, execution.attempts FROM {_HELD} WHERE {_IS_OURS}"  # noqa: S608 - our own text
# Back to its beginning goes only what had not begun: a workflow may have waited, or skipped a step, before its first
# attempt, and its time counts from then.
_GIVE_BACK = f"""
    UPDATE runs_execution AS execution
       SET status = 'pending', attempts = attempts - 1, enqueued_at = NULL, lease_owner = NULL, lease_expires_at = NULL,
           started_at = CASE WHEN NOT ours.is_new THEN started_at END,
           step = CASE WHEN NOT ours.is_new THEN step ELSE '' END,
           next_attempt_at = CASE WHEN given.wait_ms > 0
               THEN clock_timestamp() + given.wait_ms * interval '1 millisecond' ELSE execution.next_attempt_at END
      FROM (SELECT * FROM unnest(%(ids)s::uuid[], %(waits)s::bigint[]) AS given (id, wait_ms)) AS given
      JOIN (SELECT execution.id, execution.attempts = 1 AND (execution.step = '' OR NOT EXISTS (
                       SELECT FROM runs_stepstate AS state
                        WHERE state.execution_id = execution.id AND state.started_at IS NOT NULL)) AS is_new
              FROM {_HELD} WHERE {_IS_OURS} FOR NO KEY UPDATE OF execution SKIP LOCKED) AS ours
     USING (id)
     WHERE execution.id = ours.id
 RETURNING execution.id::text, execution.attempts + 1
"""  # noqa: S608 - our own text
_RELEASE = "UPDATE runs_execution SET enqueued_at = NULL WHERE id = ANY(%s::uuid[]) AND status = 'pending'"


class Claimer:
    """Claims for one worker, `owner`, on the caller's link. Every method may raise DatabaseAwayError."""

    def __init__(
        self, *, owner: str, lease_seconds: int, user_agent: str, held_bodies: HeldBodies | None = None
    ) -> None:
        """A body that exceeds the memory left by `held_bodies` is left out, and the attempt marked `is_too_heavy`."""
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._preparer = Preparer(owner=owner, user_agent=user_agent, held_bodies=held_bodies)

    def claim(self, link: Link, ids: Sequence[str], *, limit: int) -> list[Claimed]:
        """Claim those of `ids` that are pending and due. The others are skipped: another worker may have them."""
        return self._claim(link, _CLAIM_IDS, limit=limit, ids=array(ids))

    def claim_any(self, link: Link, *, limit: int) -> list[Claimed]:
        """Claim due executions, the longest due first: for an idle worker, since messages may be lost."""
        return self._claim(link, _CLAIM_ANY, limit=limit)

    def limited_jobs(self, link: Link, ids: Sequence[str] | None = None) -> list[str]:
        """Jobs with a `concurrency` limit and due executions: all, or those that `ids` belong to."""
        with link.transaction() as cursor:
            cursor.execute(_LIMITED_JOBS, {"ids": None if ids is None else list(ids)})
            return [row[0] for row in cursor.fetchall()]

    def claim_of_job(self, link: Link, job_id: str, *, limit: int) -> tuple[list[Claimed], bool]:
        """Claim the due executions of a job within its `concurrency` limit, the longest due first.

        Returns them, and whether workflows moved on without a call: what they leave free may be claimed at once. The
        job's advisory lock is held from the count of running executions until the claim's commit, so that all
        workers together keep the limit.
        """
        with link.transaction() as cursor:
            cursor.execute(_LOCK_JOB, [job_id])
            cursor.execute(_RUNNING_OF_JOB, [job_id])
            parameters = {"job": job_id, "running": cursor.fetchone()[0], "limit": limit}
            claim = self._claim_with(cursor, _CLAIM_LIMITED, parameters)
        return self.prepared(claim), bool(claim.moved)

    def extend(self, link: Link, attempts: Sequence[AttemptKey]) -> set[AttemptKey]:
        """Renew the leases of attempts that this worker holds. Returns those that were renewed.

        The others are locked at the moment, or no longer this worker's: see `lost`.
        """
        with link.transaction() as cursor:
            cursor.execute(_EXTEND, {**self._held(attempts), "lease": self._lease_seconds})
            return set(cursor.fetchall())

    def lost(self, link: Link, attempts: Sequence[AttemptKey]) -> set[AttemptKey]:
        """The attempts that are no longer this worker's: reaped, canceled or claimed again."""
        with link.transaction() as cursor:
            cursor.execute(_STILL_OURS, self._held(attempts))
            return set(attempts) - set(cursor.fetchall())

    def give_back(
        self, link: Link, claimed: Sequence[Claimed], *, wait_ms: Mapping[str, int] | None = None
    ) -> set[AttemptKey]:
        """Move attempts that were never sent from running back to pending, as if neither claimed nor counted.

        `wait_ms` says by execution how long to stay pending; 0 or none keeps its due instant. Returns the attempts that
        moved.
        """
        attempts = [item.attempt.key for item in claimed]
        waits = [(wait_ms or {}).get(execution_id, 0) for execution_id, _ in attempts]
        with link.transaction() as cursor:
            cursor.execute(_GIVE_BACK, {**self._held(attempts), "waits": array(waits)})
            moved = set(cursor.fetchall())
            back = [item for item in claimed if item.attempt.key in moved]
            uncount(cursor, Counter((item.attempt.workspace_id, item.counted_in) for item in back if item.counted_in))
            return moved

    def _held(self, attempts: Sequence[AttemptKey]) -> dict[str, Any]:
        ids, numbers = zip(*attempts, strict=True) if attempts else ((), ())
        return {"ids": array(ids), "attempts": array(numbers), "owner": self._owner}

    def release(self, link: Link, execution_ids: Sequence[str]) -> None:
        """Mark these ids as not enqueued, so that the clock enqueues those still pending at once."""
        with link.transaction() as cursor:
            cursor.execute(_RELEASE, [list(execution_ids)])

    def _claim(self, link: Link, statement: str, *, limit: int, ids: str | None = None) -> list[Claimed]:
        with link.transaction() as cursor:
            claim = self._claim_with(cursor, statement, {"ids": ids, "limit": limit})
        return self.prepared(claim)

    def claim_within(self, cursor: Any, ids: Sequence[str]) -> Preparation:
        """Claim those of `ids` that are due, in the caller's transaction; `prepared` makes their requests after it.

        It ends no workflow, since the caller may have locked job-environments: see `progress`.
        """
        return self._claim_with(cursor, _CLAIM_IDS, {"ids": array(ids), "limit": len(ids)}, may_end=False)

    def _claim_with(
        self, cursor: Any, statement: str, parameters: dict[str, Any], *, may_end: bool = True
    ) -> Preparation:
        """Claim executions and read all that their requests need. Counting comes last: it blocks other claims."""
        asked = time.monotonic()
        cursor.execute(statement, {**parameters, "owner": self._owner, "lease": self._lease_seconds})
        monotonic = time.monotonic()
        rows: Sequence[ClaimedRow] = list(map(ClaimedRow._make, cursor.fetchall()))
        versions = self._preparer.versions(cursor, rows)
        rows = return_unreadable(cursor, rows, versions, owner=self._owner)
        calls, rows, moved, postponed = next_calls(cursor, rows, versions, may_end=may_end)
        workspace_ids = {row.workspace_id for row in rows}
        signing_keys = self._preparer.signing_keys(cursor, workspace_ids)
        allowed_headers = self._preparer.allowed_headers(cursor, workspace_ids)
        renderings = self._preparer.renderings(cursor, rows, versions, calls)
        month = month_of(rows[0].claimed_at) if rows else None
        if rows:
            failpoint("claim.taken")
        refused = _refused(cursor, rows, month) if month else {}
        return Preparation(
            rows, asked, monotonic, versions, renderings, signing_keys, allowed_headers, month, refused, calls, moved,
            postponed,
        )  # fmt: skip

    def prepared(self, claim: Preparation) -> list[Claimed]:
        """Make the requests of a claim, once its transaction is committed."""
        if claim.moved:
            publish((row.workspace_id, row.execution_id) for row in claim.moved)
        if not claim.rows:
            return []
        failpoint("claim.committed")
        return self._preparer.requests(claim)


def _refused(cursor: Any, rows: Sequence[ClaimedRow], month: datetime.date) -> dict[str, str]:
    """Count the claimed executions. Returns by id why its plan does not allow it; those due last are refused first."""
    counts = Counter([row.workspace_id for row in rows])
    refused: dict[str, str] = {}
    for workspace_id, excess in count_started(cursor, counts, month=month).items():
        own = [row for row in rows if row.workspace_id == workspace_id]
        own.sort(key=lambda row: (row.next_attempt_at, row.execution_id))
        refused |= dict.fromkeys([row.execution_id for row in own[-excess.runs :]], excess.reason)
    return refused
