"""Takes an inbound webhook: one query that finds its job, one insert that keeps what came.

The sender learns nothing of it. A URL that is unknown costs the same two statements, of which the second inserts no
row. Executions are made afterwards, by `runs.webhooks.dispatch`.
"""

import datetime
import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from accounts.tokens import Purpose, TokenSubject, subject_of
from core import exact_json
from core.ids import uuid7
from jobs.definition.conditions import InvalidConditionError
from jobs.definition.reading import UNREADABLE
from jobs.definition.webhook import WebhookDefinition
from runs import counters
from runs.inbound import InboundRequest, unproven
from runs.postgres_text import clean
from runs.queue import WEBHOOKS_TASK, wake_on_commit
from runs.states import MAX_DEPTH, WebhookReason, WebhookStatus

#: Headers that name a delivery, so that one that is sent twice fires once.
_DEDUP_HEADERS = ("webhook-id", "svix-id", "x-github-delivery", "idempotency-key")
_DEPTH = re.compile(r"[0-9]{1,4}")
_MAX_KEPT_CHARACTERS = 4096
NOBODY = TokenSubject(uuid.UUID(int=0), 0)
# The secret is read by the name that the version gives it: as `{{secrets.NAME}}`.
_TARGET = r"""
    SELECT job.id::text, job.workspace_id::text, version.config,
           (SELECT json_agg(json_build_object('id', row.id, 'environment_id', environment.id,
                                              'slug', environment.slug, 'enabled', row.enabled))
              FROM jobs_jobenvironment AS row JOIN accounts_environment AS environment
                ON environment.id = row.environment_id
             WHERE row.job_id = job.id),
           (SELECT json_object_agg(coalesce(secret.environment_id::text, ''), encode(secret.encrypted, 'base64'))
              FROM accounts_secret AS secret
             WHERE secret.workspace_id = job.workspace_id
               AND secret.name = substring(version.config #>> '{webhook,verify,secret}' FROM 'secrets\.([A-Z0-9_]+)'))
      FROM jobs_job AS job JOIN jobs_jobversion AS version ON version.id = job.current_version_id
     WHERE job.id = %(job)s AND job.deleted_at IS NULL
       AND (job.webhook_number = %(number)s
            OR job.webhook_number = %(number)s + 1 AND job.previous_webhook_until > clock_timestamp())
"""
_INSERT = """
    INSERT INTO runs_webhookdelivery
           (id, workspace_id, job_id, environment_id, job_environment_id, received_at, status, reason, dedup_key, depth,
            content_type, body_bytes, payload)
    SELECT %s, job.workspace_id, job.id, %s, %s, clock_timestamp(), %s, %s, %s, %s, %s, %s, %s::jsonb
      FROM jobs_job AS job WHERE job.id = %s
"""


@dataclass(frozen=True, slots=True)
class _Target:
    """The job of a URL. `job_environments` and `secrets` are as the query reads them."""

    job_id: str
    workspace_id: str
    config: dict[str, Any]
    job_environments: list[dict[str, Any]]
    secrets: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Outcome:
    status: WebhookStatus
    reason: WebhookReason | None = None
    job_environment: Mapping[str, Any] | None = None
    kept_headers: Mapping[str, str] | None = None
    is_signed: bool = False


def receive(token: str, request: InboundRequest, *, now: datetime.datetime) -> bool:
    """Keep a request to the webhook's URL of this token. Returns whether it is rightly signed.

    Raises the database's errors, and EncryptionKeyError: what is not kept must not be confirmed.
    """
    subject = subject_of(Purpose.WEBHOOK, token) or NOBODY
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_TARGET, {"job": subject.row_id, "number": subject.number})
        row = cursor.fetchone()
        target = _Target(row[0], row[1], json.loads(row[2]), row[3] or [], row[4] or {}) if row else None
        outcome = _judged(target, request, now=now) if target else _Outcome(WebhookStatus.REFUSED)
        _keep(cursor, subject.row_id if target else NOBODY.row_id, request, outcome)
        if target and outcome.status is WebhookStatus.REFUSED:
            counters.add(cursor, counters.of_webhooks([outcome.status]))
        if outcome.status is WebhookStatus.RECEIVED:
            wake_on_commit(WEBHOOKS_TASK)
    return outcome.is_signed


