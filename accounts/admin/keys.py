"""API keys: made here and shown once, revoked here, never readable or editable."""

import datetime
import uuid
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts.admin.access import access_of
from accounts.admin.scoped import AdministeredAdmin
from accounts.models import ApiKey, Scope
from accounts.services import issue_key, revoke_key
from scheduler_project.dashboard import chips
from scheduler_project.dashboard.words import Appearance

_STATES = {
    "usable": Appearance("Usable", "ok", "key"),
    "expired": Appearance("Expired", "warn", "hourglass_disabled"),
    "revoked": Appearance("Revoked", "idle", "key_off"),
}


class ApiKeyForm(forms.ModelForm[ApiKey]):
    """What a new key may do and until when."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, scope.value) for scope in Scope],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        initial=[Scope.JOBS_READ.value, Scope.EXECUTIONS_READ.value],
    )

    class Meta:
        model = ApiKey
        fields = ["workspace", "name", "scopes", "environments", "expires_at"]

    def clean_expires_at(self) -> datetime.datetime | None:
        expires_at: datetime.datetime | None = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now():
            raise forms.ValidationError("Should be in the future.")
        return expires_at

    def clean(self) -> dict[str, Any] | None:
        values = super().clean()
        workspace, environments = self.cleaned_data.get("workspace"), self.cleaned_data.get("environments") or []
        if any(environment.workspace_id != getattr(workspace, "pk", None) for environment in environments):
            self.add_error("environments", "Should be environments of the key's own workspace.")
        return values


@admin.register(ApiKey)
class ApiKeyAdmin(AdministeredAdmin):
    choice_paths = {"workspace": "pk", "environments": "workspace"}
    list_display = ["name", "state", "key_prefix", "scope_words", "place_words", "used", "expires", "workspace"]
    list_select_related = ["workspace"]
    search_fields = ["name", "prefix"]
    ordering = ["-created_at"]
    change_form_outer_after_template = "admin/accounts/apikey/revoke.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("environments")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        if not change:
            options["form"] = ApiKeyForm
        return super().get_form(request, obj, change=change, **options)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:  # noqa: ARG002
        if obj is None:
            return ["workspace", "name", "scopes", "environments", "expires_at"]
        return [
            "name",
            "state",
            "key_prefix",
            "scope_words",
            "place_words",
            "created_by",
            "created_at",
            "expires",
            "used",
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj) if obj else []

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and super().has_change_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:  # noqa: ARG002
        wanted = form.cleaned_data
        issued = issue_key(
            workspace=wanted["workspace"],
            name=wanted["name"],
            scopes=wanted["scopes"],
            environments=wanted["environments"],
            expires_at=wanted["expires_at"],
            created_by=request.user,
        )
        obj.pk, obj.prefix, obj.digest = issued.row.pk, issued.row.prefix, issued.row.digest
        messages.warning(request, f"This is the only time the key is shown; copy it now: {issued.key}")

    def save_related(self, *_: Any) -> None:
        """Nothing: `issue_key` has bound the key to its environments."""

    def get_urls(self) -> list[URLPattern]:
        revoke = self.admin_site.admin_view(require_POST(self.revoke))
        return [path("<uuid:key_id>/revoke/", revoke, name="accounts_apikey_revoke"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        key = self.get_object(request, object_id)
        revocable = key is not None and key.revoked_at is None and access_of(request).administers(key.workspace_id)
        context = {**(extra_context or {}), "revocable": revocable}
        found: HttpResponse = super().change_view(request, object_id, form_url, context)
        return found

    def revoke(self, request: HttpRequest, key_id: uuid.UUID) -> HttpResponseRedirect:
        key = self.get_queryset(request).filter(pk=key_id).first()
        if key is None or not access_of(request).administers(key.workspace_id):
            raise Http404
        revoke_key(key=key, now=timezone.now())
        self.log_change(request, key, "Revoked.")
        messages.success(request, f"The key {key.name} is revoked. Whoever still uses it is refused from now on.")
        return redirect("admin:accounts_apikey_changelist")

    @admin.display(description="State")
    def state(self, key: ApiKey) -> SafeString:
        if key.revoked_at is not None:
            return chips.chip(_STATES["revoked"])
        expired = key.expires_at is not None and key.expires_at <= timezone.now()
        return chips.chip(_STATES["expired" if expired else "usable"])

    @admin.display(description="Begins with")
    def key_prefix(self, key: ApiKey) -> str:
        return f"{key.prefix}…"

    @admin.display(description="Scopes")
    def scope_words(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @admin.display(description="Environments")
    def place_words(self, key: ApiKey) -> str:
        return ", ".join(environment.slug for environment in key.environments.all()) or "all"

    @admin.display(description="Last used", ordering="last_used_at")
    def used(self, key: ApiKey) -> SafeString | str:
        return chips.distance(key.last_used_at) if key.last_used_at else "never"

    @admin.display(description="Expires", ordering="expires_at")
    def expires(self, key: ApiKey) -> SafeString | str:
        return chips.distance(key.expires_at) if key.expires_at else "never"
