"""Workspaces and what holds for a whole one."""

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
from accounts.plans import assign_plan
from accounts.services import SETTINGS, change_settings, create_workspace, settings_of
from core.errors import HourhandError
from core.slugs import is_slug
from dashboard.accounts.access import access_of
from dashboard.accounts.scoped import AdministeredAdmin
from dashboard.base import chips


class WorkspaceForm(forms.ModelForm[Workspace]):
    """The settings of a workspace. The API's verb judges; what it refuses stands beside its field."""

    actor: Actor

    class Meta:
        model = Workspace
        fields = [*SETTINGS, "plan", "slug"]
        widgets = {"redact_allow_headers": UnfoldAdminTextareaWidget(attrs={"rows": 3})}
        labels = {
            "redact_allow_headers": "Headers shown in history",
            "overage_policy": "Beyond the plan's runs",
            "overage_budget_cents": "Budget beyond them, in cents a month",
        }
        help_texts = {
            "redact_allow_headers": "Request headers, separated by commas, whose values the history shows besides "
            "harmless ones such as Content-Type. Secrets are redacted in them all the same.",
            "overage_policy": "Whether runs beyond those that the plan includes in a month start: all of them (allow), "
            "none (hard stop), or as many as the budget pays for (capped).",
            "overage_budget_cents": "Only for capped.",
            "plan": "Without one there are no limits. Jobs that go beyond it run on as they are.",
        }

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        if not is_slug(slug):
            raise forms.ValidationError("Should be 1 to 100 of a-z, 0-9 and -, and no UUID.")
        return slug

    def clean(self) -> dict[str, Any] | None:
        """Do it here, where a refusal can still be shown."""
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
    """Only a superuser makes workspaces. None is deleted here: its history would go with it."""

    workspace_path = "pk"
    list_display = ["name", "slug", "member_count", "environment_count", "made"]
    search_fields = ["name", "slug"]
    form = WorkspaceForm
    change_form_outer_before_template = "admin/accounts/workspace/usage.html"
    change_form_outer_after_template = "admin/accounts/workspace/wipe.html"
    ordering = ["name"]

    def workspace_id_of(self, row: Workspace) -> uuid.UUID:
        return row.pk

    def get_queryset(self, request: HttpRequest) -> Any:
        counts = {"members": Count("memberships", distinct=True), "places": Count("environments", distinct=True)}
        return super().get_queryset(request).annotate(**counts)

    @admin.display(description="Made", ordering="created_at")
    def made(self, workspace: Workspace) -> SafeString:
        return chips.instant(workspace.created_at)

    @admin.display(description="Members")
    def member_count(self, workspace: Any) -> int:
        return int(workspace.members)

    @admin.display(description="Environments")
    def environment_count(self, workspace: Any) -> int:
        return int(workspace.places)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:  # noqa: ARG002
        return [*SETTINGS, "plan", "slug"] if obj else ["name", "slug"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The plan is the operator's to give."""
        if obj is None:
            return []
        return ["slug"] if access_of(request).everything else ["plan", "slug"]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        workspace, access = self.get_object(request, object_id), access_of(request)
        wipeable = workspace is not None and access.owns(workspace.pk)
        told = {"wipeable": wipeable, "several": access.several}
        found: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **told})
        return found

    def has_add_permission(self, request: HttpRequest) -> bool:
        return access_of(request).everything

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def save_model(self, request: HttpRequest, obj: Workspace, form: Any, change: bool) -> None:  # noqa: ARG002
        if change:
            return  # the form's verb has done it
        made = create_workspace(slug=obj.slug, name=obj.name)
        obj.pk, obj.created_at = made.pk, made.created_at
