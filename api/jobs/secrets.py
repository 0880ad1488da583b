"""Secrets. Their routes are not in api/accounts because deletion depends on jobs."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, PermissionDenied, ValidationError
from rest_framework.mixins import DestroyModelMixin, ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from accounts.models import Environment, Scope, Secret
from accounts.secrets import MAX_CHARACTERS, MIN_CHARACTERS, change_secret, create_secret
from api.base.views import ApiViewSet, CreateMixin
from core.validation.fields import Instant, Text
from core.validation.strict import StrictSerializer
from jobs.services.secrets import delete_secret

_EXAMPLE = {
    "id": "01978f3a-5c1e-7d2b-9f40-2b6f1c9d8e7a",
    "name": "BILLING_TOKEN",
    "environment": None,
    "created_at": "2026-03-01T09:30:00.000Z",
    "updated_at": "2026-03-15T16:02:11.480Z",
}


class SecretValue(Text):
    def __init__(self, **options: Any) -> None:
        super().__init__(
            write_only=True,
            trim_whitespace=False,
            min_length=MIN_CHARACTERS,
            max_length=MAX_CHARACTERS,
            help_text="The secret value. It is stored encrypted and never returned.",
            **options,
        )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Token for all environments", {"name": "BILLING_TOKEN", "value": "tok_9f2c41"}, request_only=True
        ),
        OpenApiExample(
            "Token for staging",
            {"name": "BILLING_TOKEN", "environment": "staging", "value": "tok_test"},
            request_only=True,
        ),
        OpenApiExample("Secret", _EXAMPLE, response_only=True),
    ]
)
class SecretSerializer(StrictSerializer):
    """A value for `{{secrets.NAME}}` in templates. It can be set but not read."""

    id = serializers.UUIDField(read_only=True, help_text="Id of the secret, for paths. Templates use its `name`.")
    name = Text(max_length=64, help_text="1 to 64 characters of A-Z, 0-9 and _, starting with a letter.")
    environment = Text(
        source="environment.slug",
        allow_null=True,
        default=None,
        help_text="Slug of its environment; null: used in all environments without a secret of this name.",
    )
    value = SecretValue()
    created_at = Instant(read_only=True, help_text="When the secret was created.")
    updated_at = Instant(read_only=True, help_text="When the value was last set.")


@extend_schema_serializer(examples=[OpenApiExample("New value", {"value": "tok_77aa10"}, request_only=True)])
class SecretChangeSerializer(StrictSerializer):
    """A new value. Name and environment can't be changed."""

    value = SecretValue()


@extend_schema_view(
    list=extend_schema(operation_id="secrets_list", summary="List secrets", responses=SecretSerializer(many=True)),
    create=extend_schema(operation_id="secrets_create", summary="Create a secret", responses={201: SecretSerializer}),
    retrieve=extend_schema(operation_id="secrets_get", summary="Get a secret without its value"),
    partial_update=extend_schema(
        operation_id="secrets_patch", summary="Set a secret's value", request=SecretChangeSerializer
    ),
    destroy=extend_schema(
        operation_id="secrets_delete",
        summary="Delete a secret",
        description="409 while live jobs use it, unless a secret of this name for all environments remains.",
        request=None,
        responses={204: None},
    ),
)
class SecretViewSet(ListModelMixin, CreateMixin, RetrieveModelMixin, DestroyModelMixin, ApiViewSet):
    """The secrets within reach: for a bound key those of its environments."""

    read_scope: str = Scope.ADMIN
    write_scope: str = Scope.ADMIN
    serializer_class = SecretSerializer
    lookup_url_kwarg = "secret"
    noun = "secret"

    def get_queryset(self) -> Any:
        secrets = Secret.objects.filter(workspace=self.access.workspace).select_related("environment")
        bound = self.access.environment_ids
        return secrets if bound is None else secrets.filter(environment_id__in=bound)

    def perform_create(self, serializer: BaseSerializer[Secret]) -> None:
        valid = serializer.validated_data
        serializer.instance = create_secret(
            workspace=self.access.workspace,
            environment=self._environment(valid["environment"]["slug"]),
            name=valid["name"],
            value=valid["value"],
            actor=self.access.actor,
            now=self.now,
        )

    def _environment(self, slug: str | None) -> Environment | None:
        if slug is None:
            if self.access.environment_ids is not None:
                raise PermissionDenied(
                    "This API key is bound to environments: give one of them as `environment`.",
                    code="environment_bound",
                )
            return None
        environment = next((match for match in self.access.environments() if match.slug == slug), None)
        if environment is None:
            raise ValidationError(
                {"environment": [ErrorDetail("There is no such environment.", code="environment_unknown")]}
            )
        return environment

    def partial_update(self, request: Request, **_path: Any) -> Response:
        secret = self.get_object()
        value = self.read_body(request, SecretChangeSerializer)["value"]
        change_secret(secret=secret, value=value, actor=self.access.actor, now=self.now)
        return Response(SecretSerializer(secret).data)

    def perform_destroy(self, instance: Secret) -> None:
        delete_secret(secret=instance, actor=self.access.actor, now=self.now)
