"""Turns claimed rows into requests: version, variables, headers, signature."""

import datetime
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.conf import settings

from core import exact_json
from core.ids import uuid7_texts_at
from jobs.definition.contract import RequestDefinition
from jobs.definition.overrides import PerEnvironment
from jobs.definition.templates import RenderingError
from runs.attempts.contract import Attempt
from runs.attempts.recording import LONGEST_MS
from runs.attempts.redaction import redact_sent
from runs.attempts.requests import Firing, PreparedRequest
from runs.failures import FailureReason
from runs.states import Trigger
from runs.testcalls.calls import CallRequest
from runs.workflows.progress import StepCall
from workers.connections import Link
from workers.delivery.contract import DEFAULT_TLS, DeliveryRequest, TlsOptions
from workers.delivery.signing import Signature, SigningKey, message_id_of
from workers.worker.claimed import AttemptRefusal, Claimed, ClaimedRow
from workers.worker.held_bodies import HeldBodies
from workers.worker.keyring import Keyring
from workers.worker.rendering import Renderer, Rendering
from workers.worker.steps import kept_body_bytes, limited_timeout, message_key, step_version
from workers.worker.versions import AnyVersion, Versions
from workers.worker.visible_headers import VisibleHeaders

_NO_HEADERS: frozenset[str] = frozenset()


class Preparation(NamedTuple):
    """The rows that a claim's transaction took, and all that it read to make their requests after it has ended.

    `asked_monotonic` is from before the claim was sent, `claimed_monotonic` from when it was answered. By workspace:
    `signing_keys`, and `allowed_headers` that history shows. By execution: `renderings`, in `refused` why its
    workspace's plan does not allow it, and in `calls` the step of a workflow that it calls.
    `moved` are the rows of workflows that now wait or have ended, `postponed` those that are pending again.
    """

    rows: Sequence[ClaimedRow]
    asked_monotonic: float
    claimed_monotonic: float
    versions: Mapping[str, PerEnvironment[AnyVersion]]
    renderings: Mapping[str, Rendering]
    signing_keys: Mapping[str, tuple[SigningKey, ...]]
    allowed_headers: Mapping[str, frozenset[str]]
    month: datetime.date | None
    refused: Mapping[str, str]
    calls: Mapping[str, StepCall] = {}
    moved: Sequence[ClaimedRow] = ()
    postponed: Sequence[ClaimedRow] = ()

    @property
    def execution_ids(self) -> set[str]:
        """The executions that the claim took and did not put back, whether they are called now or moved on."""
        return {row.execution_id for row in (*self.rows, *self.moved)}


