"""What the lists of executions and of runs share: nobody adds, changes or deletes history, and nobody counts it."""

import uuid
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.admin.access import access_of
from accounts.admin.paging import UncountedChangeList
from accounts.admin.scoped import ScopedAdmin


class HistoryAdmin(ScopedAdmin):
    """A list, and a page for each row. There are no other addresses but those of the buttons."""

    list_fullwidth = True
    change_list_template = "hourhand/list.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: Any = super().get_queryset(request)
        return rows.in_sight()

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[UncountedChangeList]:  # noqa: ARG002
        return UncountedChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def get_list_display(self, request: HttpRequest) -> list[str]:
        shown = list(super().get_list_display(request))
        return shown if access_of(request).several else [name for name in shown if name != "workspace_name"]

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
        listed = require_http_methods(["GET", "POST"]) if self.actions else require_GET
        return [
            *(path(route, site.admin_view(require_POST(view)), name=button) for route, view, button in self.buttons()),
            *(path(route, site.admin_view(view), name=page) for route, view, page in self.forms()),
            path("", site.admin_view(listed(self.changelist_view)), name=f"{name}_changelist"),
            path("<uuid:row_id>/change/", site.admin_view(require_GET(self.page)), name=f"{name}_change"),
        ]

    def base_context(self, request: HttpRequest, *, original: Any) -> dict[str, Any]:
        request.current_app = self.admin_site.name
        whole = self.admin_site.each_context(request)
        return {**whole, "opts": self.opts, "original": original, "title": str(original)}
