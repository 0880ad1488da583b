"""The settings of a workspace on the wire and their route."""

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from accounts.plans import overage_of
from accounts.quota import OveragePolicy
from accounts.services import MAX_SHOWN_HEADERS, change_settings, settings_of
from api.base.views import ApiView
from core.validation.fields import Choice, Several, Text, Whole
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
    redact_allow_headers = Several(
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


class Settings(ApiView):
    read_scope: str = Scope.ADMIN
    write_scope: str = Scope.ADMIN
    serializer_class = SettingsSerializer

    @extend_schema(operation_id="settings_get", summary="Get the workspace's settings")
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return self.shown()

    @extend_schema(
        operation_id="settings_put",
        summary="Change the workspace's settings",
        description="What is left out stays as it is.",
        request=SettingsSerializer,
    )
    def put(self, request: Request) -> Response:  # noqa: ARG002
        wanted = self.body(SettingsSerializer)
        if self.access.environment_ids is not None:
            raise PermissionDenied(
                "This API key is bound to environments, and settings hold in all of them.", code="environment_bound"
            )
        change_settings(workspace=self.access.workspace, changes=wanted, actor=self.access.actor, now=self.now)
        return self.shown()

    def shown(self) -> Response:
        workspace = self.access.workspace
        workspace.refresh_from_db()
        overage = overage_of(workspace)
        holding = {"overage_policy": overage.policy, "overage_budget_cents": overage.budget_cents}
        return Response({"workspace": workspace.slug, **settings_of(workspace), **holding})
