"""Who a caller is, and what it may do."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actors import ActorKind
from accounts.models import Role, Scope
from api.accounts.access import Access
from api.accounts.permissions import NO_SCOPE
from api.base.views import ApiView
from core.validation.fields import Choice, Instant, Text, instant_text

_EXAMPLE = {
    "kind": "key",
    "name": "Deploys (hh_4f2a…)",
    "role": None,
    "workspace": "acme",
    "workspace_name": "Acme",
    "scopes": ["jobs:read", "jobs:write"],
    "environments": ["staging"],
    "expires_at": "2030-12-31T23:59:59.000Z",
}


@extend_schema_serializer(examples=[OpenApiExample("A key bound to staging", _EXAMPLE, response_only=True)])
class CallerSerializer(serializers.Serializer):
    """The caller, and its reach."""

    kind = Choice(
        choices=(ActorKind.KEY.value, ActorKind.USER.value),
        help_text="`key`: an API key; `user`: a person with the dashboard's session.",
    )
    name = Text(help_text="The key's name and first characters, or the username.")
    role = Choice(choices=Role.choices, allow_null=True, help_text="A person's role in the workspace; null for keys.")
    workspace = Text(help_text="Slug of the workspace.")
    workspace_name = Text(help_text="Name of the workspace.")
    scopes = serializers.ListField(child=Choice(choices=Scope.choices), help_text="What the caller may do.")
    environments = serializers.ListField(
        child=Text(), allow_null=True, help_text="Slugs of the environments that a key is bound to; null: all."
    )
    expires_at = Instant(allow_null=True, help_text="When the key expires; null: never.")


class Whoami(ApiView):
    """A description of the caller: there is no object that a generic view could fetch."""

    read_scope: str = NO_SCOPE

    @extend_schema(
        operation_id="whoami",
        summary="Get the caller",
        description="Any valid key may ask, whatever its scopes.",
        responses=CallerSerializer,
    )
    def get(self, _request: Request) -> Response:
        return Response(_represent(self.access))


def _represent(access: Access) -> dict[str, Any]:
    bound = access.environment_ids is not None
    return {
        "kind": access.actor.kind.value,
        "name": access.actor.label,
        "role": access.role,
        "workspace": access.workspace.slug,
        "workspace_name": access.workspace.name,
        "scopes": [scope for scope in Scope.values if scope in access.scopes],
        "environments": [environment.slug for environment in access.environments()] if bound else None,
        "expires_at": access.expires_at and instant_text(access.expires_at),
    }
