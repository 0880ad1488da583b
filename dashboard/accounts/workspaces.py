"""Workspaces and their settings."""

import uuid
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.actors import Actor
from accounts.models import Workspace
from accounts.names import WORKSPACE_SLUGS
from accounts.plans import assign_plan
from accounts.services import SETTINGS, change_settings, create_workspace, settings_of
from core.errors import HourhandError
from dashboard.accounts.usage import PlanAndUsage
from dashboard.base import chips
from dashboard.base.access import access_of
from dashboard.base.scoped import AdministeredAdmin


class WorkspaceForm(forms.ModelForm[Workspace]):
    """Changes a workspace's settings and plan; a domain error is shown beside its field."""

    actor: Actor

    class Meta:
        model = Workspace
        fields = [*SETTINGS, "plan", "slug"]
        widgets = {"redact_allow_headers": UnfoldAdminTextareaWidget(attrs={"rows": 3})}
        labels = {
            "redact_allow_headers": "Headers shown in history",
            "overage_policy": "Overage policy",
            "overage_budget_cents": "Overage budget, cents per month",
        }
        help_texts = {
            "redact_allow_headers": "Names of request headers, separated by commas, whose values the history shows, in "
            "addition to harmless ones such as Content-Type. Secrets are redacted in them too.",
            "overage_policy": "Runs beyond those included in the plan: allow starts all of them, hard stop none, "
            "capped as many as the budget pays for.",
            "overage_budget_cents": "For capped only.",
            "plan": "Without a plan there are no limits. Existing jobs that exceed the plan keep running.",
        }

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        if not WORKSPACE_SLUGS.accepts(slug):
            raise forms.ValidationError(WORKSPACE_SLUGS.error)
        return slug

    def clean(self) -> dict[str, Any] | None:
        """Save here rather than in save_model, where an error could no longer be shown."""
        values = super().clean()
        if self.errors or not self.instance.slug:
            return values
        changes = {field: self.cleaned_data[field] for field in SETTINGS if field in self.changed_data}
        now = timezone.now()
        try:
            saved = change_settings(workspace=self.instance, changes=changes, actor=self.actor, now=now)
        except HourhandError as error:
            self.add_error(error.field if error.field in self.fields else None, error.detail)
            return values
        if "plan" in self.changed_data:
            assign_plan(workspace=saved, plan=self.cleaned_data["plan"], actor=self.actor, now=now)
        return {**self.cleaned_data, **settings_of(saved)}


@admin.register(Workspace)
class WorkspaceAdmin(AdministeredAdmin):
    """Only superusers create workspaces. They can't be deleted here, since their history would be lost."""

    workspace_path = "pk"
    list_display = ["name", "slug", "member_count", "environment_count", "created"]
    search_fields = ["name", "slug"]
    form = WorkspaceForm
    change_form_outer_before_template = "admin/accounts/workspace/usage.html"
    change_form_outer_after_template = "admin/accounts/workspace/wipe.html"
    ordering = ["name"]

    def workspace_id_of(self, row: Workspace) -> uuid.UUID:
        return row.pk

    def get_queryset(self, request: HttpRequest) -> Any:
        counts = {
            "member_total": Count("memberships", distinct=True),
            "environment_total": Count("environments", distinct=True),
        }
        return super().get_queryset(request).annotate(**counts)

    @admin.display(description="Created", ordering="created_at")
    def created(self, workspace: Workspace) -> SafeString:
        return chips.instant(workspace.created_at)

    @admin.display(description="Members")
    def member_count(self, workspace: Any) -> int:
        return int(workspace.member_total)

    @admin.display(description="Environments")
    def environment_count(self, workspace: Any) -> int:
        return int(workspace.environment_total)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [*SETTINGS, "plan", "slug"] if obj else ["name", "slug"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Only superusers assign plans."""
        if obj is None:
            return []
        return ["slug"] if access_of(request).everything else ["plan", "slug"]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        workspace, access = self.get_object(request, object_id), access_of(request)
        cards = {}
        if workspace is not None:
            usage = PlanAndUsage.of(workspace, several=access.several)
            cards = {"usage": usage, "may_wipe": access.owns(workspace.pk)}
        response: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **cards})
        return response

    def has_add_permission(self, request: HttpRequest) -> bool:
        return access_of(request).everything

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Workspace, form: Any, change: bool) -> None:
        if change:
            return  # the form has saved it
        workspace = create_workspace(slug=obj.slug, name=obj.name)
        obj.pk, obj.created_at = workspace.pk, workspace.created_at
