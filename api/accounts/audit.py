"""The audit log on the wire and its route: read only."""

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

_SHOWN = {
    "id": "0197a1b2-03d4-7e5f-8a6b-7c8d9e0f1a2b",
    "at": "2026-03-15T16:02:11.480Z",
    "actor": {"kind": "user", "id": "17", "label": "olga"},
    "action": "key.updated",
    "target": {"kind": "key", "id": "01978f3a-5c1e-7d2b-9f40-2b6f1c9d8e7a", "label": "Deploys (hh_Zk3v9QxT…)"},
    "changes": {"scopes": [["jobs:read", "jobs:write"], ["jobs:read"]]},
}


class AuditActorSerializer(serializers.Serializer):
    kind = serializers.ChoiceField(
        choices=ActorKind.choices, help_text="A person, an API key, or Hourhand itself (`system`)."
    )
    id = Text(help_text="Of the user or the key; empty for Hourhand itself.")
    label = Text(help_text="A username, or a key's name and how it begins.")  # type: ignore[assignment]


class AuditTargetSerializer(serializers.Serializer):
    kind = Text(help_text="What kind of thing it is, as `action` begins: `job`, `execution`, `key`, ...")
    id = Text(help_text="Its id, which `?target=` takes. It may be deleted by now.")
    label = Text(help_text="As it was called then: a slug, a username.")  # type: ignore[assignment]


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {"type": "array", "items": {}, "minItems": 2, "maxItems": 2},
        "description": "`{path: [before, after]}`; null where there was or is nothing. Long texts are cut, header "
        "values redacted. A secret's value is never here.",
    }
)
class ChangesField(serializers.JSONField):
    """What is different."""


@extend_schema_serializer(examples=[OpenApiExample("A key was narrowed", _SHOWN, response_only=True)])
class AuditEntrySerializer(serializers.Serializer):
    """One change: who made it, to what, and what is different."""

    id = serializers.UUIDField(help_text="Of this entry of the log.")
    at = Instant(help_text="When the change was made.")
    actor = AuditActorSerializer(help_text="Who made it.")
    action = Text(help_text="The kind of thing and what was done, as in `job.updated`.")
    target = AuditTargetSerializer(help_text="What was changed, run or asked for.")
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
    action = CommaList(child=Text(max_length=64), required=False, help_text="One or more, with commas.")
    actor = serializers.CharField(
        required=False, max_length=254, help_text="A key's id, a person's username, or `system` for Hourhand itself."
    )
    target = serializers.CharField(
        required=False, max_length=254, help_text="The id of what was changed, or what it was called then."
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        told = "An ISO 8601 time; UTC without an offset."
        fields["from"] = Bound(help_text=f"At or after. {told}")
        fields["to"] = Bound(help_text=f"Before. {told}")
        return fields


def filtered_log(access: Access, query: dict[str, Any]) -> Any:
    """The entries of the caller's workspace that a query asks for."""
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


def _actor_id(named: str) -> str | None:
    if is_uuid(named):
        return named
    if named == ActorKind.SYSTEM:
        return SYSTEM.id
    user = get_user_model()._default_manager.filter(username=named).first()
    return str(user.pk) if user else None


@extend_schema_view(
    list=extend_schema(
        operation_id="audit_log_list",
        summary="List changes, newest first",
        description="Who changed what: jobs, retry policies, environments, secrets, keys, members, settings and plans, "
        "and what was run, replayed, retried or canceled by hand.",
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
