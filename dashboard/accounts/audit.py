"""The audit log, read-only, for owners and administrators of a workspace."""

import uuid
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET

from accounts.actors import ActorKind
from accounts.models import AuditEntry
from core.words import NOTHING, Appearance
from dashboard.accounts.changes import changes_of, summarize_changes
from dashboard.accounts.filters import WorkspaceFilter
from dashboard.base import chips
from dashboard.base.access import access_of
from dashboard.base.paging import UncountedChangeList
from dashboard.base.scoped import ConfidentialAdmin

_ACTORS = {
    ActorKind.USER: Appearance("User", "idle", "person"),
    ActorKind.KEY: Appearance("API key", "idle", "key"),
    ActorKind.SYSTEM: Appearance("System", "idle", "schedule"),
}
_LISTED = 2
#: The pages of targets by their kind.
_PAGES = {
    "job": "admin:jobs_job_page",
    "execution": "admin:runs_execution_change",
    "key": "admin:accounts_apikey_change",
    "environment": "admin:accounts_environment_change",
    "secret": "admin:accounts_secret_change",
    "retry_policy": "admin:jobs_retrypolicy_change",
}


class TargetFilter(admin.SimpleListFilter):
    """By the kind of target: jobs, keys, members..."""

    title = "target"
    parameter_name = "target_kind"
    kinds = (
        "job", "execution", "bulk_operation", "retry_policy", "environment", "secret", "signing_secret", "key",
        "member", "settings", "plan", "workspace",
    )  # fmt: skip

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind.replace("_", " ").capitalize()) for kind in self.kinds]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(target_kind=self.value()) if self.value() else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(ConfidentialAdmin):
    """A list, and a page for each entry; no other addresses."""

    list_display = ["time", "actor", "action", "target", "summary", "workspace_name"]
    list_select_related = ["workspace"]
    list_filter = [TargetFilter, WorkspaceFilter]
    list_fullwidth = True
    search_fields = ["target_label", "actor_label", "target_id"]
    search_help_text = "An exact name or id"
    ordering = ["-at", "-pk"]
    change_list_template = "hourhand/uncounted_list.html"

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[UncountedChangeList]:
        return UncountedChangeList

    def get_search_results(
        self,
        request: HttpRequest,
        queryset: QuerySet[Any],
        search_term: str,
    ) -> tuple[QuerySet[Any], bool]:
        """Filter by an exact name or id: a search for substrings would read every entry."""
        if not search_term:
            return queryset, False
        matches = Q(target_label=search_term) | Q(actor_label=search_term) | Q(target_id=search_term)
        return queryset.filter(matches), False

    def get_list_display(self, request: HttpRequest) -> list[str]:
        columns = list(super().get_list_display(request))
        return columns if access_of(request).several else [name for name in columns if name != "workspace_name"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        return [
            path("", site.admin_view(require_GET(self.changelist_view)), name="accounts_auditentry_changelist"),
            path("<uuid:entry_id>/change/", site.admin_view(require_GET(self.page)), name="accounts_auditentry_change"),
        ]

    def page(self, request: HttpRequest, entry_id: uuid.UUID) -> HttpResponse:
        entry = self.get_queryset(request).select_related("workspace").filter(pk=entry_id).first()
        if entry is None:
            raise Http404
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": entry,
            "title": str(entry),
            "entry": entry,
            "actor": chips.chip(_ACTORS[ActorKind(entry.actor_kind)]),
            "at": chips.instant(entry.at),
            "changes": changes_of(entry.changes),
            "target_url": _target_url(entry),
        }
        return TemplateResponse(request, "admin/accounts/auditentry/page.html", context)

    @admin.display(description="Time, UTC", ordering="at")
    def time(self, entry: AuditEntry) -> SafeString:
        return chips.instant(entry.at)

    @admin.display(description="Actor")
    def actor(self, entry: AuditEntry) -> SafeString:
        return chips.two_lines(entry.actor_label, _ACTORS[ActorKind(entry.actor_kind)].label)

    @admin.display(description="Target")
    def target(self, entry: AuditEntry) -> SafeString:
        return chips.two_lines(entry.target_label, entry.target_kind.replace("_", " "))

    @admin.display(description="Changes")
    def summary(self, entry: AuditEntry) -> SafeString | str:
        lines = summarize_changes(entry.changes, most=_LISTED)
        spans = format_html_join("", '<span class="hh-break">{}</span>', ((line,) for line in lines))
        return format_html('<span class="hh-two-lines">{}</span>', spans) if lines else NOTHING

    @admin.display(description="Workspace")
    def workspace_name(self, entry: AuditEntry) -> str:
        return entry.workspace.name


def _target_url(entry: AuditEntry) -> str:
    """The address of the target's page; empty if it has none, or if this entry is its deletion."""
    if entry.target_kind not in _PAGES or entry.action.endswith((".deleted", ".purged")):
        return ""
    return reverse(_PAGES[entry.target_kind], args=[entry.target_id])
