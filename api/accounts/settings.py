"""The settings of a workspace."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework.mixins import RetrieveModelMixin, UpdateModelMixin
from rest_framework.serializers import BaseSerializer

from accounts.models import Scope, Workspace
from accounts.plans import overage_of
from accounts.quota import OveragePolicy
from accounts.services import MAX_SHOWN_HEADERS, change_settings, settings_of
from api.accounts.permissions import HasScope, WholeWorkspaceToChange
from api.base.views import ApiViewSet
from core.validation.fields import BoundedList, Choice, Text, Whole
from core.validation.strict import StrictSerializer

#: The largest value of the column.
MAX_BUDGET_CENTS = 2**31 - 1
_EXAMPLE = {
    "workspace": "acme",
    "name": "Acme",
    "redact_allow_headers": ["x-request-id"],
    "overage_policy": "capped",
    "overage_budget_cents": 5000,
}


@extend_schema_serializer(
    examples=[
        OpenApiExample("Rename", {"name": "Acme"}, request_only=True),
        OpenApiExample("Show a header", {"redact_allow_headers": ["X-Request-Id"]}, request_only=True),
        OpenApiExample("Stop at the included runs", {"overage_policy": "hard_stop"}, request_only=True),
        OpenApiExample("Set a budget", {"overage_policy": "capped", "overage_budget_cents": 5000}, request_only=True),
        OpenApiExample("Settings", _EXAMPLE, response_only=True),
    ]
)
class SettingsSerializer(StrictSerializer):
    """The settings of a workspace. Omitted fields keep their values."""

    workspace = Text(read_only=True, help_text="The workspace's slug.")
    name = Text(max_length=200, required=False, help_text="The workspace's name.")
    redact_allow_headers = BoundedList(
        child=Text(max_length=100),
        max_length=MAX_SHOWN_HEADERS,
        required=False,
        help_text="Request headers whose values are shown in the history, in addition to harmless ones such as "
        "Content-Type. Secrets in them are redacted; Authorization and Cookie are never shown.",
    )
    overage_policy = Choice(
        choices=[policy.value for policy in OveragePolicy],
        required=False,
        help_text="What happens after the runs that the plan includes per month: further runs start (`allow`), don't "
        "start (`hard_stop`), or start within the budget (`capped`). Only `hard_stop` if the plan has "
        "`stops_at_limit`; see `GET /usage/`.",
    )
    overage_budget_cents = Whole(
        allow_null=True,
        required=False,
        min_value=0,
        max_value=MAX_BUDGET_CENTS,
        help_text="Maximum monthly cost of runs beyond the included ones, in cents. Required for `capped`, else null.",
    )

    def to_representation(self, instance: Workspace) -> dict[str, Any]:
        overage = overage_of(instance)
        return {
            "workspace": instance.slug,
            **settings_of(instance),
            "overage_policy": overage.policy,
            "overage_budget_cents": overage.budget_cents,
        }


@extend_schema_view(
    retrieve=extend_schema(operation_id="settings_get", summary="Get the workspace's settings"),
    update=extend_schema(
        operation_id="settings_put",
        summary="Change the workspace's settings",
        description="Omitted fields keep their values. Keys bound to environments are refused (403).",
        request=SettingsSerializer,
    ),
)
class SettingsViewSet(RetrieveModelMixin, UpdateModelMixin, ApiViewSet):
    permission_classes = (HasScope, WholeWorkspaceToChange)
    read_scope: str = Scope.ADMIN
    write_scope: str = Scope.ADMIN
    serializer_class = SettingsSerializer

    def get_object(self) -> Workspace:
        return self.access.workspace

    def perform_update(self, serializer: BaseSerializer[Workspace]) -> None:
        workspace = self.access.workspace
        changes = serializer.validated_data
        change_settings(workspace=workspace, changes=changes, actor=self.access.actor, now=self.now)
        workspace.refresh_from_db()
