"""Workspaces and what holds for a whole one."""

import uuid
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.actors import Actor
from accounts.admin.access import access_of
from accounts.admin.scoped import AdministeredAdmin
from accounts.errors import HourhandError
from accounts.models import Workspace
from accounts.services import SETTINGS, change_settings, create_workspace
from scheduler_project.dashboard import chips


class WorkspaceForm(forms.ModelForm[Workspace]):
    """The settings of a workspace. The API's verb judges; what it refuses stands beside its field."""

    actor: Actor

    class Meta:
        model = Workspace
        fields = [*SETTINGS, "slug"]
        widgets = {"redact_allow_headers": UnfoldAdminTextareaWidget(attrs={"rows": 3})}
        labels = {"redact_allow_headers": "Headers shown in history"}
        help_texts = {
            "redact_allow_headers": "Request headers, separated by commas, whose values the history shows besides "
            "harmless ones such as Content-Type. Secrets are redacted in them all the same."
        }

    def clean(self) -> dict[str, Any] | None:
        """Do it here, where a refusal can still be shown."""
        values = super().clean()
        if self.errors or not self.instance.slug:
            return values
        changes = {field: self.cleaned_data[field] for field in SETTINGS if field in self.changed_data}
        try:
            change_settings(workspace=self.instance, changes=changes, actor=self.actor, now=timezone.now())
        except HourhandError as error:
            self.add_error(error.field if error.field in self.fields else None, error.detail)
        return values


@admin.register(Workspace)
class WorkspaceAdmin(AdministeredAdmin):
    """Only a superuser makes workspaces. None is deleted here: its history would go with it."""

    workspace_path = "pk"
    list_display = ["name", "slug", "member_count", "environment_count", "made"]
    search_fields = ["name", "slug"]
    form = WorkspaceForm
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
        return [*SETTINGS, "slug"] if obj else ["name", "slug"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:  # noqa: ARG002
        return ["slug"] if obj else []

    def has_add_permission(self, request: HttpRequest) -> bool:
        return access_of(request).everything

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def save_model(self, request: HttpRequest, obj: Workspace, form: Any, change: bool) -> None:  # noqa: ARG002
        if change:
            return  # the form's verb has done it
        made = create_workspace(slug=obj.slug, name=obj.name)
        obj.pk, obj.created_at = made.pk, made.created_at
