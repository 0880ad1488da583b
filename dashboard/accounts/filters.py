"""Filters of Django's own lists."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from dashboard.base.access import access_of


class WorkspaceFilter(admin.SimpleListFilter):
    """By workspace, for a person who sees several."""

    title = "workspace"
    parameter_name = "workspace"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        access = access_of(request)
        return [(workspace.slug, workspace.name) for workspace in access.workspaces] if access.several else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        slug = self.value()
        workspace = next((each for each in access_of(request).workspaces if each.slug == slug), None)
        return queryset.filter(workspace=workspace.pk) if workspace else queryset
