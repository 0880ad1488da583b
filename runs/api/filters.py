"""The query parameters of executions and runs, and the rows they mean."""

from typing import Any

from django.db.models import F
from rest_framework import serializers

from accounts.api.access import Access
from jobs.api.filters import is_uuid
from jobs.api.serializers import is_slug
from jobs.models import Job
from runs.failures import FailureReason
from runs.querysets import ExecutionQuerySet, RunQuerySet
from runs.states import ExecutionStatus, RunStatus, Trigger
from scheduler_project.api.fields import Choice, CommaList, Instant
from scheduler_project.api.strict import ListQuery

_REASONS = tuple(reason.value for reason in FailureReason)


class HistoryQuery(ListQuery):
    """What executions and runs are both filtered by."""

    trigger = CommaList(child=Choice(choices=Trigger.choices), required=False, help_text="One or more, with commas.")
    job = serializers.CharField(required=False, help_text="A job's slug or id, a deleted job's too.")
    environment = CommaList(child=serializers.CharField(), required=False, help_text="One or more slugs, with commas.")
    failure_reason = Choice(choices=_REASONS, required=False)

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        told = "An ISO 8601 time; UTC without an offset."
        fields["from"] = Instant(required=False, naive_is_utc=True, help_text=f"At or after. {told}")
        fields["to"] = Instant(required=False, naive_is_utc=True, help_text=f"Before. {told}")
        return fields


class ExecutionListQuery(HistoryQuery):
    status = CommaList(
        child=Choice(choices=ExecutionStatus.choices), required=False, help_text="One or more, with commas."
    )
    job_name = serializers.CharField(required=False, help_text="Part of a job's name, in any case.")
    sort = Choice(choices=("scheduled_for",), default="scheduled_for", help_text="Else by when it was made.")
    order = Choice(choices=("asc", "desc"), default="desc")


class RunListQuery(HistoryQuery):
    status = CommaList(child=Choice(choices=RunStatus.choices), required=False, help_text="One or more, with commas.")
    execution = serializers.UUIDField(required=False)


def past_job(access: Access, reference: str) -> Job | None:
    """The job that `reference` names, deleted ones included: the live one first, then the latest deleted."""
    if not (is_slug(reference) or is_uuid(reference)):
        return None
    named = Job.objects.of(access.workspace).named(reference)
    return named.order_by(F("deleted_at").desc(nulls_first=True)).first()


def filtered_executions(executions: ExecutionQuerySet, query: dict[str, Any], access: Access) -> ExecutionQuerySet:
    executions = _filtered(executions, query, access, instant="due_at")
    if "trigger" in query:
        executions = executions.filter(trigger__in=query["trigger"])
    if "job_name" in query:
        jobs = Job.objects.of(access.workspace).filter(name__icontains=query["job_name"])
        executions = executions.filter(job_id__in=jobs.values("pk"))
    return executions


def filtered_runs(runs: RunQuerySet, query: dict[str, Any], access: Access) -> RunQuerySet:
    runs = _filtered(runs, query, access, instant="started_at")
    if "trigger" in query:
        runs = runs.of_trigger(query["trigger"])
    if "execution" in query:
        runs = runs.filter(execution_id=query["execution"])
    return runs


def _filtered(rows: Any, query: dict[str, Any], access: Access, *, instant: str) -> Any:
    if "job" in query:
        job = past_job(access, query["job"])
        rows = rows.filter(job_id=job.pk) if job else rows.none()
    if "environment" in query:
        wanted = access.workspace.environments.filter(slug__in=query["environment"])
        rows = rows.filter(environment_id__in=list(wanted.values_list("pk", flat=True)))
    if "status" in query:
        rows = rows.filter(status__in=query["status"])
    if "failure_reason" in query:
        rows = rows.filter(failure_reason=query["failure_reason"])
    if "from" in query:
        rows = rows.filter(**{f"{instant}__gte": query["from"]})
    if "to" in query:
        rows = rows.filter(**{f"{instant}__lt": query["to"]})
    return rows
