"""Makes pending executions this worker's own: one UPDATE for a batch, then the requests to send."""

import datetime
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.conf import settings

from accounts.quota import month_of
from accounts.usage import count_started, uncount
from core import exact_json
from core.failpoints import failpoint
from core.ids import uuid7_texts_at
from jobs.definition.contract import JobDefinition, RequestDefinition
from jobs.definition.overrides import PerEnvironment
from runs.attempts.contract import Attempt, AttemptKey, Sent
from runs.attempts.recording import LONGEST_MS
from runs.attempts.redaction import redact_sent
from runs.attempts.requests import Firing, PreparedRequest
from runs.failures import FailureReason
from runs.postgres_text import array
from runs.restore_guard import IS_COPY
from runs.states import Trigger
from runs.testcalls.calls import WantedCall
from workers.connections import Link
from workers.delivery.contract import DEFAULT_TLS, DeliveryRequest, TlsOptions
from workers.worker.held_bodies import HeldBodies
from workers.worker.keyring import Keyring
from workers.worker.rendering import Material, Rendered, Renderer, Templated
from workers.worker.unread import leave_unread
from workers.worker.versions import Version, Versions
from workers.worker.visible_headers import Disclosure

_RETURNED = """
    execution.id::text, execution.workspace_id::text, execution.job_id::text, execution.environment_id::text,
    execution.job_environment_id::text, execution.job_version_id::text, execution.trigger, execution.attempts,
    execution.scheduled_for, execution.next_attempt_at, clock_timestamp()
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
# The executions of a job with a limit are claimed apart, one job at a time, and wait as they are until then.
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
# One by one in order: each may start while fewer run than its own version allows.
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
# An attempt is this worker's while its execution is running with this owner and this number. It is one expression over
# both sides, so that PostgreSQL looks the executions up by their ids (see `runs.attempts.recording`).
_IS_OURS = """
    CASE WHEN execution.status = 'running'
         THEN execution.lease_owner = %(owner)s AND execution.attempts = held.attempts END
"""
_HELD = """
    runs_execution AS execution
      JOIN unnest(%(ids)s::uuid[], %(attempts)s::smallint[]) AS held (id, attempts) ON execution.id = held.id
"""
# Renewing and giving back never wait for a lock: one row that somebody else holds would hold up the leases of all.
_EXTEND = f"""
    UPDATE runs_execution AS execution SET lease_expires_at = clock_timestamp() + %(lease)s * interval '1 second'
      FROM (SELECT execution.id FROM {_HELD} WHERE {_IS_OURS} FOR NO KEY UPDATE OF execution SKIP LOCKED) AS ours
     WHERE execution.id = ours.id
 RETURNING execution.id::text, execution.attempts
"""  # noqa: S608 - our own text
_STILL_OURS = f"SELECT execution.id::text, execution.attempts FROM {_HELD} WHERE {_IS_OURS}"  # noqa: S608 - our own text
_GIVE_BACK = f"""
    UPDATE runs_execution AS execution
       SET status = 'pending', attempts = attempts - 1, enqueued_at = NULL, lease_owner = NULL, lease_expires_at = NULL,
           started_at = CASE WHEN attempts > 1 THEN started_at END,
           next_attempt_at = CASE WHEN given.wait_ms > 0
               THEN clock_timestamp() + given.wait_ms * interval '1 millisecond' ELSE execution.next_attempt_at END
      FROM (SELECT * FROM unnest(%(ids)s::uuid[], %(waits)s::bigint[]) AS given (id, wait_ms)) AS given
      JOIN (SELECT execution.id FROM {_HELD} WHERE {_IS_OURS} FOR NO KEY UPDATE OF execution SKIP LOCKED) AS ours
     USING (id)
     WHERE execution.id = ours.id
 RETURNING execution.id::text, execution.attempts + 1
