"""The audit log: read only."""

from typing import Any

from django.contrib.auth import get_user_model
from drf_spectacular.utils import (
    OpenApiExample,
    extend_schema,
    extend_schema_field,
    extend_schema_serializer,
    extend_schema_view,
)
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin

from accounts.actors import SYSTEM, ActorKind
from accounts.models import AuditEntry, Scope
from api.accounts.access import Access
from api.accounts.permissions import HasScope, WholeWorkspace
from api.base.pagination import Keyset
from api.base.views import ApiViewSet
from core.slugs import is_uuid
from core.validation.fields import Bound, CommaList, Instant, Text
from core.validation.strict import ListQuery

_EXAMPLE = {
    "id": "0197a1b2-03d4-7e5f-8a6b-7c8d9e0f1a2b",
    "at": "2026-03-15T16:02:11.480Z",
    "actor": {"kind": "user", "id": "17", "label": "olga"},
    "action": "key.updated",
    "target": {"kind": "key", "id": "01978f3a-5c1e-7d2b-9f40-2b6f1c9d8e7a", "label": "Deploys (hh_Zk3v9QxT…)"},
    "changes": {"scopes": [["jobs:read", "jobs:write"], ["jobs:read"]]},
}


class AuditActorSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(
        choices=ActorKind.choices, help_text="A user, an API key, or Hourhand itself (`system`)."
    )
    id = Text(help_text="Id of the user or the key; empty for `system`.")
    label = Text(help_text="The username, or the key's name and prefix.")  # type: ignore[assignment]


class AuditTargetSerializer(serializers.Serializer):
    kind = Text(help_text="The kind of object, which `action` begins with: `job`, `execution`, `key`, ...")
    id = Text(help_text="Id of the object, accepted by `?target=`. The object may be deleted by now.")
    label = Text(help_text="Its name at that time: a slug, a username.")  # type: ignore[assignment]


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {"type": "array", "items": {}, "minItems": 2, "maxItems": 2},
        "description": "`{path: [before, after]}`; null where a value is absent. Long texts are truncated, header "
        "values redacted. Never contains the value of a secret.",
    }
)
class ChangesField(serializers.JSONField):
    """The changed values, by path."""


@extend_schema_serializer(examples=[OpenApiExample("Scopes removed from a key", _EXAMPLE, response_only=True)])
class AuditEntrySerializer(serializers.Serializer):
    """One change: who made it, to what, and which values changed."""

    id = serializers.UUIDField(help_text="Id of the entry.")
    at = Instant(help_text="When the change was made.")
    actor = AuditActorSerializer(help_text="Who made it.")
    action = Text(help_text="The kind of object and what was done to it, as in `job.updated`.")
    target = AuditTargetSerializer(help_text="The object of the action.")
    changes = ChangesField()

    def to_representation(self, instance: AuditEntry) -> dict[str, Any]:
        return {
            "id": str(instance.pk),
            "at": self.fields["at"].to_representation(instance.at),
            "actor": {"kind": instance.actor_kind, "id": instance.actor_id, "label": instance.actor_label},
            "action": instance.action,
            "target": {"kind": instance.target_kind, "id": instance.target_id, "label": instance.target_label},
            "changes": instance.changes,
        }


class AuditLogQuery(ListQuery):
    action = CommaList(child=Text(max_length=64), required=False, help_text="Actions, separated by commas.")
    actor = serializers.CharField(required=False, max_length=254, help_text="A key's id, a username, or `system`.")
    target = serializers.CharField(
        required=False, max_length=254, help_text="The id of the object, or its name at the time of the change."
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        fields["from"] = Bound("At or after this instant.")
        fields["to"] = Bound("Before this instant.")
        return fields


def filtered_log(access: Access, query: dict[str, Any]) -> Any:
    """The entries of the caller's workspace that match a query."""
    entries = AuditEntry.objects.filter(workspace=access.workspace)
    if "action" in query:
        entries = entries.filter(action__in=query["action"])
    if "actor" in query:
        entries = entries.filter(actor_id=_actor_id(query["actor"]))
    if "target" in query:
        column = "target_id" if is_uuid(query["target"]) else "target_label"
        entries = entries.filter(**{column: query["target"]})
    if "from" in query:
        entries = entries.filter(at__gte=query["from"])
    if "to" in query:
        entries = entries.filter(at__lt=query["to"])
    return entries


def _actor_id(actor: str) -> str | None:
    if is_uuid(actor):
        return actor
    if actor == ActorKind.SYSTEM:
        return SYSTEM.id
    user = get_user_model()._default_manager.filter(username=actor).first()
    return str(user.pk) if user else None


@extend_schema_view(
    list=extend_schema(
        operation_id="audit_log_list",
        summary="List audit log entries, newest first",
        description="Changes of jobs, retry policies, environments, secrets, keys, members, settings and plans, and "
        "executions that were run, replayed, retried or canceled manually. Keys bound to environments are refused "
        "(403).",
        responses=AuditEntrySerializer(many=True),
    )
)
class AuditLogViewSet(ListModelMixin, ApiViewSet):
    permission_classes = (HasScope, WholeWorkspace)
    read_scope: str = Scope.ADMIN
    query_classes = {"list": AuditLogQuery}
    serializer_class = AuditEntrySerializer
    keyset = Keyset(("at", "id"), descending=True)

    def get_queryset(self) -> Any:
        return filtered_log(self.access, self.query)
