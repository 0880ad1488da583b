"""What the history can be narrowed by."""

import datetime
import uuid
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin.access import access_of
from accounts.models import Environment
from runs.failures import FailureReason
from runs.states import ExecutionStatus, Trigger

_SPANS = {
    "1h": ("The last hour", datetime.timedelta(hours=1)),
    "24h": ("The last 24 hours", datetime.timedelta(days=1)),
    "7d": ("The last 7 days", datetime.timedelta(days=7)),
    "30d": ("The last 30 days", datetime.timedelta(days=30)),
}


def words_of(values: Any) -> list[tuple[str, str]]:
    """Values of an enum as choices."""
    return [(value.value, value.value.replace("_", " ").capitalize()) for value in values]


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"
    statuses: Any = ExecutionStatus

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return words_of(self.statuses)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        return queryset.filter(status=self.value()) if self.value() else queryset


class TriggerFilter(admin.SimpleListFilter):
    title = "trigger"
    parameter_name = "trigger"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return words_of(Trigger)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        return queryset.filter(trigger=self.value()) if self.value() else queryset


class ReasonFilter(admin.SimpleListFilter):
    title = "failure reason"
    parameter_name = "failure_reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return words_of(FailureReason)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        return queryset.filter(failure_reason=self.value()) if self.value() else queryset


class EnvironmentFilter(admin.SimpleListFilter):
    """By slug: `production` of several workspaces is one choice."""

    title = "environment"
    parameter_name = "environment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        visible = access_of(request).narrow(Environment.objects.order_by("slug"))
        return [(slug, slug) for slug in visible.values_list("slug", flat=True).distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        named = access_of(request).narrow(Environment.objects.filter(slug=self.value()))
        return queryset.filter(environment__in=list(named.values_list("pk", flat=True)))


class SinceFilter(admin.SimpleListFilter):
    """By how long ago; `column` is the instant that counts."""

    title = "time"
    parameter_name = "since"
    column = "due_at"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [(name, words) for name, (words, _) in _SPANS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        chosen = _SPANS.get(self.value() or "")
        return queryset.filter(**{f"{self.column}__gte": timezone.now() - chosen[1]}) if chosen else queryset


class JobFilter(admin.SimpleListFilter):
    """The job that a link names. There is no list to pick from: the search finds jobs by name."""

    title = "job"
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        named = request.GET.get("job")
        return [(named, "This job")] if named else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        try:
            return queryset.filter(job=uuid.UUID(self.value())) if self.value() else queryset
        except ValueError:
            return queryset.none()


def of_text(rows: QuerySet[Any], text: str) -> QuerySet[Any]:
    """Rows of jobs whose name or slug holds `text`; a UUID names a row or a job."""
    try:
        named = uuid.UUID(text)
    except ValueError:
        return rows.filter(Q(job__name__icontains=text) | Q(job__slug__icontains=text))
    return rows.filter(Q(pk=named) | Q(job=named))