def _judged(target: _Target, request: InboundRequest, *, now: datetime.datetime) -> _Outcome:
    if UNREADABLE in target.config:
        return _refused(WebhookReason.UNREADABLE)
    try:
        webhook = WebhookDefinition.of(target.config)
    except (InvalidConditionError, KeyError, ValueError, TypeError):
        return _refused(WebhookReason.UNREADABLE)
    if not webhook.enabled:
        return _refused(WebhookReason.DISABLED)
    if request.body is None:
        return _refused(WebhookReason.TOO_LARGE)
    job_environment, misplaced = _job_environment(target, request.query.get("environment"))
    own = str(job_environment["environment_id"]) if job_environment else ""
    secret = target.secrets.get(own, target.secrets.get(""))
    problem = unproven(request, webhook.preset, header=webhook.header, encrypted_secret=secret, now=now)
    if problem is not None:
        return _refused(WebhookReason(problem.value))
    if (reason := request.problem or misplaced) is not None:
        return _Outcome(WebhookStatus.REFUSED, reason, is_signed=True)
    kept = {name: request.headers[name] for name in webhook.kept_headers if name in request.headers}
    return _Outcome(WebhookStatus.RECEIVED, None, job_environment, kept, is_signed=True)


def _refused(reason: WebhookReason) -> _Outcome:
    return _Outcome(WebhookStatus.REFUSED, reason)


def _job_environment(target: _Target, named: str | None) -> tuple[Mapping[str, Any] | None, WebhookReason | None]:
    """The job in the environment that the URL's query names, else in the only one it is enabled in; or why in none."""
    enabled = [one for one in target.job_environments if one["enabled"]]
    candidates = [one for one in enabled if named in (None, one["slug"])]
    if len(candidates) == 1:
        return candidates[0], None
    return None, WebhookReason.AMBIGUOUS_ENVIRONMENT if candidates else WebhookReason.NOT_ENABLED


def _keep(cursor: Any, job_id: uuid.UUID, request: InboundRequest, outcome: _Outcome) -> None:
    """Insert the delivery; for a job that there is not, the same statement inserts no row."""
    place, payload = outcome.job_environment or {}, None
    if outcome.status is WebhookStatus.RECEIVED:
        kept = {"input": request.input, "headers": dict(outcome.kept_headers or {}), "query": _cut(request.query)}
        payload = exact_json.compact(kept)
    cursor.execute(
        _INSERT,
        [
            uuid7(), place.get("environment_id"), place.get("id"), outcome.status.value,
            outcome.reason.value if outcome.reason else "", _dedup_key(request.headers) if payload else "",
            _depth(request.headers), request.headers.get("content-type", "")[:200], request.body_bytes, payload,
            job_id,
        ],
    )  # fmt: skip


def _cut(values: Mapping[str, str]) -> dict[str, str]:
    """What PostgreSQL can hold of query parameters: a NUL can stand in them."""
    return {clean(name): clean(value[:_MAX_KEPT_CHARACTERS]) for name, value in values.items()}


def _dedup_key(headers: Mapping[str, str]) -> str:
    """A digest of what names the delivery; empty where nothing does."""
    for name in _DEDUP_HEADERS:
        if headers.get(name):
            return hashlib.sha256(f"{name.replace('svix', 'webhook')}:{headers[name]}".encode()).hexdigest()
    return ""


def _depth(headers: Mapping[str, str]) -> int:
    given = headers.get("x-hourhand-depth", "")
    return min(int(given), MAX_DEPTH) if _DEPTH.fullmatch(given) else 0
