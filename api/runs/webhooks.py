"""The route of what came to a job's inbound webhook."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin

from accounts.models import Scope
from api.base.views import ApiViewSet
from api.jobs.lookups import live_job
from api.runs import examples
from core.validation.fields import Bound, Choice, CommaList, Instant, Text, Whole, instant_text
from core.validation.strict import ListQuery, Query
from runs.models import WebhookDelivery
from runs.states import WebhookReason, WebhookStatus


@extend_schema_serializer(examples=examples.WEBHOOK_DELIVERY)
class WebhookDeliverySerializer(serializers.Serializer):
    """A request to the webhook's URL, and what became of it."""

    id = serializers.UUIDField(help_text="Of this delivery.")
    received_at = Instant(help_text="When it came.")
    status = Choice(
        choices=WebhookStatus.choices,
        help_text="`received`: not dispatched yet; `accepted`: it made an execution; `duplicate`: one with the same "
        "delivery id was accepted within 24 hours; `ignored` and `refused`: see `reason`.",
    )
    reason = Choice(
        choices=WebhookReason.choices, allow_null=True, help_text="Why it was ignored or refused; null for others."
    )
    detail = Text(help_text="The same for people, such as the condition that does not hold; may be empty.")
    environment = Text(allow_null=True, help_text="The environment that it was for, by its slug; null where none was.")
    execution = serializers.UUIDField(
        allow_null=True, help_text="The execution that it made, or that the accepted one of a duplicate made."
    )
    content_type = Text(help_text="Its `Content-Type`.")
    body_bytes = Whole(help_text="How long its body was.")

    def to_representation(self, instance: WebhookDelivery) -> dict[str, Any]:
        return {
            "id": str(instance.pk),
            "received_at": instant_text(instance.received_at),
            "status": instance.status,
            "reason": instance.reason or None,
            "detail": instance.detail or (WebhookReason(instance.reason).label if instance.reason else ""),
            "environment": instance.environment and instance.environment.slug,
            "execution": instance.execution_id and str(instance.execution_id),
            "content_type": instance.content_type,
            "body_bytes": instance.body_bytes,
        }


class WebhookDeliveriesQuery(ListQuery):
    status = CommaList(
        child=Choice(choices=WebhookStatus.values), required=False, help_text="One or more, with commas."
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        fields["from"] = Bound(help_text="Received at or after this ISO 8601 time; UTC without an offset.")
        fields["to"] = Bound(help_text="Received before this ISO 8601 time; UTC without an offset.")
        return fields


@extend_schema_view(
    list=extend_schema(
        operation_id="jobs_webhook_deliveries_list",
        summary="List the requests to a job's webhook",
        responses=WebhookDeliverySerializer(many=True),
    )
)
class WebhookDeliveryViewSet(ListModelMixin, ApiViewSet):
    """The requests to a job's webhook, newest first."""

    read_scope: str = Scope.EXECUTIONS_READ
    write_scope: str = Scope.EXECUTIONS_WRITE
    serializer_class = WebhookDeliverySerializer
    query_classes: Mapping[str, type[Query]] = {"list": WebhookDeliveriesQuery}

    def get_queryset(self) -> QuerySet[WebhookDelivery]:
        job = live_job(self.access, self.kwargs["job"])
        deliveries = WebhookDelivery.objects.filter(job=job).select_related("environment").defer("payload")
        if self.access.environment_ids is not None:
            deliveries = deliveries.filter(environment__in=self.access.environment_ids)
        if "status" in self.query:
            deliveries = deliveries.filter(status__in=self.query["status"])
        if since := self.query.get("from"):
            deliveries = deliveries.filter(received_at__gte=since)
        if until := self.query.get("to"):
            deliveries = deliveries.filter(received_at__lt=until)
        return deliveries
