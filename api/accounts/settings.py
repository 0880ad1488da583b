"""The settings of a workspace on the wire and their route."""

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

#: What a column of the database holds.
MAX_BUDGET_CENTS = 2**31 - 1
_SHOWN = {
    "workspace": "acme",
    "name": "Acme",
    "redact_allow_headers": ["x-request-id"],
    "overage_policy": "capped",
    "overage_budget_cents": 5000,
}


@extend_schema_serializer(
    examples=[
        OpenApiExample("Another name", {"name": "Acme"}, request_only=True),
        OpenApiExample("Show a header", {"redact_allow_headers": ["X-Request-Id"]}, request_only=True),
        OpenApiExample("Stop once the plan's runs are used", {"overage_policy": "hard_stop"}, request_only=True),
        OpenApiExample("A budget", {"overage_policy": "capped", "overage_budget_cents": 5000}, request_only=True),
        OpenApiExample("Settings", _SHOWN, response_only=True),
    ]
)
class SettingsSerializer(StrictSerializer):
    """What holds for a whole workspace. Fields that a request leaves out stay as they are."""

    workspace = Text(read_only=True, help_text="Its slug.")
    name = Text(max_length=200, required=False, help_text="What people call the workspace.")
    redact_allow_headers = BoundedList(
        child=Text(max_length=100),
        max_length=MAX_SHOWN_HEADERS,
        required=False,
        help_text="Request headers whose values the history shows besides harmless ones such as Content-Type. Secrets "
        "are redacted in them all the same; Authorization and Cookie are never shown.",
    )
    overage_policy = Choice(
        choices=[policy.value for policy in OveragePolicy],
        required=False,
        help_text="What becomes of runs beyond those that the workspace's plan includes in a month: they start "
        "(`allow`), none does (`hard_stop`), or they do as far as the budget lasts (`capped`). Where the plan itself "
        "stops, as `GET /usage/` tells, only `hard_stop`.",
    )
    overage_budget_cents = Whole(
        allow_null=True,
        required=False,
        min_value=0,
        max_value=MAX_BUDGET_CENTS,
        help_text="The most that runs beyond the included ones may cost in a month: needed for `capped`, else null.",
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
        description="What is left out stays as it is.",
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