"""  # noqa: S608 - our own text
_RELEASE = "UPDATE runs_execution SET enqueued_at = NULL WHERE id = ANY(%s::uuid[]) AND status = 'pending'"


class Refusal(NamedTuple):
    """Why a claimed attempt sends nothing and fails."""

    reason: FailureReason
    error: str


class Claimed(NamedTuple):
    """An attempt that this worker holds, and the request that it sends, unless there is a `refusal`.

    `claimed_at` is the database's clock at `claimed_monotonic`, so that every later instant is told on that clock.
    `asked_monotonic` is from before the claim was sent: the lease ends no earlier than its seconds after that.
    `queue_ms` is how long the execution had been due. `secrets` holds the values that its run must not show.
    `counted_in` is the month in whose usage it is counted; None: its workspace's plan does not allow it.
    `is_too_heavy`: this worker has no memory for its body, which was left out; the attempt is to be given back.
    """

    attempt: Attempt
    request: DeliveryRequest
    sent: Sent
    definition: JobDefinition
    claimed_at: datetime.datetime
    claimed_monotonic: float
    asked_monotonic: float
    queue_ms: int
    secrets: tuple[str, ...] = ()
    refusal: Refusal | None = None
    counted_in: datetime.date | None = None
    is_too_heavy: bool = False

    @property
    def bodies(self) -> tuple[bytes | None, bytes | None]:
        """What it sends, and what history keeps of that: the same, but for secrets."""
        return self.request.body, self.sent.body

    def __repr__(self) -> str:
        return f"Claimed({self.request!r}, {self.claimed_at!r})"


class _Taken(NamedTuple):
    """What a claim's transaction took and read: all that requests are made of once it has ended."""

    rows: Sequence[tuple[Any, ...]]
    asked_monotonic: float
    monotonic: float
    versions: Mapping[str, PerEnvironment[Version]]
    material: Mapping[str, Material]
    month: datetime.date | None
    refused: Mapping[str, str]


