"""API keys: shown once when created, then changed or revoked, never readable."""

import datetime
import uuid
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldBooleanSwitchWidget

from accounts.actors import Actor
from accounts.api_keys import IssuedKey, change_key, issue_key, revoke_key
from accounts.models import ApiKey, Scope
from core.errors import HourhandError
from core.words import Appearance
from dashboard.accounts.shown_once import COPYING, shown_once
from dashboard.base import chips
from dashboard.base.access import DashboardAccess, access_of
from dashboard.base.scoped import ConfidentialAdmin

_STATES = {
    "usable": Appearance("Active", "ok", "key"),
    "expired": Appearance("Expired", "warn", "hourglass_disabled"),
    "revoked": Appearance("Revoked", "idle", "key_off"),
}
_EDITABLE = ["name", "scopes", "only_some", "environments", "expires_at"]


class ApiKeyForm(forms.ModelForm[ApiKey]):
    """Creates or changes a key; no one can grant more than they have themselves."""

    access: DashboardAccess
    actor: Actor
    issued: IssuedKey | None = None

    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, scope.value) for scope in Scope],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        initial=[Scope.JOBS_READ.value, Scope.EXECUTIONS_READ.value],
    )
    only_some = forms.BooleanField(
        label="Restrict to environments",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Off: all environments, including those created later.",
    )

    class Meta:
        model = ApiKey
        fields = ["workspace", "name", "scopes", "environments", "expires_at"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "only_some" in self.fields:
            self.fields["only_some"].initial = self.instance.is_bound

    def clean_expires_at(self) -> datetime.datetime | None:
        expires_at: datetime.datetime | None = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now() and "expires_at" in self.changed_data:
            raise forms.ValidationError("Should be in the future.")
        return expires_at

    def clean(self) -> dict[str, Any] | None:
        """Save here rather than in save_model, where an error could no longer be shown."""
        values = super().clean()
        chosen = self.cleaned_data
        if not self.errors and chosen["environments"] and not chosen["only_some"]:
            self.add_error("only_some", "Turn this on to restrict the key to the chosen environments.")
        if self.errors:
            return values
        try:
            self._change() if self.instance.digest else self._issue()
        except HourhandError as error:
            self.add_error(error.field if error.field in self.fields else None, error.detail)
        return values

    def _issue(self) -> None:
        values = self.cleaned_data
        self.issued = issue_key(
            workspace=values["workspace"],
            name=values["name"],
            scopes=values["scopes"],
            environments=values["environments"] if values["only_some"] else None,
            expires_at=values["expires_at"],
            actor=self.actor,
            limit=self.access.grant(values["workspace"].pk),
        )
        self.instance = self.issued.row

    def _change(self) -> None:
        changes: dict[str, Any] = {
            field: self.cleaned_data[field] for field in ("name", "scopes", "expires_at") if field in self.changed_data
        }
        if {"only_some", "environments"} & set(self.changed_data):
            changes["environments"] = self.cleaned_data["environments"] if self.cleaned_data["only_some"] else None
        limit = self.access.grant(self.instance.workspace_id)
        self.instance = change_key(key=self.instance, **changes, actor=self.actor, limit=limit, now=timezone.now())


@admin.register(ApiKey)
class ApiKeyAdmin(ConfidentialAdmin):
    choice_paths = {"workspace": "pk", "environments": "workspace"}
    form = ApiKeyForm
    list_display = [
        "name",
        "state",
        "key_prefix",
        "scope_words",
        "environment_words",
        "last_used",
        "expires",
        "workspace",
    ]
    list_select_related = ["workspace"]
    search_fields = ["name", "prefix"]
    ordering = ["-created_at"]
    change_form_outer_after_template = "admin/accounts/apikey/revoke.html"
    _details = ["state", "key_prefix", "created_by", "created", "last_used"]

    class Media:
        js = [COPYING]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("environments")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ["workspace", *_EDITABLE]
        if self.has_change_permission(request, obj):
            return [*_EDITABLE, *self._details]
        return ["name", "scope_words", "environment_words", "expires", *self._details]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return []
        return self._details if self.has_change_permission(request, obj) else self.get_fields(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A revoked key can't be changed."""
        return super().has_change_permission(request, obj) and (obj is None or obj.revoked_at is None)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Offer the environments of the key's own workspace, as checkboxes."""
        options["widget"] = UnfoldAdminCheckboxSelectMultipleWidget
        key_id = request.resolver_match.kwargs.get("object_id") if request.resolver_match else None
        key = self.get_object(request, key_id) if key_id else None
        if key is not None:
            options["queryset"] = key.workspace.environments.all()
        return super().formfield_for_manytomany(db_field, request, **options)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Show a new key: the form has created or changed it."""
        if form.issued is not None:
            messages.warning(request, shown_once("Copy the key now. It is not shown again:", form.issued.key))

    def save_related(self, *_: Any) -> None:
        """Do nothing: the form has saved the environments too."""

    def get_urls(self) -> list[URLPattern]:
        revoke = self.admin_site.admin_view(require_POST(self.revoke))
        return [path("<uuid:key_id>/revoke/", revoke, name="accounts_apikey_revoke"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        key = self.get_object(request, object_id)
        revocable = key is not None and key.revoked_at is None and access_of(request).administers(key.workspace_id)
        context = {**(extra_context or {}), "revocable": revocable}
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    def revoke(self, request: HttpRequest, key_id: uuid.UUID) -> HttpResponseRedirect:
        key = self.get_queryset(request).filter(pk=key_id).first()
        if key is None or not access_of(request).administers(key.workspace_id):
            raise Http404
        revoke_key(key=key, actor=Actor.of_user(request.user), now=timezone.now())
        self.log_change(request, key, "Revoked.")
        messages.success(request, f"API key revoked: {key.name}. Requests with it are rejected from now on.")
        return redirect("admin:accounts_apikey_changelist")

    @admin.display(description="State")
    def state(self, key: ApiKey) -> SafeString:
        if key.revoked_at is not None:
            return chips.chip(_STATES["revoked"])
        expired = key.expires_at is not None and key.expires_at <= timezone.now()
        return chips.chip(_STATES["expired" if expired else "usable"])

    @admin.display(description="Begins with")
    def key_prefix(self, key: ApiKey) -> SafeString:
        return chips.beginning(key.prefix)

    @admin.display(description="Scopes")
    def scope_words(self, key: ApiKey) -> SafeString:
        tags = format_html_join("", '<span class="hh-tag">{}</span>', ((scope,) for scope in key.scopes))
        return format_html('<span class="hh-chips">{}</span>', tags)

    @admin.display(description="Created")
    def created(self, key: ApiKey) -> SafeString:
        return chips.instant(key.created_at)

    @admin.display(description="Environments")
    def environment_words(self, key: ApiKey) -> str:
        if not key.is_bound:
            return "All"
        return ", ".join(environment.slug for environment in key.environments.all()) or "None: deleted"

    @admin.display(description="Last used", ordering="last_used_at")
    def last_used(self, key: ApiKey) -> SafeString | str:
        return chips.distance(key.last_used_at) if key.last_used_at else "Never"

    @admin.display(description="Expires", ordering="expires_at")
    def expires(self, key: ApiKey) -> SafeString | str:
        return chips.distance(key.expires_at) if key.expires_at else "Never"
