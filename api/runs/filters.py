"""The query parameters of executions and runs, and the filters for them."""

import uuid
from typing import Any

from rest_framework import serializers

from api.accounts.access import Access
from api.jobs.lookups import past_job
from api.runs.ordering import KEYSETS
from core.validation.fields import Bound, Choice, CommaList
from core.validation.strict import ListQuery, Query, StrictSerializer
from jobs.models import Job
from runs.failures import OCCURRING
from runs.history.filters import HistoryFilter
from runs.history.runs import RunFilter
from runs.states import OCCURRING_RUN_STATUSES, OCCURRING_STATUSES, OCCURRING_TRIGGERS

MAX_TEXT = 200
_REASONS = tuple(reason.value for reason in OCCURRING)


class HistoryFields(StrictSerializer):
    """Filters of both executions and runs."""

    trigger = CommaList(
        child=Choice(choices=OCCURRING_TRIGGERS), required=False, help_text="Triggers, separated by commas."
    )
    job = serializers.CharField(required=False, help_text="Slug or id of a job, deleted or not.")
    environment = CommaList(
        child=serializers.CharField(), required=False, help_text="Slugs of environments, separated by commas."
    )
    failure_reason = Choice(choices=_REASONS, required=False, help_text="Only failures with this reason.")
    last_only = serializers.BooleanField(default=False, help_text="Only the latest per job and environment.")

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        fields["from"] = Bound("At or after this instant.")
        fields["to"] = Bound("Before this instant.")
        return fields


class ExecutionFields(HistoryFields):
    """Filters of executions, in lists and bulk operations."""

    status = CommaList(
        child=Choice(choices=OCCURRING_STATUSES), required=False, help_text="Statuses, separated by commas."
    )
    job_name = serializers.CharField(
        required=False, max_length=MAX_TEXT, help_text="Part of the job's current name (case-insensitive)."
    )
    tag = serializers.CharField(
        required=False, max_length=MAX_TEXT, help_text="A current tag of the job (case-sensitive)."
    )
    last_only = serializers.BooleanField(
        default=False,
        help_text="Only the latest ended execution per job and environment that matches the other filters.",
    )
    search = serializers.CharField(
        required=False,
        max_length=MAX_TEXT,
        help_text="Part of the error of a failed execution, or of the job's current URL (case-insensitive).",
    )


class ExecutionListQuery(ExecutionFields, ListQuery):
    sort = Choice(
        choices=tuple(KEYSETS),
        default="scheduled_for",
        help_text="`scheduled_for` uses `created_at` for executions without it. `duration` sorts the latest 10,000 "
        "matches only.",
    )
    order = Choice(
        choices=("asc", "desc"), default="desc", help_text="Direction of `sort`; `desc`: latest or longest first."
    )


class EventsQuery(ExecutionFields, Query):
    """The filters that apply to current changes."""

    last_only = None  # type: ignore[assignment]

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        return {name: field for name, field in fields.items() if name not in {"from", "to"}}


class RunListQuery(HistoryFields, ListQuery):
    status = CommaList(
        child=Choice(choices=OCCURRING_RUN_STATUSES), required=False, help_text="Statuses, separated by commas."
    )
    execution = serializers.UUIDField(required=False, help_text="Id of the execution.")
    last_only = serializers.BooleanField(
        default=False, help_text="Only the latest run per job and environment that matches the other filters."
    )


def history_filter(query: dict[str, Any], access: Access, *, job: Job | None = None) -> HistoryFilter:
    """The filter for a query; `job` is the job that the path names."""
    queried = past_job(access, query["job"]) if "job" in query else None
    is_empty = "job" in query and (queried is None or job not in (None, queried))
    return HistoryFilter(
        **_common(query, access, job or queried, is_empty=is_empty),
        job_name=query.get("job_name"),
        tag=query.get("tag"),
        search=query.get("search"),
    )


def environment_ids_of(query: dict[str, Any], access: Access) -> tuple[uuid.UUID, ...] | None:
    """The ids of the environments to read; None: all of the workspace."""
    if "environment" in query:
        return tuple(match.pk for match in access.environments() if match.slug in query["environment"])
    return None if access.environment_ids is None else tuple(access.environment_ids)


def _tuple(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(dict.fromkeys(values))


def run_filter(query: dict[str, Any], access: Access) -> RunFilter:
    """The filter for a query."""
    job = past_job(access, query["job"]) if "job" in query else None
    is_empty = "job" in query and job is None
    return RunFilter(**_common(query, access, job, is_empty=is_empty), execution_id=query.get("execution"))


def _common(query: dict[str, Any], access: Access, job: Job | None, *, is_empty: bool) -> dict[str, Any]:
    """The filters of both; `is_empty`: they match nothing, since the job does not exist."""
    return {
        "workspace": access.workspace,
        "environment_ids": () if is_empty else environment_ids_of(query, access),
        "statuses": _tuple(query.get("status")),
        "triggers": _tuple(query.get("trigger")),
        "failure_reason": query.get("failure_reason"),
        "job_id": job.pk if job else None,
        "since": query.get("from"),
        "until": query.get("to"),
        "last_only": query.get("last_only", False),
    }
