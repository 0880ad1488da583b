"""API keys."""

from typing import Any

from django.db.models import Exists, OuterRef
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers, status
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.mixins import DestroyModelMixin, ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_keys import change_key, issue_key, revoke_key
from accounts.models import ApiKey, Environment, Scope
from api.accounts.access import Access
from api.base.views import ApiViewSet
from core.validation.fields import BoundedList, Choice, Instant, Text
from core.validation.strict import ListQuery, StrictSerializer

MAX_ITEMS = 100
_EXAMPLE = {
    "id": "01978f3a-5c1e-7d2b-9f40-2b6f1c9d8e7a",
    "name": "Deploys",
    "prefix": "hh_Zk3v9QxT",
    "scopes": ["jobs:read", "jobs:write"],
    "environments": ["staging"],
    "expires_at": "2026-12-31T23:59:59.000Z",
    "created_by": "olga",
    "created_at": "2026-03-01T09:30:00.000Z",
    "last_used_at": None,
    "revoked_at": None,
}
_REQUEST_EXAMPLE = {key: _EXAMPLE[key] for key in ("name", "scopes", "environments", "expires_at")}
_KEY = "hh_Zk3v9QxTn5Yw2LrB8sDf0aHc7JmPe4Ug1VoK6iXq3"


class Environments(BoundedList):
    """Slugs, or null for the whole workspace."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            child=Text(max_length=100),
            allow_null=True,
            min_length=1,
            max_length=MAX_ITEMS,
            help_text="Slugs of the environments that the key is bound to; null: all, including those created later.",
            **options,
        )


class Scopes(BoundedList):
    def __init__(self, **options: Any) -> None:
        super().__init__(
            child=Choice(choices=Scope.choices),
            min_length=1,
            max_length=MAX_ITEMS,
            help_text="What the key may do. Other requests are answered 403 with the missing scope.",
            **options,
        )


class KeyName(Text):
    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=200, help_text="Who uses the key, or what for.", **options)


class Expiry(Instant):
    def __init__(self, **options: Any) -> None:
        super().__init__(allow_null=True, help_text="When the key stops working; null: never.", **options)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        value = super().run_validation(data)
        if value is not None and value <= self.context["now"]:
            raise ValidationError("Should be in the future.", code="past")
        return value


@extend_schema_serializer(
    examples=[
        OpenApiExample("Key for one environment", _REQUEST_EXAMPLE, request_only=True),
        OpenApiExample("Key", _EXAMPLE, response_only=True),
    ]
)
class ApiKeySerializer(StrictSerializer):
    """An API key. The key itself is shown once, when it is created."""

    id = serializers.UUIDField(read_only=True, help_text="Identifies the key in paths and in the audit log.")
    name = KeyName()
    prefix = Text(read_only=True, help_text="The first characters of the key.")
    scopes = Scopes()
    environments = Environments(default=None)
    expires_at = Expiry(default=None)
    created_by = Text(read_only=True, allow_null=True, help_text="A username; null: created with another key.")
    created_at = Instant(read_only=True, help_text="When the key was created.")
    last_used_at = Instant(
        read_only=True, allow_null=True, help_text="When the key was last used, to the minute; null: never."
    )
    revoked_at = Instant(
        read_only=True, allow_null=True, help_text="When the key was permanently revoked; null: not revoked."
    )

    def to_representation(self, instance: ApiKey) -> dict[str, Any]:
        representation: dict[str, Any] = {
            name: self.fields[name].to_representation(value) if (value := getattr(instance, name)) is not None else None
            for name in ("id", "name", "prefix", "scopes", "expires_at", "created_at", "last_used_at", "revoked_at")
        }
        representation["environments"] = (
            sorted(row.slug for row in instance.environments.all()) if instance.is_bound else None
        )
        representation["created_by"] = instance.created_by.get_username() if instance.created_by else None
        return {name: representation[name] for name in self._declared_fields}


@extend_schema_serializer(
    examples=[OpenApiExample("Earlier expiry", {"expires_at": "2026-06-30T00:00:00Z"}, request_only=True)]
)
class ApiKeyChangeSerializer(StrictSerializer):
    """Changes of a key. Omitted fields keep their values."""

    name = KeyName(required=False)
    scopes = Scopes(required=False)
    environments = Environments(required=False)
    expires_at = Expiry(required=False)


@extend_schema_serializer(examples=[OpenApiExample("New key", {**_EXAMPLE, "key": _KEY}, response_only=True)])
class IssuedKeySerializer(ApiKeySerializer):
    """A new key, in this response only."""

    key = Text(help_text="The key. Store it: it is not shown again.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return {**ApiKeySerializer(instance.row).data, "key": instance.key}


class KeyListQuery(ListQuery):
    revoked = serializers.BooleanField(default=False, help_text="List revoked keys instead of valid ones.")


@extend_schema_view(
    list=extend_schema(operation_id="keys_list", summary="List API keys", responses=ApiKeySerializer(many=True)),
    create=extend_schema(
        operation_id="keys_create",
        summary="Create an API key",
        description="The key is shown only in this response. Its scopes, environments and expiry can't exceed your own "
        "(403).",
        request=ApiKeySerializer,
        responses={201: IssuedKeySerializer},
    ),
    retrieve=extend_schema(operation_id="keys_get", summary="Get an API key's properties"),
    partial_update=extend_schema(
        operation_id="keys_patch",
        summary="Change an API key",
        description="The secret stays the same. Scopes, environments and expiry can be reduced, or extended up to your "
        "own (else 403).",
        request=ApiKeyChangeSerializer,
    ),
    destroy=extend_schema(
        operation_id="keys_delete",
        summary="Revoke an API key",
        description="Takes effect immediately and can't be undone. Revoked keys are listed with `revoked=true`.",
        request=None,
        responses={204: None},
    ),
)
class KeyViewSet(ListModelMixin, RetrieveModelMixin, DestroyModelMixin, ApiViewSet):
    """The keys within reach: for a bound key those that are bound to no other environments."""

    read_scope: str = Scope.ADMIN
    write_scope: str = Scope.ADMIN
    query_classes = {"list": KeyListQuery}
    serializer_class = ApiKeySerializer
    lookup_url_kwarg = "key"
    noun = "API key"

    def get_queryset(self) -> Any:
        revoked = self.query.get("revoked", False)
        keys = ApiKey.objects.filter(workspace=self.access.workspace, revoked_at__isnull=not revoked)
        bound = self.access.environment_ids
        if bound is not None:
            bindings = ApiKey.environments.through.objects.filter(apikey=OuterRef("pk"))
            keys = keys.filter(~Exists(bindings.exclude(environment__in=bound)), is_bound=True)
        return keys.select_related("workspace", "created_by").prefetch_related("environments")

    def create(self, request: Request) -> Response:
        body = self.read_body(request, ApiKeySerializer)
        issued = issue_key(
            workspace=self.access.workspace,
            name=body["name"],
            scopes=body["scopes"],
            environments=environments_named(self.access, body["environments"]),
            expires_at=body["expires_at"],
            actor=self.access.actor,
            limit=self.access.grant,
        )
        headers = self.location(f"keys/{issued.row.pk}")
        return Response(IssuedKeySerializer(issued).data, status=status.HTTP_201_CREATED, headers=headers)

    def partial_update(self, request: Request, **path: Any) -> Response:
        key = self.get_object()
        changes = self.read_body(request, ApiKeyChangeSerializer)
        if "environments" in changes:
            changes["environments"] = environments_named(self.access, changes["environments"])
        change_key(key=key, **changes, actor=self.access.actor, limit=self.access.grant, now=self.now)
        return self.retrieve(request, **path)

    def perform_destroy(self, instance: ApiKey) -> None:
        revoke_key(key=instance, actor=self.access.actor, now=self.now)


def environments_named(access: Access, slugs: list[str] | None) -> list[Environment] | None:
    """The environments of these slugs. Raises ValidationError for each that is out of reach."""
    if slugs is None:
        return None
    environments = {environment.slug: environment for environment in access.environments()}
    wrong = {
        f"environments.{index}": [ErrorDetail("There is no such environment.", code="environment_unknown")]
        for index, slug in enumerate(slugs)
        if slug not in environments
    }
    if wrong:
        raise ValidationError(wrong)
    return [environments[slug] for slug in dict.fromkeys(slugs)]