class Preparer:
    """Prepares the requests of one worker, `owner`."""

    def __init__(self, *, owner: str, user_agent: str, held_bodies: HeldBodies | None = None) -> None:
        """A body that exceeds the memory left by `held_bodies` is left out, and the attempt marked `is_too_heavy`."""
        self._owner = owner
        self._user_agent = user_agent
        self._held_bodies = held_bodies
        self._versions = Versions(user_agent)
        self._keyring = Keyring(settings.ENCRYPTION_KEYS)
        self._visible_headers = VisibleHeaders()
        self._renderer = Renderer()

    def versions(self, cursor: Any, rows: Sequence[ClaimedRow]) -> Mapping[str, PerEnvironment[AnyVersion]]:
        """The versions of these rows, in the claim's transaction. One that can't be read is an `UnreadableReason`."""
        return self._versions.read(cursor, {row.job_version_id for row in rows})

    def signing_keys(self, cursor: Any, workspace_ids: Collection[str]) -> dict[str, tuple[SigningKey, ...]]:
        """The keys that sign these workspaces' requests, in the claim's transaction."""
        return self._keyring.keys_of(cursor, workspace_ids)

    def allowed_headers(self, cursor: Any, workspace_ids: Collection[str]) -> dict[str, frozenset[str]]:
        """The headers that these workspaces' history may show, in the claim's transaction."""
        return self._visible_headers.allowed(cursor, workspace_ids)

    def renderings(
        self,
        cursor: Any,
        rows: Sequence[ClaimedRow],
        versions: Mapping[str, PerEnvironment[AnyVersion]],
        calls: Mapping[str, StepCall],
    ) -> dict[str, Rendering]:
        """The renderings, by execution, of those rows whose request has variables, in the claim's transaction."""
        plain, of_steps = [], []
        for row in rows:
            call = calls.get(row.execution_id)
            template = step_version(versions[row.job_version_id].of(row.environment_id), call).template
            if template and call:
                of_steps.append((row, template, call))
            elif template:
                plain.append((row, template))
        renderings = self._renderer.renderings(cursor, plain) if plain else {}
        return renderings | self._renderer.of_steps(cursor, of_steps) if of_steps else renderings

    def requests(self, read: Preparation) -> list[Claimed]:
        """Make the attempts with their requests."""
        run_ids = uuid7_texts_at(read.rows[0].claimed_at, len(read.rows))
        claimed = (self._claimed(row, run_id, read) for row, run_id in zip(read.rows, run_ids, strict=True))
        return list(claimed if self._held_bodies is None else _within(self._held_bodies, claimed))

    def test_call(self, link: Link, wanted: CallRequest) -> Claimed:
        """Prepare a test call like the first attempt of an execution; it has no lease and is not recorded.

        Raises DatabaseAwayError.
        """
        with link.transaction() as cursor:
            asked = time.monotonic()
            cursor.execute("SELECT clock_timestamp()")
            monotonic, (at,) = time.monotonic(), cursor.fetchone()
            version = step_version(self._versions.of(wanted.slug, wanted.config), None)
            signing_keys = self.signing_keys(cursor, [wanted.workspace_id])
            allowed_headers = self.allowed_headers(cursor, [wanted.workspace_id])
            ids = (wanted.workspace_id, wanted.job_id, wanted.environment_id, wanted.job_environment_id)
            row = ClaimedRow(wanted.call_id, *ids, wanted.job_version_id, Trigger.MANUAL.value, 1, None, at, at)
            renderings = {}
            if version.template:
                given = exact_json.compact(wanted.input)
                facts = (wanted.call_id, at, None, wanted.slug, wanted.environment, given, None)
                renderings[wanted.call_id] = self._renderer.of_facts(cursor, row, version.template, facts)
        versions: dict[str, PerEnvironment[AnyVersion]] = {wanted.job_version_id: PerEnvironment(version, {})}
        preparation = Preparation(
            [row], asked, monotonic, versions, renderings, signing_keys, allowed_headers, month=None, refused={}
        )
        (claimed,) = self.requests(preparation)
        return claimed

    def _claimed(self, row: ClaimedRow, run_id: str, read: Preparation) -> Claimed:
        step = read.calls.get(row.execution_id)
        version = step_version(read.versions[row.job_version_id].of(row.environment_id), step)
        rendering, error = read.renderings.get(row.execution_id), None
        attempt = Attempt(run_id, self._owner, *row[:8], *((step.step.id, step.number) if step else ()))
        call, prepared = version.definition.request, version.prepared
        if rendering is not None:
            try:
                call = rendering.request(call)
            except RenderingError as unrenderable:  # the attempt fails, and sends nothing
                error = str(unrenderable)
        allowed = read.allowed_headers.get(attempt.workspace_id, _NO_HEADERS)
        if rendering or allowed:
            prepared = PreparedRequest.of(call, user_agent=self._user_agent, allowed=allowed)
        key = message_key(attempt.execution_id, step)
        firing = Firing(attempt.execution_id, version.slug, attempt.run_number, row.scheduled_for, attempt.step, key)
        signature = Signature.create(
            read.signing_keys.get(attempt.workspace_id, ()),
            message_id=message_id_of(key),
            body=call.body,
            at=row.claimed_at,
            monotonic=read.claimed_monotonic,
        )
        own = firing.headers + signature.headers
        sent = prepared.sent(own)
        secrets = (*(rendering.secrets.values() if rendering else ()), *(step.hidden if step else ()))
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
                timeout_seconds=limited_timeout(call.timeout_seconds, step, row.claimed_at),
                tls=_tls(call),
                success_statuses=version.definition.success_statuses,
                signature=signature,
                kept_body_bytes=kept_body_bytes(step),
            ),
            sent=redact_sent(sent, secrets) if secrets else sent,
            definition=version.definition,
            claimed_at=row.claimed_at,
            claimed_monotonic=read.claimed_monotonic,
            asked_monotonic=read.asked_monotonic,
            queue_ms=min(max(0, round((row.claimed_at - row.next_attempt_at).total_seconds() * 1000)), LONGEST_MS),
            secrets=secrets,
            refusal=_refusal(read.refused.get(attempt.execution_id), error),
            counted_in=None if attempt.execution_id in read.refused else read.month,
            step=step,
        )


def _within(held: HeldBodies, claimed: Iterable[Claimed]) -> Iterator[Claimed]:
    """Leave out each body that there is no memory for. Lazy, so that only one such body is in memory at a time."""
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
    identity = call.client_cert
    if identity is None:
        return TlsOptions(call.tls_verify, call.ca_cert)
    return TlsOptions(call.tls_verify, call.ca_cert, identity.cert, identity.key)


def _refusal(over_quota: str | None, template_error: str | None) -> AttemptRefusal | None:
    if over_quota is not None:
        return AttemptRefusal(FailureReason.QUOTA_EXCEEDED, over_quota)
    if template_error is not None:
        return AttemptRefusal(FailureReason.TEMPLATE_ERROR, template_error)
    return None
