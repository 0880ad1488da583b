"""Requests to jobs' webhooks."""

from django.db import models
from django.db.models import Q

from accounts.models import Environment, Workspace
from core.exact_json import ExactDecoder, ExactEncoder
from core.ids import uuid7
from jobs.models import Job, JobEnvironment
from runs.models.history import Execution
from runs.querysets import WebhookDeliveryQuerySet
from runs.states import WebhookReason, WebhookStatus


class WebhookDelivery(models.Model):
    """A request to a job's webhook URL, and what became of it.

    `payload` holds the input, headers and query that are kept, until executions are made of what was received.
    `dedup_key` is a digest of the header that names the delivery. `detail` completes the reason for people.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    job = models.ForeignKey(
        Job, on_delete=models.CASCADE, related_name="webhook_deliveries", db_index=False, db_constraint=False
    )
    environment = models.ForeignKey(
        Environment, null=True, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    job_environment = models.ForeignKey(
        JobEnvironment, null=True, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    received_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=WebhookStatus.choices)
    reason = models.CharField(max_length=30, choices=WebhookReason.choices, default="", blank=True)
    detail = models.TextField(default="", db_default="", blank=True)
    dedup_key = models.CharField(max_length=64, default="", blank=True)
    depth = models.PositiveSmallIntegerField(default=0)
    content_type = models.CharField(max_length=200, default="", blank=True)
    body_bytes = models.PositiveBigIntegerField()
    payload = models.JSONField(null=True, encoder=ExactEncoder, decoder=ExactDecoder)
    execution = models.ForeignKey(
        Execution, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False, db_constraint=False
    )

    objects = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.CheckConstraint(condition=Q(status__in=WebhookStatus.values), name="webhook_delivery_status_known"),
            models.CheckConstraint(
                condition=Q(status="received", payload__isnull=False) | ~Q(status="received") & Q(payload__isnull=True),
                name="webhook_delivery_payload_until_dispatched",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["refused", "ignored"]) & ~Q(reason="")
                | ~Q(status__in=["refused", "ignored"]) & Q(reason=""),
                name="webhook_delivery_has_reason",
            ),
        ]
        indexes = [
            # The deliveries of a job, newest first, and what retention removes of them.
            models.Index(fields=["job", "-id"], name="webhook_delivery_history"),
            # Dispatch: what is still to be dealt with. Nearly always empty.
            models.Index(fields=["id"], condition=Q(status="received"), name="webhook_delivery_received"),
            # Dispatch: whether a delivery came before.
            models.Index(
                fields=["job", "dedup_key"],
                condition=Q(status="accepted") & ~Q(dedup_key=""),
                name="webhook_delivery_dedup",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.status} at {self.received_at:%Y-%m-%d %H:%M:%S}"
