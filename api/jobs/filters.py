"""The query parameters of jobs, and the row sets they mean."""

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
from jobs.models import JobEnvironment, ScheduleType
from jobs.querysets import JobQuerySet
from jobs.validation.definition import KINDS

_SORTED = ("name", "created_at", "next_fire_at", "last_status")
#: After every status, in the order of letters: of two the first is the worse one.
_LAST = "zzz"
_LONG_AGO = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
_FAR_OFF = datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC)
Reach = Collection[uuid.UUID] | None
_SORTS = tuple(sign + field for field in _SORTED for sign in ("", "-"))


class JobListQuery(ListQuery):
    kind = Choice(choices=KINDS, required=False, help_text="What the jobs do. All are `http` so far.")
    enabled = serializers.BooleanField(
        required=False,
        default=None,
        allow_null=True,
        help_text="Whether they are enabled in `environment` or, without one, in any.",
    )
    environment = serializers.CharField(required=False, help_text="The slug of an environment that the job is in.")
    tag = serializers.CharField(required=False, help_text="A tag that they have, in the same letters.")
    schedule_type = Choice(
        choices=ScheduleType.values, required=False, help_text="Whether they fire again and again, once, or when asked."
    )
    search = serializers.CharField(required=False, help_text="Part of the name, slug or URL, in any case.")
    sort = Choice(
        choices=_SORTS,
        default="-created_at",
        help_text="`-`: descending. Of several environments the soonest firing and the worst status count.",
    )


class JobDeleteQuery(Query):
    purge = serializers.BooleanField(default=False, help_text="Remove its history and versions too, for good.")


def filtered(jobs: JobQuerySet, query: dict[str, Any], *, within: Reach = None) -> JobQuerySet:
    """The jobs that a query means; `within` are the environments that its caller is bound to, None for all."""
    for field in ("kind", "schedule_type"):
        if field in query:
            jobs = jobs.filter(**{field: query[field]})
    if "tag" in query:
        jobs = jobs.filter(tags__contains=[query["tag"]])
    if "search" in query:
        text = query["search"]
        jobs = jobs.filter(Q(name__icontains=text) | Q(slug__icontains=text) | Q(url__icontains=text))
    return _in_state(jobs, query, within)


def _in_state(jobs: JobQuerySet, query: dict[str, Any], within: Reach) -> JobQuerySet:
    """By environment, and by whether the job is enabled there (or anywhere)."""
    states = _states(within)
    if "environment" in query:
        states = states.filter(environment__slug=query["environment"])
        jobs = jobs.filter(Exists(states))
    enabled = query["enabled"]
    if enabled is None:
        return jobs
    has_enabled = Exists(states.filter(enabled=True))
    return jobs.filter(has_enabled if enabled else ~has_enabled)


def _states(within: Reach) -> Any:
    states = JobEnvironment.objects.filter(job=OuterRef("pk"))
    return states if within is None else states.filter(environment_id__in=within)


def sorted_by(jobs: JobQuerySet, sort: str, *, within: Reach = None) -> tuple[JobQuerySet, Keyset]:
    """The row set with what it is sorted by, and its keyset.

    Jobs that never fire, or have not run, come last either way. Of a job in several environments the soonest firing
    counts, and the worst status.
    """
    field, descending = sort.removeprefix("-"), sort.startswith("-")
    if field not in ("next_fire_at", "last_status"):
        return jobs, Keyset((field, "id"), descending)
    states = _states(within)
    if field == "last_status":
        worst = states.order_by().values("job").annotate(found=Min("last_status", filter=~Q(last_status="")))
        jobs = jobs.annotate(ended=Coalesce(Subquery(worst.values("found")), Value("" if descending else _LAST)))
        return jobs, Keyset(("ended", "id"), descending)
    soonest = states.order_by().values("job").annotate(at=Min("next_fire_at")).values("at")
    jobs = jobs.annotate(fires_at=Coalesce(Subquery(soonest), Value(_LONG_AGO if descending else _FAR_OFF)))
    return jobs, Keyset(("fires_at", "id"), descending)
