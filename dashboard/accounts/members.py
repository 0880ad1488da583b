"""Members: add, change roles, invite and remove, by the functions that the API calls."""

import uuid
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminTextInputWidget

from accounts.actors import Actor
from accounts.invitations import Invitation
from accounts.members import add_member, change_role, invite_again, remove_member
from accounts.models import Membership, Role
from core.errors import HourhandError
from core.words import Appearance
from dashboard.accounts.shown_once import COPYING, shown_once
from dashboard.base import chips
from dashboard.base.access import DashboardAccess, access_of
from dashboard.base.scoped import ConfidentialAdmin

_STATES = {
    "active": Appearance("Active", "ok", "person"),
    "invited": Appearance("Invited", "warn", "mail"),
    "disabled": Appearance("Account disabled", "idle", "person_off"),
}


class MembershipForm(forms.ModelForm[Membership]):
    """Changes a role; no one can grant more than they have themselves."""

    access: DashboardAccess
    actor: Actor
    invitation: Invitation | None = None

    class Meta:
        model = Membership
        fields = ["workspace", "role"]

    def clean(self) -> dict[str, Any] | None:
        """Save here rather than in save_model, where an error could no longer be shown."""
        values = super().clean()
        if self.errors:
            return values
        try:
            self.save_member()
        except HourhandError as error:
            self.add_error(error.field if error.field in self.fields else None, error.detail)
        return values

    def save_member(self) -> None:
        limit = self.access.grant(self.instance.workspace_id)
        role, now = self.cleaned_data["role"], timezone.now()
        self.instance = change_role(membership=self.instance, role=role, actor=self.actor, limit=limit, now=now)


class NewMemberForm(MembershipForm):
    """A new member by name, since a list to choose from would show other workspaces' users."""

    username = forms.CharField(max_length=150, required=False, widget=UnfoldAdminTextInputWidget)
    email = forms.EmailField(
        required=False,
        widget=UnfoldAdminEmailInputWidget,
        help_text="A username or an email is enough. You get an invitation link to send; the person who "
        "accepts it becomes the member.",
    )

    def save_member(self) -> None:
        limit = self.access.grant(self.cleaned_data["workspace"].pk)
        added = add_member(**self.cleaned_data, actor=self.actor, limit=limit, now=timezone.now())
        self.instance, self.invitation = added.membership, added.invitation


@admin.register(Membership)
class MembershipAdmin(ConfidentialAdmin):
    """Only owners make others owners, and a workspace keeps at least one owner."""

    choice_paths = {"workspace": "pk"}
    list_display = ["member", "workspace", "role", "state", "since"]
    list_select_related = ["user", "workspace"]
    search_fields = ["user__username", "invited_username", "invited_email"]
    ordering = ["workspace__name", "user__username", "invited_username"]
    change_form_outer_after_template = "admin/accounts/membership/invite.html"

    class Media:
        js = [COPYING]

    @admin.display(description="Member", ordering="user__username")
    def member(self, membership: Membership) -> SafeString:
        name, email = membership.username, membership.email
        return chips.two_lines(name, email) if email and email != name else format_html("{}", name)

    @admin.display(description="Since", ordering="created_at")
    def since(self, membership: Membership) -> SafeString:
        return chips.instant(membership.created_at)

    @admin.display(description="State")
    def state(self, membership: Membership) -> SafeString:
        return chips.chip(_STATES[membership.state])

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        options["form"] = MembershipForm if change else NewMemberForm
        return super().get_form(request, obj, change=change, **options)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["workspace", "member", "role", "state"] if obj else ["workspace", "username", "email", "role"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["workspace", "member", "state"] if obj else []

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name == "role" and not self._may_grant_owner(request):
            options["choices"] = [choice for choice in Role.choices if choice[0] != Role.OWNER]
        return super().formfield_for_choice_field(db_field, request, **options)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        if obj is None or obj.role != Role.OWNER:
            return allowed
        return access_of(request).owns(obj.workspace_id) and not self._is_last_owner(obj)

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        """Show the invitation link: the form has created it."""
        if form.invitation is not None:
            self._show_link(request, obj, form.invitation)

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        limit = access_of(request).grant(obj.workspace_id)
        remove_member(membership=obj, actor=Actor.of_user(request.user), limit=limit, now=timezone.now())

    def get_urls(self) -> list[URLPattern]:
        invite = self.admin_site.admin_view(require_POST(self.invite))
        return [path("<uuid:member_id>/invite/", invite, name="accounts_membership_invite"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        member = self.get_object(request, object_id)
        invitable = member is not None and member.user is None and self.has_change_permission(request, member)
        context = {**(extra_context or {}), "invitable": invitable}
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    def invite(self, request: HttpRequest, member_id: uuid.UUID) -> HttpResponseRedirect:
        """Create a new link for a member who has not accepted the invitation."""
        member: Any = self.get_queryset(request).filter(pk=member_id).first()
        if member is None or not access_of(request).administers(member.workspace_id):
            raise Http404
        limit = access_of(request).grant(member.workspace_id)
        try:
            invitation = invite_again(
                membership=member, actor=Actor.of_user(request.user), limit=limit, now=timezone.now()
            )
        except HourhandError as error:
            messages.error(request, error.detail)
        else:
            self._show_link(request, member, invitation)
        return redirect("admin:accounts_membership_change", member.pk)

    def _show_link(self, request: HttpRequest, member: Membership, invitation: Invitation) -> None:
        until = f"{invitation.expires_at:%Y-%m-%d %H:%M} UTC"
        name = member.username
        text = f"Send this link to {name}. It is not shown again, and expires on {until}:"
        messages.warning(request, shown_once(text, invitation.url))

    def _may_grant_owner(self, request: HttpRequest) -> bool:
        access = access_of(request)
        return all(access.owns(workspace.pk) for workspace in access.workspaces if access.administers(workspace.pk))

    @staticmethod
    def _is_last_owner(membership: Membership) -> bool:
        if membership.user is None:
            return False
        owners = Membership.objects.filter(workspace_id=membership.workspace_id, role=Role.OWNER, user__isnull=False)
        return not owners.exclude(pk=membership.pk).exists()
