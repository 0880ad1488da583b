"""Workspaces, their environments and their members."""

import uuid
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Count
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.admin.access import access_of
from accounts.admin.scoped import AdministeredAdmin
from accounts.models import Environment, Membership, Role, Workspace
from accounts.services import create_workspace


@admin.register(Workspace)
class WorkspaceAdmin(AdministeredAdmin):
    """Only a superuser makes workspaces. None is deleted here: its history would go with it."""

    workspace_path = "pk"
    list_display = ["name", "slug", "member_count", "environment_count", "created_at"]
    search_fields = ["name", "slug"]
    fields = ["name", "slug"]
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

    def has_add_permission(self, request: HttpRequest) -> bool:
        return access_of(request).everything

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def save_model(self, request: HttpRequest, obj: Workspace, form: Any, change: bool) -> None:  # noqa: ARG002
        if change:
            obj.save(update_fields=form.changed_data)
            return
        made = create_workspace(slug=obj.slug, name=obj.name)
        obj.pk, obj.created_at = made.pk, made.created_at


@admin.register(Environment)
class EnvironmentAdmin(AdministeredAdmin):
    """Environments are made and renamed here. None is deleted: the history of what ran in it would go with it."""

    choice_paths = {"workspace": "pk"}
    list_display = ["name", "slug", "workspace", "created_at"]
    list_select_related = ["workspace"]
    search_fields = ["name", "slug"]
    fields = ["workspace", "name", "slug"]
    ordering = ["workspace__name", "slug"]

    def get_readonly_fields(self, request: HttpRequest, obj: Environment | None = None) -> list[str]:  # noqa: ARG002
        return ["workspace"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False


class MembershipForm(forms.ModelForm[Membership]):
    """A new member is named, not picked: a list to pick from would show everybody's users."""

    username = forms.CharField(
        max_length=150,
        widget=UnfoldAdminTextInputWidget,
        help_text="Of somebody who has a user account already; with “staff status” they can sign in to this dashboard.",
    )

    class Meta:
        model = Membership
        fields = ["workspace", "role"]

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        user = get_user_model().objects.filter(username=username, is_active=True).first()
        if user is None:
            raise forms.ValidationError("No active user has this name.")
        self.instance.user = user
        return username

    def clean(self) -> dict[str, Any] | None:
        values = super().clean()
        workspace = self.cleaned_data.get("workspace")
        known = Membership.objects.filter(workspace=workspace, user_id=self.instance.user_id)
        if workspace and self.instance.user_id and known.exists():
            self.add_error("username", "Already a member of this workspace.")
        return values


@admin.register(Membership)
class MembershipAdmin(AdministeredAdmin):
    """Members and their roles. Only owners make owners, and a workspace keeps at least one."""

    choice_paths = {"workspace": "pk"}
    list_display = ["user", "workspace", "role", "can_sign_in", "created_at"]
    list_select_related = ["user", "workspace"]
    search_fields = ["user__username", "user__email"]
    ordering = ["workspace__name", "user__username"]

    @admin.display(description="Can sign in here", boolean=True)
    def can_sign_in(self, membership: Membership) -> bool:
        return membership.user.is_active and membership.user.is_staff

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        if not change:
            options["form"] = MembershipForm
        return super().get_form(request, obj, change=change, **options)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ARG002
        return ["workspace", "user", "role"] if obj else ["workspace", "username", "role"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:  # noqa: ARG002
        return ["workspace", "user"] if obj else []

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "role" and not self._makes_owners(request):
            options["choices"] = [choice for choice in Role.choices if choice[0] != Role.OWNER]
        return super().formfield_for_choice_field(db_field, request, **options)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        if obj is None or obj.role != Role.OWNER:
            return allowed
        return access_of(request).owns(obj.workspace_id) and not self._is_last_owner(obj)

    def _makes_owners(self, request: HttpRequest) -> bool:
        access = access_of(request)
        return all(access.owns(workspace.pk) for workspace in access.workspaces if access.administers(workspace.pk))

    @staticmethod
    def _is_last_owner(membership: Membership) -> bool:
        owners = Membership.objects.filter(workspace_id=membership.workspace_id, role=Role.OWNER)
        return not owners.exclude(pk=membership.pk).exists()
