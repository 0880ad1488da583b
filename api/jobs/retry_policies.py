"""Retry policies on the wire and their routes: validate, call one verb, show the policy."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actors import Actor
from accounts.models import Scope, Workspace
from api.base.views import ApiView
from api.jobs import examples
from core.slugs import is_slug, is_uuid
from core.validation.fields import Instant, Text
from core.validation.strict import ListQuery
from jobs.models import RetryPolicy
from jobs.services.retry_policies import RULES, delete_policy, save_policy
from jobs.validation.sections import RetryRulesSerializer

_WRITTEN = ("slug", "name", *RULES)


@extend_schema_serializer(examples=examples.RETRY_POLICY)
class RetryPolicySerializer(RetryRulesSerializer):
    """When to try again, by a name that jobs use as `retry.policy`. An edit merges into what is stored."""

    id = serializers.UUIDField(read_only=True, help_text="Names it in paths, as its slug does; jobs name the slug.")
    slug = Text(required=False, help_text="Made from the name when left out.")
    name = Text(max_length=200, help_text="What people call it.")
    created_at = Instant(read_only=True, help_text="When it was made.")
    updated_at = Instant(read_only=True, help_text="When it was last saved.")

    def get_fields(self) -> dict[str, serializers.Field]:
        fields = super().get_fields()
        return {field: fields[field] for field in ("id", *_WRITTEN, "created_at", "updated_at")}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if isinstance(data, Mapping) and isinstance(self.instance, RetryPolicy):
            data = {**{field: getattr(self.instance, field) for field in _WRITTEN}, **data}
        return super().to_internal_value(data)

    def validate_slug(self, value: str) -> str:
        if not is_slug(value):
            raise ValidationError("Should be 1 to 100 of a-z, 0-9 and -, and no UUID.", code="invalid")
        return value


def save_validated_policy(
    serializer: RetryPolicySerializer, *, workspace: Workspace, actor: Actor, now: Any
) -> RetryPolicy:
    """Save what a valid serializer holds, as a new policy or as a change of its instance."""
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


class RetryPolicyView(ApiView):
    """A view of retry policies or of one."""

    read_scope: str = Scope.JOBS_READ
    write_scope: str = Scope.JOBS_WRITE
    serializer_class = RetryPolicySerializer

    def policies(self) -> Any:
        return RetryPolicy.objects.filter(workspace=self.access.workspace)

    def policy(self, reference: str, *, locked: bool = False) -> RetryPolicy:
        """The policy that the path names by its slug or its UUID. Raises NotFound."""
        policies = self.policies().select_for_update(no_key=True) if locked else self.policies()
        column = "pk" if is_uuid(reference) else "slug"
        known = is_uuid(reference) or is_slug(reference)
        found: RetryPolicy | None = policies.filter(**{column: reference}).first() if known else None
        if found is None:
            raise NotFound(f"There is no retry policy {reference}.")
        return found

    def refuse_bound_key(self) -> None:
        """A policy is the whole workspace's: who is bound to some environments can't change it for the others."""
        if self.access.environment_ids is not None:
            raise PermissionDenied(
                "This API key is bound to environments, and retry policies hold for all.", code="environment_bound"
            )

    def saved(self, policy: RetryPolicy | None) -> RetryPolicy:
        serializer = RetryPolicySerializer(policy, data=self.request.data)
        serializer.is_valid(raise_exception=True)
        access = self.access
        return save_validated_policy(serializer, workspace=access.workspace, actor=access.actor, now=self.now)


class RetryPolicyList(RetryPolicyView):
    query_class = ListQuery

    @extend_schema(
        operation_id="retry_policies_list", summary="List retry policies", responses=RetryPolicySerializer(many=True)
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return self.page(self.policies(), RetryPolicySerializer)

    @extend_schema(
        operation_id="retry_policies_create",
        summary="Create a retry policy",
        request=RetryPolicySerializer,
        responses={201: RetryPolicySerializer},
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        self.refuse_bound_key()
        saved = self.saved(None)
        return self.made(RetryPolicySerializer(saved).data, f"retry-policies/{saved.slug}")


class RetryPolicyDetail(RetryPolicyView):
    @extend_schema(operation_id="retry_policies_get", summary="Get a retry policy")
    def get(self, request: Request, policy: str) -> Response:  # noqa: ARG002
        return Response(RetryPolicySerializer(self.policy(policy)).data)

    @extend_schema(
        operation_id="retry_policies_patch",
        summary="Change some fields of a retry policy",
        description="Makes a new version of each job that uses it. Executions under way keep to their own version.",
        request=RetryPolicySerializer,
    )
    def patch(self, request: Request, policy: str) -> Response:  # noqa: ARG002
        self.refuse_bound_key()
        with transaction.atomic():
            saved = self.saved(self.policy(policy, locked=True))
        return Response(RetryPolicySerializer(saved).data)

    @extend_schema(
        operation_id="retry_policies_delete",
        summary="Delete a retry policy that no job uses",
        description="409 while jobs use it; the problem's `jobs` lists their slugs.",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, policy: str) -> Response:  # noqa: ARG002
        self.refuse_bound_key()
        delete_policy(policy=self.policy(policy), actor=self.access.actor, now=self.now)
        return Response(status=status.HTTP_204_NO_CONTENT)
