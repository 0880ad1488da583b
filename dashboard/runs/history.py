"""What the lists of executions and of runs share: nobody adds, changes or deletes history, and nobody counts it."""

import uuid
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dashboard.accounts.access import access_of
from dashboard.accounts.listing import FoundAdmin
from dashboard.base import chips


class HistoryAdmin(FoundAdmin):
    """A list, and a page for each row. There are no other addresses but those of the buttons."""

    list_before_template = "hourhand/statuses.html"
    #: The statuses that the list has a tab for, as (value, label).
    statuses: tuple[tuple[str, str], ...] = ()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        chosen = {"statuses": self.statuses, "chosen_status": request.GET.get("status", "")}
        return super().changelist_view(request, {**(extra_context or {}), **chosen})

    def get_list_display(self, request: HttpRequest) -> list[str]:
        """Where rows of several workspaces stand in one list, each names its own: below its job, for want of width."""
        named = "job_in_workspace" if access_of(request).several else "job_and_place"
        return [named if name == "job_and_place" else name for name in super().get_list_display(request)]

    @admin.display(description="Job")
    def job_and_place(self, row: Any) -> SafeString:
        return chips.two_lines(row.job.name, row.environment.slug)

    @admin.display(description="Job")
    def job_in_workspace(self, row: Any) -> SafeString:
        return chips.two_lines(row.job.name, f"{row.environment.slug} in {row.workspace.name}")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def in_sight(self, request: HttpRequest, row_id: uuid.UUID) -> Any:
        """The row of this address, whole. Raises Http404 when it is somebody else's."""
        row = self.whole_rows(request).filter(pk=row_id).first()
        if row is None:
            raise Http404
        return row

    def whole_rows(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows that this person sees, with everything that a page shows."""
        rows = self.model._default_manager.select_related("workspace", "job", "environment").in_sight()
        return access_of(request).narrow(rows)

    def page(self, request: HttpRequest, row_id: uuid.UUID) -> HttpResponse:
        """The page of one row."""
        raise NotImplementedError

    def buttons(self) -> list[tuple[str, Any, str]]:
        """The addresses that change something, as (route, view, name); each takes POST only."""
        return []

    def forms(self) -> list[tuple[str, Any, str]]:
        """The addresses that ask for something before they change anything, as (route, view, name)."""
        return []

    def get_urls(self) -> list[URLPattern]:
        site, name = self.admin_site, f"{self.opts.app_label}_{self.opts.model_name}"
        asks = require_http_methods(["GET", "POST"])
        return [
            *(path(route, site.admin_view(require_POST(view)), name=button) for route, view, button in self.buttons()),
            *(path(route, site.admin_view(asks(view)), name=page) for route, view, page in self.forms()),
            path("", site.admin_view(require_GET(self.changelist_view)), name=f"{name}_changelist"),
            path("<uuid:row_id>/change/", site.admin_view(require_GET(self.page)), name=f"{name}_change"),
        ]

    def base_context(self, request: HttpRequest, *, original: Any) -> dict[str, Any]:
        request.current_app = self.admin_site.name
        whole = self.admin_site.each_context(request)
        return {**whole, "opts": self.opts, "original": original, "title": str(original)}