class Claimer:
    """Claims for one worker, named by `owner`, on the caller's link. Every verb may raise DatabaseAwayError."""

    def __init__(
        self, *, owner: str, lease_seconds: int, user_agent: str, held_bodies: HeldBodies | None = None
    ) -> None:
        """What would take more memory than `held_bodies` leaves is claimed without its body, as `is_too_heavy`."""
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._user_agent = user_agent
        self._versions = Versions(user_agent)
        self._held_bodies = held_bodies
        self._keyring = Keyring(settings.ENCRYPTION_KEYS)
        self._disclosure = Disclosure()
        self._renderer = Renderer()

    def claim(self, link: Link, ids: Sequence[str], *, limit: int) -> list[Claimed]:
        """Claim those of `ids` that are pending and due. An id that is neither is somebody else's: no error."""
        return self._claim(link, _CLAIM_IDS, limit=limit, ids=array(ids))

    def claim_any(self, link: Link, *, limit: int) -> list[Claimed]:
        """Claim whatever is due, the longest due first: for an idle worker whose messages may be lost."""
        return self._claim(link, _CLAIM_ANY, limit=limit)

    def limited_jobs(self, link: Link, ids: Sequence[str] | None = None) -> list[str]:
        """Jobs with a `concurrency` of which something is due: all, or those that `ids` belong to."""
        with link.transaction() as cursor:
            cursor.execute(_LIMITED_JOBS, {"ids": None if ids is None else list(ids)})
            return [row[0] for row in cursor.fetchall()]

    def claim_of_job(self, link: Link, job_id: str, *, limit: int) -> list[Claimed]:
        """Claim what is due of a job with a `concurrency`, the longest due first, as far as it leaves places.

        The job's lock is held from counting what runs until the claim is committed, so that any number of workers
        together keep to the limit.
        """
        with link.transaction() as cursor:
            cursor.execute(_LOCK_JOB, [job_id])
            cursor.execute(_RUNNING_OF_JOB, [job_id])
            wanted = {"job": job_id, "running": cursor.fetchone()[0], "limit": limit}
            taken = self._taken_by(cursor, _CLAIM_LIMITED, wanted)
        return self._made(taken)

    def extend(self, link: Link, attempts: Sequence[AttemptKey]) -> set[AttemptKey]:
        """Renew the leases of attempts that this worker holds. Returns those that were renewed.

        Another is locked by somebody just now, or not this worker's any more: `lost` tells which.
        """
        with link.transaction() as cursor:
            cursor.execute(_EXTEND, {**self._held(attempts), "lease": self._lease_seconds})
            return set(cursor.fetchall())

    def lost(self, link: Link, attempts: Sequence[AttemptKey]) -> set[AttemptKey]:
        """Those of these attempts that are not this worker's any more: reaped, canceled or claimed again."""
        with link.transaction() as cursor:
            cursor.execute(_STILL_OURS, self._held(attempts))
            return set(attempts) - set(cursor.fetchall())

    def give_back(
        self, link: Link, given: Sequence[Claimed], *, wait_ms: Mapping[str, int] | None = None
    ) -> set[AttemptKey]:
        """running -> pending for attempts whose request was never sent, as if they had not been claimed, or counted.

        `wait_ms` says by execution how long it should stay; 0, or left out, leaves its instant as it is. Returns the
        attempts that moved.
        """
        attempts = [item.attempt.key for item in given]
        waits = [(wait_ms or {}).get(execution_id, 0) for execution_id, _ in attempts]
        with link.transaction() as cursor:
            cursor.execute(_GIVE_BACK, {**self._held(attempts), "waits": array(waits)})
            moved = set(cursor.fetchall())
            back = [item for item in given if item.attempt.key in moved]
            uncount(cursor, Counter((item.attempt.workspace_id, item.counted_in) for item in back if item.counted_in))
            return moved

    def _held(self, attempts: Sequence[AttemptKey]) -> dict[str, Any]:
        ids, numbers = zip(*attempts, strict=True) if attempts else ((), ())
        return {"ids": array(ids), "attempts": array(numbers), "owner": self._owner}

    def release(self, link: Link, execution_ids: Sequence[str]) -> None:
        """Tell the clock that these ids are not on their way any more, so that it sends those still pending at once."""
        with link.transaction() as cursor:
            cursor.execute(_RELEASE, [list(execution_ids)])

    def prepared(self, link: Link, wanted: WantedCall) -> Claimed:
        """What a test call sends, as the first attempt of an execution would; it has no lease and is not recorded."""
        with link.transaction() as cursor:
            asked = time.monotonic()
            cursor.execute("SELECT clock_timestamp()")
            monotonic, (at,) = time.monotonic(), cursor.fetchone()
            version = self._versions.of(wanted.slug, wanted.config)
            self._keyring.refresh(cursor, [wanted.workspace_id])
            self._disclosure.refresh(cursor, [wanted.workspace_id])
            material = {}
            if version.template:
                item = Templated(wanted.call_id, wanted.workspace_id, wanted.environment_id, version.template)
                facts = (wanted.call_id, at, None, wanted.slug, wanted.environment, exact_json.compact(wanted.input))
                material[wanted.call_id] = self._renderer.material_of(cursor, item, facts)
        ids = (wanted.workspace_id, wanted.job_id, wanted.environment_id, wanted.job_environment_id)
        row = (wanted.call_id, *ids, wanted.job_version_id, Trigger.MANUAL.value, 1, None, at, at)
        versions = {wanted.job_version_id: PerEnvironment(version, {})}
        (made,) = self._made(_Taken([row], asked, monotonic, versions, material, month=None, refused={}))
        return made

    def _claim(self, link: Link, statement: str, *, limit: int, ids: str | None = None) -> list[Claimed]:
        with link.transaction() as cursor:
            taken = self._taken_by(cursor, statement, {"ids": ids, "limit": limit})
        return self._made(taken)

    def _taken_by(self, cursor: Any, statement: str, wanted: dict[str, Any]) -> _Taken:
        """Take executions and read what belongs to them; last of all count them, since that holds up other claims."""
        asked = time.monotonic()
        cursor.execute(statement, {**wanted, "owner": self._owner, "lease": self._lease_seconds})
        monotonic = time.monotonic()
        rows = cursor.fetchall()
        versions = self._versions.read(cursor, {row[5] for row in rows})
        rows = leave_unread(cursor, rows, versions, owner=self._owner)
        workspaces = {row[1] for row in rows}
        self._keyring.refresh(cursor, workspaces)
        self._disclosure.refresh(cursor, workspaces)
        held = [(row, versions[row[5]].of(row[3])) for row in rows]
        templated = [Templated(row[0], row[1], row[3], version.template) for row, version in held if version.template]
        material = self._renderer.material(cursor, templated) if templated else {}
        month = month_of(rows[0][-1]) if rows else None
        if rows:
            failpoint("claim.taken")
        refused = _refused(cursor, rows, month) if month else {}
        return _Taken(rows, asked, monotonic, versions, material, month, refused)

    def _made(self, taken: _Taken) -> list[Claimed]:
        if not taken.rows:
            return []
        failpoint("claim.committed")
        run_ids = uuid7_texts_at(taken.rows[0][-1], len(taken.rows))
        claimed = (self._claimed(row, run_id, taken) for row, run_id in zip(taken.rows, run_ids, strict=True))
        return list(claimed if self._held_bodies is None else _within(self._held_bodies, claimed))

    def _claimed(self, row: tuple[Any, ...], run_id: str, taken: _Taken) -> Claimed:
        *held, scheduled_for, next_attempt_at, claimed_at = row
        version, material = taken.versions[row[5]].of(row[3]), taken.material.get(row[0])
        attempt = Attempt(run_id, self._owner, *held)
        call, prepared, rendered = version.definition.request, version.prepared, None
        if material is not None:
            rendered = material.render(call)
            call = rendered.request
        allowed = self._disclosure.allowed(attempt.workspace_id)
        if rendered or allowed:
            prepared = PreparedRequest.of(call, user_agent=self._user_agent, allowed=allowed)
        firing = Firing(attempt.execution_id, version.slug, attempt.number, scheduled_for)
        signature = self._keyring.sign(
            attempt.workspace_id,
            execution_id=attempt.execution_id,
            body=call.body,
            at=claimed_at,
            monotonic=taken.monotonic,
        )
        own = firing.headers + signature.headers
        sent = prepared.sent(own)
        return Claimed(
            attempt=attempt,
            request=DeliveryRequest(
                run_id=attempt.run_id,
                execution_id=attempt.execution_id,
                attempt=attempt.number,
                workspace_id=attempt.workspace_id,
                method=call.method,
                url=call.url,
                headers=prepared.headers + own,
                body=call.body,
                timeout_seconds=call.timeout_seconds,
                tls=_tls(call),
                success_statuses=version.definition.success_statuses,
                signature=signature,
            ),
            sent=redact_sent(sent, rendered.secrets) if rendered and rendered.secrets else sent,
            definition=version.definition,
            claimed_at=claimed_at,
            claimed_monotonic=taken.monotonic,
            asked_monotonic=taken.asked_monotonic,
            queue_ms=min(max(0, round((claimed_at - next_attempt_at).total_seconds() * 1000)), LONGEST_MS),
            secrets=rendered.secrets if rendered else (),
            refusal=_refusal(taken.refused.get(attempt.execution_id), rendered),
            counted_in=None if attempt.execution_id in taken.refused else taken.month,
        )


