"""Environments. Their routes are not in api/accounts because deletion depends on jobs."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.mixins import DestroyModelMixin, ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from accounts.environments import create_environment, rename_environment
from accounts.models import Environment, Scope
from accounts.names import ENVIRONMENT_SLUGS
from api.accounts.permissions import HasScope, WholeWorkspaceToChange
from api.base.views import ApiViewSet, CreateMixin
from core.validation.fields import Instant, Slug, Text
from core.validation.strict import StrictSerializer
from jobs.services.environments import delete_environment

_EXAMPLE = {
    "id": "01978f3a-5c1e-7d2b-9f40-2b6f1c9d8e7a",
    "slug": "staging",
    "name": "Staging",
    "created_at": "2026-03-01T09:30:00.000Z",
}


@extend_schema_serializer(
    examples=[
        OpenApiExample("New environment", {"slug": "staging", "name": "Staging"}, request_only=True),
        OpenApiExample("Environment", _EXAMPLE, response_only=True),
    ]
)
class EnvironmentSerializer(StrictSerializer):
    """An environment in which jobs run, such as production or staging."""

    id = serializers.UUIDField(read_only=True, help_text="Id of the environment. Paths accept it or the slug.")
    slug = Slug(
        ENVIRONMENT_SLUGS,
        max_length=100,
        required=False,
        help_text="1 to 100 characters of a-z, 0-9 and -. Default: derived from the name. It can't be changed.",
    )
    name = Text(max_length=200, required=False, help_text="The environment's name. Default: the slug.")
    created_at = Instant(
        read_only=True,
        help_text="When the environment was created. New jobs that name no environment are enabled in the oldest.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise ValidationError({"slug": [ErrorDetail("Required if there is no name.", code="required")]})
        return attrs


@extend_schema_serializer(examples=[OpenApiExample("Rename", {"name": "Staging, EU"}, request_only=True)])
class EnvironmentChangeSerializer(StrictSerializer):
    """A new name. The slug can't be changed."""

    name = Text(max_length=200, help_text="The environment's name.")


@extend_schema_view(
    list=extend_schema(
        operation_id="environments_list", summary="List environments", responses=EnvironmentSerializer(many=True)
    ),
    create=extend_schema(
        operation_id="environments_create",
        summary="Create an environment",
        description="No job is enabled in a new environment.",
        request=EnvironmentSerializer,
        responses={201: EnvironmentSerializer},
    ),
    retrieve=extend_schema(operation_id="environments_get", summary="Get an environment"),
    partial_update=extend_schema(
        operation_id="environments_patch", summary="Rename an environment", request=EnvironmentChangeSerializer
    ),
    destroy=extend_schema(
        operation_id="environments_delete",
        summary="Delete an environment",
        description="409 while a job, deleted ones included, is enabled, has overrides or has history in it; `jobs` in "
        "the problem lists their slugs. 409 also for the last environment. The environment's secrets are deleted. Keys "
        "bound to it lose it and gain access to no other.",
        request=None,
        responses={204: None},
    ),
)
class EnvironmentViewSet(ListModelMixin, CreateMixin, RetrieveModelMixin, DestroyModelMixin, ApiViewSet):
    """The environments within reach."""

    permission_classes = (HasScope, WholeWorkspaceToChange)
    read_scope: str = Scope.JOBS_READ
    write_scope: str = Scope.ADMIN
    serializer_class = EnvironmentSerializer
    lookup_url_kwarg = "environment"
    noun = "environment"
    has_slug = True

    def get_queryset(self) -> Any:
        environments = Environment.objects.filter(workspace=self.access.workspace)
        bound = self.access.environment_ids
        return environments if bound is None else environments.filter(pk__in=bound)

    def perform_create(self, serializer: BaseSerializer[Environment]) -> None:
        valid = serializer.validated_data
        serializer.instance = create_environment(
            workspace=self.access.workspace,
            slug=valid.get("slug"),
            name=valid.get("name") or valid["slug"],
            actor=self.access.actor,
            now=self.now,
        )

    def partial_update(self, request: Request, **_path: Any) -> Response:
        environment = self.get_object()
        name = self.read_body(request, EnvironmentChangeSerializer)["name"]
        renamed = rename_environment(environment=environment, name=name, actor=self.access.actor, now=self.now)
        return Response(EnvironmentSerializer(renamed).data)

    def perform_destroy(self, instance: Environment) -> None:
        delete_environment(environment=instance, actor=self.access.actor, now=self.now)
