"""From a claimed row to the request that it sends: its version, its variables, its headers, its signature."""

import datetime
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from runs.testcalls.calls import WantedCall
from workers.connections import Link
from workers.delivery.contract import DEFAULT_TLS, DeliveryRequest, TlsOptions
from workers.worker.claimed import AttemptRefusal, Claimed, ClaimedRow
from workers.worker.held_bodies import HeldBodies
from workers.worker.keyring import Keyring
from workers.worker.rendering import Renderer, Rendering
from workers.worker.versions import Version, Versions
from workers.worker.visible_headers import Disclosure


class Preparation(NamedTuple):
    """What a claim's transaction took and read: all that requests are made of once it has ended.

    `asked_monotonic` is from before the claim was sent, `claimed_monotonic` from when it was answered. `refused` says
    by execution why its workspace's plan does not allow it.
    """

    rows: Sequence[ClaimedRow]
    asked_monotonic: float
    claimed_monotonic: float
    versions: Mapping[str, PerEnvironment[Version]]
    renderings: Mapping[str, Rendering]
    month: datetime.date | None
    refused: Mapping[str, str]


class Preparer:
    """Prepares requests for one worker, named by `owner`."""

    def __init__(self, *, owner: str, user_agent: str, held_bodies: HeldBodies | None = None) -> None:
        """What would take more memory than `held_bodies` leaves is prepared without its body, as `is_too_heavy`."""
        self._owner = owner
        self._user_agent = user_agent
        self._held_bodies = held_bodies
        self._versions = Versions(user_agent)
        self._keyring = Keyring(settings.ENCRYPTION_KEYS)
        self._disclosure = Disclosure()
        self._renderer = Renderer()

    def versions(self, cursor: Any, rows: Sequence[ClaimedRow]) -> Mapping[str, PerEnvironment[Version]]:
        """The versions of these rows, read in the claim's transaction. One that can't be read is an `Unread`."""
        return self._versions.read(cursor, {row.job_version_id for row in rows})

    def renderings(
        self, cursor: Any, rows: Sequence[ClaimedRow], versions: Mapping[str, PerEnvironment[Version]]
    ) -> dict[str, Rendering]:
        """Read what these rows are signed with, disclose and are rendered from; the last by execution."""
        workspaces = {row.workspace_id for row in rows}
        self._keyring.refresh(cursor, workspaces)
        self._disclosure.refresh(cursor, workspaces)
        templates = ((row, versions[row.job_version_id].of(row.environment_id).template) for row in rows)
        templated = [(row, template) for row, template in templates if template]
        return self._renderer.renderings(cursor, templated) if templated else {}

    def requests(self, read: Preparation) -> list[Claimed]:
        """The attempts with their requests."""
        run_ids = uuid7_texts_at(read.rows[0].claimed_at, len(read.rows))
        claimed = (self._claimed(row, run_id, read) for row, run_id in zip(read.rows, run_ids, strict=True))
        return list(claimed if self._held_bodies is None else _within(self._held_bodies, claimed))

    def test_call(self, link: Link, wanted: WantedCall) -> Claimed:
        """What a test call sends, as the first attempt of an execution would; it has no lease and is not recorded.

        Raises DatabaseAwayError.
        """
        with link.transaction() as cursor:
            asked = time.monotonic()
            cursor.execute("SELECT clock_timestamp()")
            monotonic, (at,) = time.monotonic(), cursor.fetchone()
            version = self._versions.of(wanted.slug, wanted.config)
            self._keyring.refresh(cursor, [wanted.workspace_id])
            self._disclosure.refresh(cursor, [wanted.workspace_id])
            ids = (wanted.workspace_id, wanted.job_id, wanted.environment_id, wanted.job_environment_id)
            row = ClaimedRow(wanted.call_id, *ids, wanted.job_version_id, Trigger.MANUAL.value, 1, None, at, at)
            renderings = {}
            if version.template:
                facts = (wanted.call_id, at, None, wanted.slug, wanted.environment, exact_json.compact(wanted.input))
                renderings[wanted.call_id] = self._renderer.of_facts(cursor, row, version.template, facts)
        versions = {wanted.job_version_id: PerEnvironment(version, {})}
        (claimed,) = self.requests(Preparation([row], asked, monotonic, versions, renderings, month=None, refused={}))
        return claimed

    def _claimed(self, row: ClaimedRow, run_id: str, read: Preparation) -> Claimed:
        version = read.versions[row.job_version_id].of(row.environment_id)
        rendering, error = read.renderings.get(row.execution_id), None
        attempt = Attempt(run_id, self._owner, *row[:8])
        call, prepared = version.definition.request, version.prepared
        if rendering is not None:
            try:
                call = rendering.request(call)
            except RenderingError as unrenderable:  # an attempt that fails, and sends nothing
                error = str(unrenderable)
        allowed = self._disclosure.allowed(attempt.workspace_id)
        if rendering or allowed:
            prepared = PreparedRequest.of(call, user_agent=self._user_agent, allowed=allowed)
        firing = Firing(attempt.execution_id, version.slug, attempt.number, row.scheduled_for)
        signature = self._keyring.sign(
            attempt.workspace_id,
            execution_id=attempt.execution_id,
            body=call.body,
            at=row.claimed_at,
            monotonic=read.claimed_monotonic,
        )
        own = firing.headers + signature.headers
        sent = prepared.sent(own)
        secrets = tuple(rendering.secrets.values()) if rendering else ()
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
            sent=redact_sent(sent, secrets) if secrets else sent,
            definition=version.definition,
            claimed_at=row.claimed_at,
            claimed_monotonic=read.claimed_monotonic,
            asked_monotonic=read.asked_monotonic,
            queue_ms=min(max(0, round((row.claimed_at - row.next_attempt_at).total_seconds() * 1000)), LONGEST_MS),
            secrets=secrets,
            refusal=_refusal(read.refused.get(attempt.execution_id), error),
            counted_in=None if attempt.execution_id in read.refused else read.month,
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


def _refusal(over_quota: str | None, template_error: str | None) -> AttemptRefusal | None:
    if over_quota is not None:
        return AttemptRefusal(FailureReason.QUOTA_EXCEEDED, over_quota)
    if template_error is not None:
        return AttemptRefusal(FailureReason.TEMPLATE_ERROR, template_error)
    return None
