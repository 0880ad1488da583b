"""The query parameters of executions and runs, and the rows they mean."""

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
    """What executions and runs are both filtered by."""

    trigger = CommaList(child=Choice(choices=OCCURRING_TRIGGERS), required=False, help_text="One or more, with commas.")
    job = serializers.CharField(required=False, help_text="A job's slug or id, a deleted job's too.")
    environment = CommaList(child=serializers.CharField(), required=False, help_text="One or more slugs, with commas.")
    failure_reason = Choice(choices=_REASONS, required=False, help_text="Failed, and for this reason.")
    last_only = serializers.BooleanField(default=False, help_text="Only the latest; of jobs in each environment.")

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        told = "An ISO 8601 time; UTC without an offset."
        fields["from"] = Bound(help_text=f"At or after. {told}")
        fields["to"] = Bound(help_text=f"Before. {told}")
        return fields


class ExecutionFields(HistoryFields):
    """What executions are filtered by, in lists and in bulk."""

    status = CommaList(child=Choice(choices=OCCURRING_STATUSES), required=False, help_text="One or more, with commas.")
    job_name = serializers.CharField(
        required=False, max_length=MAX_TEXT, help_text="Part of a job's name, in any case."
    )
    tag = serializers.CharField(required=False, max_length=MAX_TEXT, help_text="A tag that the job has now.")
    last_only = serializers.BooleanField(
        default=False, help_text="The latest ended one of each job in each environment, of those that are left."
    )
    search = serializers.CharField(
        required=False,
        max_length=MAX_TEXT,
        help_text="Part of the error of a failed one, or of the URL that its job has now, in any case.",
    )


class ExecutionListQuery(ExecutionFields, ListQuery):
    sort = Choice(
        choices=tuple(KEYSETS),
        default="scheduled_for",
        help_text="scheduled_for: else by when it was made. duration: of the latest 10,000.",
    )
    order = Choice(choices=("asc", "desc"), default="desc", help_text="Of `sort`; `desc`: the latest or longest first.")


class EventsQuery(ExecutionFields, Query):
    """Those that make sense for what changes now."""

    last_only = None  # type: ignore[assignment]

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        return {name: field for name, field in fields.items() if name not in {"from", "to"}}


class RunListQuery(HistoryFields, ListQuery):
    status = CommaList(
        child=Choice(choices=OCCURRING_RUN_STATUSES), required=False, help_text="One or more, with commas."
    )
    execution = serializers.UUIDField(required=False, help_text="Id of the execution that they are attempts of.")
    last_only = serializers.BooleanField(
        default=False, help_text="The latest of each job in each environment, of those that are left."
    )


def history_filter(query: dict[str, Any], access: Access, *, job: Job | None = None) -> HistoryFilter:
    """The executions that a query means, of one job where it is named by the path."""
    wanted = job or (past_job(access, query["job"]) if "job" in query else None)
    nowhere = "job" in query and (wanted is None or (job is not None and past_job(access, query["job"]) != job))
    return HistoryFilter(
        **_shared(query, access, wanted, nowhere=nowhere),
        job_name=query.get("job_name"),
        tag=query.get("tag"),
        search=query.get("search"),
    )


def environment_ids_of(query: dict[str, Any], access: Access) -> tuple[uuid.UUID, ...] | None:
    """The environments meant; None for all of the workspace."""
    if "environment" in query:
        return tuple(place.pk for place in access.environments() if place.slug in query["environment"])
    return None if access.environment_ids is None else tuple(access.environment_ids)


def _tuple(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(dict.fromkeys(values))


def run_filter(query: dict[str, Any], access: Access) -> RunFilter:
    """The runs that a query means."""
    job = past_job(access, query["job"]) if "job" in query else None
    nowhere = "job" in query and job is None
    return RunFilter(**_shared(query, access, job, nowhere=nowhere), execution_id=query.get("execution"))


def _shared(query: dict[str, Any], access: Access, job: Job | None, *, nowhere: bool) -> dict[str, Any]:
    """What executions and runs are both filtered by; `nowhere`: by a job that there is none of."""
    return {
        "workspace": access.workspace,
        "environment_ids": () if nowhere else environment_ids_of(query, access),
        "statuses": _tuple(query.get("status")),
        "triggers": _tuple(query.get("trigger")),
        "failure_reason": query.get("failure_reason"),
        "job_id": job.pk if job else None,
        "since": query.get("from"),
        "until": query.get("to"),
        "last_only": query.get("last_only", False),
    }
