"""Routes of environments. They stand here and not with accounts because the jobs in one decide if it can go."""

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

_SHOWN = {
    "id": "01978f3a-5c1e-7d2b-9f40-2b6f1c9d8e7a",
    "slug": "staging",
    "name": "Staging",
    "created_at": "2026-03-01T09:30:00.000Z",
}


@extend_schema_serializer(
    examples=[
        OpenApiExample("A new environment", {"slug": "staging", "name": "Staging"}, request_only=True),
        OpenApiExample("An environment", _SHOWN, response_only=True),
    ]
)
class EnvironmentSerializer(StrictSerializer):
    """A named place that jobs run in."""

    id = serializers.UUIDField(read_only=True, help_text="Names it in paths, as its slug does.")
    slug = Slug(
        ENVIRONMENT_SLUGS,
        max_length=100,
        required=False,
        help_text="1 to 100 of a-z, 0-9 and -; made from the name when left out. It stays for good.",
    )
    name = Text(max_length=200, required=False, help_text="What people call it; the slug, where left out.")
    created_at = Instant(
        read_only=True, help_text="When it was made. In the oldest, new jobs that name none are enabled."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise ValidationError({"slug": [ErrorDetail("Needed where there is no name.", code="required")]})
        return attrs


@extend_schema_serializer(examples=[OpenApiExample("Another name", {"name": "Staging, EU"}, request_only=True)])
class EnvironmentChangeSerializer(StrictSerializer):
    """Another name for people; the slug stays."""

    name = Text(max_length=200, help_text="What people call it.")


@extend_schema_view(
    list=extend_schema(
        operation_id="environments_list", summary="List environments", responses=EnvironmentSerializer(many=True)
    ),
    create=extend_schema(
        operation_id="environments_create",
        summary="Create an environment",
        description="No job is enabled in it until somebody enables it there.",
        request=EnvironmentSerializer,
        responses={201: EnvironmentSerializer},
    ),
    retrieve=extend_schema(operation_id="environments_get", summary="Get an environment"),
    partial_update=extend_schema(
        operation_id="environments_patch", summary="Rename an environment", request=EnvironmentChangeSerializer
    ),
    destroy=extend_schema(
        operation_id="environments_delete",
        summary="Delete an environment that holds no jobs and no history",
        description="409 while a job is enabled or overridden in it, or has history there: the problem's `jobs` lists "
        "their slugs, deleted ones included. 409 also for the last environment. Secrets of the environment go with it; "
        "keys bound to it lose it and reach no other for that.",
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
