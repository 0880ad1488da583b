"""The query parameters of jobs, and the querysets for them."""

import datetime
import uuid
from collections.abc import Collection
from typing import Any

from django.db.models import Exists, Min, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce
from rest_framework import serializers

from api.base.pagination import Keyset
from core.validation.fields import Choice
from core.validation.strict import ListQuery, Query
from jobs.definition.reading import KINDS
from jobs.models import JobEnvironment, ScheduleType
from jobs.querysets import JobQuerySet

_SORT_FIELDS = ("name", "created_at", "next_fire_at", "last_status")
#: Sorts after every status. Alphabetically, the first of two statuses is the worse one.
_LAST = "zzz"
_FIRST = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
_LATEST = datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC)
Reach = Collection[uuid.UUID] | None
_SORTS = tuple(sign + field for field in _SORT_FIELDS for sign in ("", "-"))


class JobListQuery(ListQuery):
    kind = Choice(choices=KINDS, required=False, help_text="The kind of job.")
    enabled = serializers.BooleanField(
        required=False,
        default=None,
        allow_null=True,
        help_text="Whether jobs are enabled in `environment`, or in any environment if it is omitted.",
    )
    environment = serializers.CharField(required=False, help_text="Slug of an environment of the job.")
    tag = serializers.CharField(required=False, help_text="Exact tag (case-sensitive).")
    schedule_type = Choice(choices=ScheduleType.values, required=False, help_text="Recurring, one-off or manual jobs.")
    managed_by = serializers.CharField(required=False, help_text="Who applies them from a file (case-sensitive).")
    search = serializers.CharField(required=False, help_text="Part of the name, slug or URL (case-insensitive).")
    sort = Choice(
        choices=_SORTS,
        default="-created_at",
        help_text="`-` sorts descending. Of several environments the earliest `next_fire_at` and the worst status "
        "count.",
    )


class JobDeleteQuery(Query):
    managed_by = serializers.CharField(
        required=False, help_text="Delete the job only if this is who applies it from a file; else 409."
    )
    purge = serializers.BooleanField(default=False, help_text="Also remove the job's history and versions permanently.")


def filtered(jobs: JobQuerySet, query: dict[str, Any], *, within: Reach = None) -> JobQuerySet:
    """The jobs that match a query; `within` are the environments that its caller is bound to (None: all)."""
    for field in ("kind", "schedule_type", "managed_by"):
        if field in query:
            jobs = jobs.filter(**{field: query[field]})
    if "tag" in query:
        jobs = jobs.filter(tags__contains=[query["tag"]])
    if "search" in query:
        text = query["search"]
        jobs = jobs.filter(Q(name__icontains=text) | Q(slug__icontains=text) | Q(url__icontains=text))
    return _by_environment(jobs, query, within)


def _by_environment(jobs: JobQuerySet, query: dict[str, Any], within: Reach) -> JobQuerySet:
    """Filter by environment, and by whether the job is enabled in it (or in any)."""
    job_environments = _job_environments(within)
    if "environment" in query:
        job_environments = job_environments.filter(environment__slug=query["environment"])
        jobs = jobs.filter(Exists(job_environments))
    enabled = query["enabled"]
    if enabled is None:
        return jobs
    has_enabled = Exists(job_environments.filter(enabled=True))
    return jobs.filter(has_enabled if enabled else ~has_enabled)


def _job_environments(within: Reach) -> Any:
    job_environments = JobEnvironment.objects.filter(job=OuterRef("pk"))
    return job_environments if within is None else job_environments.filter(environment_id__in=within)


def sorted_by(jobs: JobQuerySet, sort: str, *, within: Reach = None) -> tuple[JobQuerySet, Keyset]:
    """The queryset with the column to sort by, and the keyset.

    Jobs without an occurrence, or without a status, come last in both directions. Of several environments the earliest
    occurrence and the worst status count.
    """
    field, descending = sort.removeprefix("-"), sort.startswith("-")
    if field not in ("next_fire_at", "last_status"):
        return jobs, Keyset((field, "id"), descending)
    job_environments = _job_environments(within)
    if field == "last_status":
        worst = job_environments.order_by().values("job").annotate(worst=Min("last_status", filter=~Q(last_status="")))
        jobs = jobs.annotate(ended=Coalesce(Subquery(worst.values("worst")), Value("" if descending else _LAST)))
        return jobs, Keyset(("ended", "id"), descending)
    soonest = job_environments.order_by().values("job").annotate(at=Min("next_fire_at")).values("at")
    jobs = jobs.annotate(fires_at=Coalesce(Subquery(soonest), Value(_FIRST if descending else _LATEST)))
    return jobs, Keyset(("fires_at", "id"), descending)
