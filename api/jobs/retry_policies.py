"""Retry policies."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers
from rest_framework.mixins import DestroyModelMixin, ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from accounts.actors import Actor
from accounts.models import Scope, Workspace
from api.accounts.permissions import HasScope, WholeWorkspaceToChange
from api.base.views import ApiViewSet, CreateMixin
from api.jobs import examples
from core.validation.fields import Instant, Slug, Text
from jobs.models import RetryPolicy
from jobs.services.retry_policies import RULES, delete_policy, save_policy
from jobs.slugs import RETRY_POLICY_SLUGS
from jobs.validation.sections import RetryRulesSerializer

_WRITTEN = ("slug", "name", *RULES)


@extend_schema_serializer(examples=examples.RETRY_POLICY)
class RetryPolicySerializer(RetryRulesSerializer):
    """Retry rules that jobs share by naming them in `retry.policy`. A change keeps omitted fields."""

    id = serializers.UUIDField(
        read_only=True, help_text="Id of the policy. Paths accept it or the slug; jobs refer to the slug."
    )
    slug = Slug(
        RETRY_POLICY_SLUGS,
        required=False,
        help_text="1 to 100 characters of a-z, 0-9 and -. Default: derived from the name.",
    )
    name = Text(max_length=200, help_text="The policy's name.")
    created_at = Instant(read_only=True, help_text="When the policy was created.")
    updated_at = Instant(read_only=True, help_text="When the policy was last changed.")

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        return {field: fields[field] for field in ("id", *_WRITTEN, "created_at", "updated_at")}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, Mapping) and isinstance(self.instance, RetryPolicy):
            data = {**{field: getattr(self.instance, field) for field in _WRITTEN}, **data}
        return super().to_internal_value(data)


def save_validated_policy(
    serializer: BaseSerializer[RetryPolicy], *, workspace: Workspace, actor: Actor, now: Any
) -> RetryPolicy:
    """Save a valid serializer: a new policy, or a change of its instance."""
    valid = serializer.validated_data
    return save_policy(
        workspace=workspace,
        policy=serializer.instance if isinstance(serializer.instance, RetryPolicy) else None,
        slug=valid.get("slug"),
        name=valid["name"],
        rules={field: valid[field] for field in RULES},
        actor=actor,
        now=now,
    )


@extend_schema_view(
    list=extend_schema(
        operation_id="retry_policies_list", summary="List retry policies", responses=RetryPolicySerializer(many=True)
    ),
    create=extend_schema(
        operation_id="retry_policies_create",
        summary="Create a retry policy",
        request=RetryPolicySerializer,
        responses={201: RetryPolicySerializer},
    ),
    retrieve=extend_schema(operation_id="retry_policies_get", summary="Get a retry policy"),
    partial_update=extend_schema(
        operation_id="retry_policies_patch",
        summary="Change some fields of a retry policy",
        description="Creates a new version of each job that uses it. Executions in progress keep their version.",
        request=RetryPolicySerializer,
    ),
    destroy=extend_schema(
        operation_id="retry_policies_delete",
        summary="Delete a retry policy",
        description="409 while jobs use it; `jobs` in the problem lists their slugs.",
        request=None,
        responses={204: None},
    ),
)
class RetryPolicyViewSet(ListModelMixin, CreateMixin, RetrieveModelMixin, DestroyModelMixin, ApiViewSet):
    """The workspace's retry policies."""

    permission_classes = (HasScope, WholeWorkspaceToChange)
    read_scope: str = Scope.JOBS_READ
    write_scope: str = Scope.JOBS_WRITE
    serializer_class = RetryPolicySerializer
    lookup_url_kwarg = "policy"
    noun = "retry policy"
    has_slug = True

    def get_queryset(self) -> Any:
        return RetryPolicy.objects.filter(workspace=self.access.workspace)

    def filter_queryset(self, queryset: Any) -> Any:
        return queryset.select_for_update(no_key=True) if self.action == "partial_update" else queryset

    def perform_create(self, serializer: BaseSerializer[RetryPolicy]) -> None:
        access = self.access
        serializer.instance = save_validated_policy(
            serializer, workspace=access.workspace, actor=access.actor, now=self.now
        )

    def partial_update(self, request: Request, **_path: Any) -> Response:
        with transaction.atomic():
            serializer = self.get_serializer(self.get_object(), data=request.data)
            serializer.is_valid(raise_exception=True)
            self.perform_create(serializer)
        return Response(serializer.data)

    def perform_destroy(self, instance: RetryPolicy) -> None:
        delete_policy(policy=instance, actor=self.access.actor, now=self.now)
