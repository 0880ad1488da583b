"""What the list of jobs can be narrowed by."""

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest

from jobs.models import Job, JobEnvironment

_MOST_TAGS = 50
_TAGS_READ_FROM = 2_000  # the newest jobs; a list of tags need not be complete to be of use


class EnabledFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [("enabled", "Enabled"), ("paused", "Paused"), ("disabled", "Disabled"), ("failing", "Failing")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:  # noqa: ARG002
        rows = JobEnvironment.objects.filter(job=OuterRef("pk"))
        match self.value():
            case "enabled":
                return queryset.filter(Exists(rows.filter(enabled=True, paused_at__isnull=True)))
            case "paused":
                return queryset.filter(Exists(rows.filter(enabled=True, paused_at__isnull=False)))
            case "disabled":
                return queryset.filter(~Exists(rows.filter(enabled=True)))
            case "failing":
                return queryset.filter(Exists(rows.filter(consecutive_failures__gt=0)))
        return queryset


class TagFilter(admin.SimpleListFilter):
    title = "tag"
    parameter_name = "tag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        newest = model_admin.get_queryset(request).exclude(tags=[]).order_by("-pk").values_list("tags", flat=True)
        tags = {tag for tags in newest[:_TAGS_READ_FROM] for tag in tags}
        return [(tag, tag) for tag in sorted(tags)[:_MOST_TAGS]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:  # noqa: ARG002
        return queryset.filter(tags__contains=[self.value()]) if self.value() else queryset
