"""The base of the read-only lists of executions, runs and bulk operations."""

import uuid
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dashboard.base import chips
from dashboard.base.access import access_of
from dashboard.base.listing import KeysetAdmin


class HistoryAdmin(KeysetAdmin):
    """A list, a page for each row, and the addresses of `buttons` and `forms`; no others."""

    list_before_template = "hourhand/statuses.html"
    #: The statuses with a tab above the list, as (value, label).
    statuses: tuple[tuple[str, str], ...] = ()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        chosen = {"statuses": self.statuses, "chosen_status": request.GET.get("status", "")}
        return super().changelist_view(request, {**(extra_context or {}), **chosen})

    def get_list_display(self, request: HttpRequest) -> list[str]:
        """In a list of several workspaces, the job's column names the row's: one more column would be too wide."""
        job = "job_in_workspace" if access_of(request).several else "job_in_environment"
        return [job if name == "job_in_environment" else name for name in super().get_list_display(request)]

    @admin.display(description="Job")
    def job_in_environment(self, row: Any) -> SafeString:
        return chips.two_lines(row.job.name, row.environment.slug)

    @admin.display(description="Job")
    def job_in_workspace(self, row: Any) -> SafeString:
        return chips.two_lines(row.job.name, f"{row.environment.slug} in {row.workspace.name}")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_row(self, request: HttpRequest, row_id: uuid.UUID) -> Any:
        """The row with everything that its page shows. Raises Http404 if the person doesn't see it."""
        row = self.full_rows(request).filter(pk=row_id).first()
        if row is None:
            raise Http404
        return row

    def full_rows(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows that the person sees, with everything that a page shows."""
        rows = self.model._default_manager.select_related("workspace", "job", "environment").in_sight()
        return access_of(request).narrow(rows)

    def page(self, request: HttpRequest, row_id: uuid.UUID) -> HttpResponse:
        """Render the page of one row."""
        raise NotImplementedError

    def buttons(self) -> list[tuple[str, Any, str]]:
        """Views that change something, as (route, view, name); POST only."""
        return []

    def forms(self) -> list[tuple[str, Any, str]]:
        """Views with a form, as (route, view, name); GET and POST."""
        return []

    def get_urls(self) -> list[URLPattern]:
        site, name = self.admin_site, f"{self.opts.app_label}_{self.opts.model_name}"
        get_or_post = require_http_methods(["GET", "POST"])
        list_methods = get_or_post if self.actions else require_GET
        return [
            *(path(route, site.admin_view(require_POST(view)), name=button) for route, view, button in self.buttons()),
            *(path(route, site.admin_view(get_or_post(view)), name=page) for route, view, page in self.forms()),
            path("", site.admin_view(list_methods(self.changelist_view)), name=f"{name}_changelist"),
            path("<uuid:row_id>/change/", site.admin_view(require_GET(self.page)), name=f"{name}_change"),
        ]

    def base_context(self, request: HttpRequest, *, original: Any) -> dict[str, Any]:
        request.current_app = self.admin_site.name
        context = self.admin_site.each_context(request)
        return {**context, "opts": self.opts, "original": original, "title": str(original)}
