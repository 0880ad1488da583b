"""What every list can be narrowed by."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from dashboard.accounts.access import access_of


class WorkspaceFilter(admin.SimpleListFilter):
    """Only where rows of several workspaces stand in one list. The workspaces are those that the person sees."""

    title = "workspace"
    parameter_name = "workspace"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        access = access_of(request)
        return [(workspace.slug, workspace.name) for workspace in access.workspaces] if access.several else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = [row.pk for row in access_of(request).workspaces if row.slug == self.value()]
        return queryset.filter(workspace=chosen[0]) if chosen else queryset
