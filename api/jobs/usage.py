"""Usage per month. The route is not in api/accounts because it counts active jobs."""

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
_EXAMPLE = {
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
    """`current` (read as None), or a month (read as its first day)."""

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        month = parse_month(text)
        if month is None and text != CURRENT:
            raise ValidationError([ErrorDetail("Must be `current` or a month such as 2026-03.", code="invalid")])
        return month


class UsageQuery(Query):
    period = PeriodField(default=None, help_text="`current`, or a month in UTC such as `2026-03`. Default: `current`.")


class PlanSerializer(serializers.Serializer):
    """The limits that the operator sets for the workspace. Null: no limit."""

    name = Text(help_text="The plan's name.")
    runs_included = Whole(allow_null=True, help_text="Runs included per month (UTC).")
    overage_cents_per_thousand = Whole(help_text="Cost in cents of a thousand runs beyond the included ones.")
    stops_at_limit = Flag(
        help_text="Whether no further runs start after the included ones, regardless of `overage_policy`."
    )
    min_interval_seconds = Whole(allow_null=True, help_text="Minimum seconds between two occurrences of a schedule.")
    max_timeout_seconds = Whole(allow_null=True, help_text="Maximum timeout of a call in seconds.")
    max_active_jobs = Whole(allow_null=True, help_text="Maximum number of jobs enabled in at least one environment.")
    keep_last = Whole(allow_null=True, help_text="Maximum number of executions kept per job.")
    keep_days = Whole(allow_null=True, help_text="Maximum number of days for which executions are kept.")


@extend_schema_serializer(examples=[OpenApiExample("One month", _EXAMPLE, response_only=True)])
class UsageSerializer(serializers.Serializer):
    """A workspace's usage in a month (UTC). Each attempt counts as a run when it starts."""

    period = Text(help_text="The month, as YYYY-MM.")
    runs_used = Whole(help_text="Runs that started in the month, including overage. Test calls do not count.")
    runs_included = Whole(allow_null=True, help_text="Runs that the plan includes; null: unlimited.")
    overage_runs = Whole(help_text="Runs beyond the included ones.")
    overage_cents = Whole(help_text="Cost of the overage runs in cents, rounded up.")
    active_jobs = Whole(help_text="Jobs currently enabled in at least one environment, paused ones included.")
    active_jobs_limit = Whole(allow_null=True, help_text="Maximum number of active jobs; null: unlimited.")
    plan = PlanSerializer(allow_null=True, help_text="The current plan; null: no plan and no limits.")
    overage_policy = serializers.ChoiceField(
        choices=[policy.value for policy in OveragePolicy],
        help_text="What currently happens after the included runs, as in the settings; `hard_stop` if the plan stops.",
    )
    overage_budget_cents = Whole(allow_null=True, help_text="Monthly budget in cents for `capped`; else null.")


class UsageReport(ApiView):
    """A computed report: there is no object that a generic view could fetch."""

    permission_classes = (HasScope, WholeWorkspace)
    read_scope: str = Scope.EXECUTIONS_READ
    query_class = UsageQuery

    @extend_schema(
        operation_id="usage_get",
        summary="Get a month's usage",
        description="A past month uses the plan's terms at its last run: later changes of the plan do not affect it. "
        "Keys bound to environments are refused (403).",
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
