"""The report of a month's usage. Its route is here because only jobs know which of them are active."""

import datetime
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from accounts.plans import overage_of
from accounts.quota import OveragePolicy, month_of, parse_month
from accounts.usage import usage_of
from api.accounts.permissions import HasScope, WholeWorkspace
from api.base.views import ApiView
from core.validation.fields import Flag, Text, Whole
from core.validation.strict import Query
from jobs.services.limits import active_jobs, active_jobs_limit

CURRENT = "current"
_SHOWN = {
    "period": "2026-03",
    "runs_used": 12_500,
    "runs_included": 10_000,
    "overage_runs": 2_500,
    "overage_cents": 125,
    "active_jobs": 37,
    "active_jobs_limit": 100,
    "plan": {
        "name": "Team",
        "runs_included": 10_000,
        "overage_cents_per_thousand": 50,
        "stops_at_limit": False,
        "min_interval_seconds": 60,
        "max_timeout_seconds": None,
        "max_active_jobs": 100,
        "keep_last": None,
        "keep_days": 30,
    },
    "overage_policy": "allow",
    "overage_budget_cents": None,
}


class PeriodField(Text):
    """`current`, or a month of UTC; its first day."""

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        month = parse_month(text)
        if month is None and text != CURRENT:
            raise ValidationError([ErrorDetail("Should be `current`, or a month such as 2026-03.", code="invalid")])
        return month


class UsageQuery(Query):
    period = PeriodField(default=None, help_text="`current` (as when left out), or a month of UTC such as `2026-03`.")


class PlanSerializer(serializers.Serializer):
    """What the operator lets the workspace do. Null is no limit."""

    name = Text(help_text="What the operator calls it.")
    runs_included = Whole(allow_null=True, help_text="Runs in a month of UTC.")
    overage_cents_per_thousand = Whole(help_text="What a thousand runs beyond them cost.")
    stops_at_limit = Flag(help_text="Whether no run beyond them starts, whatever the workspace's policy.")
    min_interval_seconds = Whole(allow_null=True, help_text="How far apart firings of a schedule have to be.")
    max_timeout_seconds = Whole(allow_null=True, help_text="The longest timeout of a call.")
    max_active_jobs = Whole(allow_null=True, help_text="Most jobs that are enabled anywhere.")
    keep_last = Whole(allow_null=True, help_text="Most executions that a job keeps.")
    keep_days = Whole(allow_null=True, help_text="Most days for which a job keeps them.")


@extend_schema_serializer(examples=[OpenApiExample("A month", _SHOWN, response_only=True)])
class UsageSerializer(serializers.Serializer):
    """What a workspace used in a month of UTC. A run counts once it starts, each attempt for itself."""

    period = Text(help_text="YYYY-MM.")
    runs_used = Whole(
        help_text="All that started in the month, also beyond the included ones. Test calls do not count."
    )
    runs_included = Whole(allow_null=True, help_text="By the plan; null: any number.")
    overage_runs = Whole(help_text="Beyond the included ones.")
    overage_cents = Whole(help_text="What those cost; a part of a cent counts as one.")
    active_jobs = Whole(help_text="Now: enabled somewhere, paused or not.")
    active_jobs_limit = Whole(allow_null=True, help_text="By the plan; null: any number.")
    plan = PlanSerializer(allow_null=True, help_text="The plan that the workspace has now; null: none, and no limits.")
    overage_policy = serializers.ChoiceField(
        choices=[policy.value for policy in OveragePolicy],
        help_text="What becomes of runs beyond the included ones now: the workspace's policy, or its plan's.",
    )
    overage_budget_cents = Whole(allow_null=True, help_text="Of the policy `capped`.")


class UsageReport(ApiView):
    """A report of a month: computed, so there is no object that a generic view could fetch."""

    permission_classes = (HasScope, WholeWorkspace)
    read_scope: str = Scope.EXECUTIONS_READ
    query_class = UsageQuery

    @extend_schema(
        operation_id="usage_get",
        summary="What the workspace used in a month",
        description="A past month is told on the terms of its last run, so that a later change of plan leaves it as it "
        "was.",
        responses=UsageSerializer,
    )
    def get(self, _request: Request) -> Response:
        month: datetime.date = self.query["period"] or month_of(self.now)
        workspace = self.access.workspace
        used = usage_of(workspace, month, now=self.now)
        plan, overage = workspace.plan, overage_of(workspace)
        return Response(
            {
                "period": month.isoformat()[:7],
                "runs_used": used.runs_used,
                "runs_included": used.terms.runs_included,
                "overage_runs": used.terms.overage_runs(used.runs_used),
                "overage_cents": used.terms.overage_cents(used.runs_used),
                "active_jobs": active_jobs(workspace),
                "active_jobs_limit": active_jobs_limit(workspace),
                "plan": plan and PlanSerializer(plan).data,
                "overage_policy": overage.policy,
                "overage_budget_cents": overage.budget_cents,
            }
        )
