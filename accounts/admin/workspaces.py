"""Workspaces and what holds for a whole one."""

import uuid
from typing import Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest
from django.utils import timezone

from accounts.actors import Actor
from accounts.admin.access import access_of
from accounts.admin.scoped import AdministeredAdmin
from accounts.models import Workspace
from accounts.services import SETTINGS, change_settings, create_workspace


@admin.register(Workspace)
class WorkspaceAdmin(AdministeredAdmin):
    """Only a superuser makes workspaces. None is deleted here: its history would go with it."""

    workspace_path = "pk"
    list_display = ["name", "slug", "member_count", "environment_count", "created_at"]
    search_fields = ["name", "slug"]
    fields = [*SETTINGS, "slug"]
    ordering = ["name"]

    def workspace_id_of(self, row: Workspace) -> uuid.UUID:
        return row.pk

    def get_queryset(self, request: HttpRequest) -> Any:
        counts = {"members": Count("memberships", distinct=True), "places": Count("environments", distinct=True)}
        return super().get_queryset(request).annotate(**counts)

    @admin.display(description="Members")
    def member_count(self, workspace: Any) -> int:
        return int(workspace.members)

    @admin.display(description="Environments")
    def environment_count(self, workspace: Any) -> int:
        return int(workspace.places)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:  # noqa: ARG002
        return ["slug"] if obj else []

    def has_add_permission(self, request: HttpRequest) -> bool:
        return access_of(request).everything

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def save_model(self, request: HttpRequest, obj: Workspace, form: Any, change: bool) -> None:
        if change:
            changes = {field: form.cleaned_data[field] for field in SETTINGS}
            change_settings(workspace=obj, changes=changes, actor=Actor.of_user(request.user), now=timezone.now())
            return
        made = create_workspace(slug=obj.slug, name=obj.name)
        obj.pk, obj.created_at = made.pk, made.created_at
