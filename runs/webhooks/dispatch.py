"""Makes executions of what inbound webhooks brought. Rows are the truth: a message only wakes a worker for them."""

import datetime
from dataclasses import dataclass
from typing import Any, cast

import structlog
from django.db import connection, transaction

from accounts.usage import QuotaExceededError
from core.errors import HourhandError
from jobs.definition.conditions import failing
from jobs.definition.facts import Facts
from jobs.definition.webhook import WebhookDefinition
from jobs.models import JobEnvironment, JobVersion
from runs import counters
from runs.errors import JobNotEnabledError
from runs.executions.services import run_for_webhook
from runs.models import Execution, WebhookDelivery
from runs.states import MAX_DEPTH, WebhookReason, WebhookStatus
from runs.webhooks.receive import NOBODY

log = structlog.get_logger(__name__)

BATCH = 100
DEDUP_PERIOD = datetime.timedelta(hours=24)
# Two deliveries of one job are dealt with one after the other, or both might be the first with their key.
_LOCK_JOB = "SELECT pg_advisory_xact_lock(hashtextextended('webhook ' || %s, 0))"


@dataclass(frozen=True, slots=True)
class _Verdict:
    status: WebhookStatus
    reason: WebhookReason | None = None
    detail: str = ""
    execution: Execution | None = None


def dispatch(now: datetime.datetime, *, limit: int = BATCH) -> int:
    """Deal with the oldest deliveries that were received, in one transaction. Returns how many there were."""
    with transaction.atomic():
        received = WebhookDelivery.objects.received().select_for_update(skip_locked=True, no_key=True)
        deliveries = list(received.order_by("pk")[:limit])
        with connection.cursor() as cursor:
            for job_id in sorted({str(delivery.job_id) for delivery in deliveries}):
                cursor.execute(_LOCK_JOB, [job_id])
            for delivery in deliveries:
                _settle(delivery, _verdict(delivery, now))
            if deliveries:
                counters.add(cursor, counters.of_webhooks(delivery.status for delivery in deliveries))
    return len(deliveries)


def _settle(delivery: WebhookDelivery, verdict: _Verdict) -> None:
    delivery.status, delivery.reason = verdict.status, verdict.reason or ""
    delivery.detail, delivery.execution, delivery.payload = verdict.detail, verdict.execution, None
    delivery.save(update_fields=["status", "reason", "detail", "execution", "payload"])


def _verdict(delivery: WebhookDelivery, now: datetime.datetime) -> _Verdict:
    first = _first_with_same_key(delivery)
    if first is not None:
        return _Verdict(WebhookStatus.DUPLICATE, execution=first.execution)
    if delivery.depth >= MAX_DEPTH:
        return _ignored(WebhookReason.LOOP)
    job_environment = _job_environment(delivery)
    if job_environment is None or job_environment.job.current_version is None:
        return _ignored(WebhookReason.JOB_DELETED)
    if job_environment.is_paused(now):
        return _ignored(WebhookReason.PAUSED)
    try:
        with transaction.atomic():
            return _fired(delivery, job_environment, now)
    except QuotaExceededError:
        return _ignored(WebhookReason.QUOTA)
    except JobNotEnabledError:
        return _ignored(WebhookReason.NOT_ENABLED)
    except HourhandError as error:
        return _Verdict(WebhookStatus.REFUSED, WebhookReason.UNREADABLE, error.detail)


def _fired(delivery: WebhookDelivery, job_environment: JobEnvironment, now: datetime.datetime) -> _Verdict:
    payload: dict[str, Any] = delivery.payload or {}
    trigger = {"headers": payload.get("headers", {}), "query": payload.get("query", {})}
    webhook = WebhookDefinition.of(cast(JobVersion, job_environment.job.current_version).config)
    facts = Facts(
        execution_id=str(delivery.pk),
        created_at=delivery.received_at,
        scheduled_for=None,
        job=job_environment.job.slug,
        environment=job_environment.environment.slug,
        input=payload.get("input"),
        secrets={},
        trigger=trigger,
    )
    unmet = failing(webhook.conditions, webhook.written_conditions, facts)
    if unmet is not None:
        return _Verdict(WebhookStatus.IGNORED, WebhookReason.CONDITION, unmet)
    execution = run_for_webhook(
        job_environment=job_environment,
        input=payload.get("input"),
        trigger=trigger,
        depth=delivery.depth,
        now=now,
    )
    return _Verdict(WebhookStatus.ACCEPTED, execution=execution)


def _first_with_same_key(delivery: WebhookDelivery) -> WebhookDelivery | None:
    if not delivery.dedup_key:
        return None
    since = delivery.received_at - DEDUP_PERIOD
    accepted = WebhookDelivery.objects.filter(
        job=delivery.job_id, dedup_key=delivery.dedup_key, status=WebhookStatus.ACCEPTED, received_at__gt=since
    )
    first: WebhookDelivery | None = accepted.order_by("pk").first()
    return first


def _job_environment(delivery: WebhookDelivery) -> JobEnvironment | None:
    rows = JobEnvironment.objects.select_related("job__current_version", "job__workspace", "environment")
    live = rows.filter(pk=delivery.job_environment_id or NOBODY.row_id, job__deleted_at__isnull=True)
    found: JobEnvironment | None = live.first()
    return found


def _ignored(reason: WebhookReason) -> _Verdict:
    return _Verdict(WebhookStatus.IGNORED, reason)