def _within(held: HeldBodies, claimed: Iterable[Claimed]) -> Iterator[Claimed]:
    """These, each without its body if there is no memory for it: one is rendered at a time, and let go at once."""
    batch = HeldBodies()
    for item in claimed:
        batch.add(item.attempt.workspace_id, *item.bodies)
        if not item.request.body or batch.leave_room(held, item.attempt.workspace_id):
            yield item
        else:
            batch.remove(item.attempt.workspace_id, *item.bodies)
            request, sent = item.request._replace(body=None), item.sent._replace(body=None)
            yield item._replace(request=request, sent=sent, is_too_heavy=True)


def _tls(call: RequestDefinition) -> TlsOptions:
    if call.tls_verify and call.ca_cert is None and call.client_cert is None:
        return DEFAULT_TLS
    shown = call.client_cert
    if shown is None:
        return TlsOptions(call.tls_verify, call.ca_cert)
    return TlsOptions(call.tls_verify, call.ca_cert, shown.cert, shown.key)


def _refused(cursor: Any, rows: Sequence[tuple[Any, ...]], month: datetime.date) -> dict[str, str]:
    """Count what was claimed; by id, why those may not run that their plan does not allow: the ones due last."""
    counts = Counter([row[1] for row in rows])
    refused: dict[str, str] = {}
    for workspace_id, excess in count_started(cursor, counts, month=month).items():
        own = sorted((row for row in rows if row[1] == workspace_id), key=lambda row: (row[-2], row[0]))
        refused |= dict.fromkeys([row[0] for row in own[-excess.runs :]], excess.reason)
    return refused


def _refusal(over_quota: str | None, rendered: Rendered | None) -> Refusal | None:
    if over_quota is not None:
        return Refusal(FailureReason.QUOTA_EXCEEDED, over_quota)
    if rendered is not None and rendered.error is not None:
        return Refusal(FailureReason.TEMPLATE_ERROR, rendered.error)
    return None
