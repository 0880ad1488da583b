"""Signing secrets: shown once when rotated, never readable or editable."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from accounts.actors import Actor
from accounts.models import SigningSecret, Workspace
from accounts.signing import (
    DEFAULT_OVERLAP_SECONDS,
    MAX_OVERLAP_SECONDS,
    SigningSecretEncryptionError,
    rotate_signing_secret,
)
from dashboard.accounts.shown_once import COPYING, shown_once
from dashboard.base import chips
from dashboard.base.access import access_of
from dashboard.base.scoped import ConfidentialAdmin

_LIST = "admin:accounts_signingsecret_changelist"
_SECONDS_PER_HOUR = 3600


class RotationForm(forms.Form):
    """The workspace whose secret to rotate, and for how long requests carry the old one's signature too."""

    workspace: Any = forms.ModelChoiceField(queryset=Workspace.objects.none(), empty_label=None)
    overlap_hours = forms.IntegerField(
        min_value=0,
        max_value=MAX_OVERLAP_SECONDS // _SECONDS_PER_HOUR,
        initial=DEFAULT_OVERLAP_SECONDS // _SECONDS_PER_HOUR,
        label="Overlap with the current secret, hours",
    )

    def __init__(self, request: HttpRequest, posted: Any = None) -> None:
        super().__init__(posted)
        ids = access_of(request).administered
        choice: Any = self.fields["workspace"]
        choice.queryset = Workspace.objects.filter(pk__in=ids).order_by("name")
        for field in self.fields.values():
            field.widget.attrs["class"] = "hh-input"


@admin.register(SigningSecret)
class SigningSecretAdmin(ConfidentialAdmin):
    """The secrets in use by their first characters, and the form that rotates them."""

    list_display = ["secret_prefix", "workspace", "created", "retires"]
    list_display_links = None
    list_select_related = ["workspace"]
    ordering = ["workspace__name", "-created_at"]
    list_before_template = "admin/accounts/signingsecret/rotate.html"
    fields = ["workspace", "prefix", "created_at", "retires_at"]

    class Media:
        js = [COPYING]

    def get_queryset(self, request: HttpRequest) -> Any:
        secrets: Any = super().get_queryset(request)
        return secrets.live(timezone.now()).defer("value")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        rotate = self.admin_site.admin_view(require_POST(self.rotate))
        return [path("rotate/", rotate, name="accounts_signingsecret_rotate"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        form = RotationForm(request) if access_of(request).administers_somewhere else None
        response: HttpResponse = super().changelist_view(request, {**(extra_context or {}), "rotation": form})
        return response

    def rotate(self, request: HttpRequest) -> HttpResponseRedirect:
        form = RotationForm(request, request.POST)
        if not form.is_valid():
            if "workspace" in form.errors:
                raise Http404
            messages.error(request, " ".join(map(str, form.errors["overlap_hours"])))
            return redirect(_LIST)
        workspace = form.cleaned_data["workspace"]
        overlap_seconds = form.cleaned_data["overlap_hours"] * _SECONDS_PER_HOUR
        try:
            rotated = rotate_signing_secret(
                workspace=workspace,
                overlap_seconds=overlap_seconds,
                actor=Actor.of_user(request.user),
                now=timezone.now(),
            )
        except SigningSecretEncryptionError as error:
            messages.error(request, error.detail)
            return redirect(_LIST)
        self.log_addition(request, rotated.row, "Rotated.")
        text = "Copy the signing secret now. It is not shown again:"
        messages.warning(request, shown_once(text, rotated.secret))
        return redirect(_LIST)

    @admin.display(description="Begins with")
    def secret_prefix(self, secret: SigningSecret) -> SafeString:
        return chips.beginning(secret.prefix)

    @admin.display(description="Created", ordering="created_at")
    def created(self, secret: SigningSecret) -> SafeString:
        return chips.instant(secret.created_at)

    @admin.display(description="Signs until", ordering="retires_at")
    def retires(self, secret: SigningSecret) -> SafeString | str:
        return chips.distance(secret.retires_at) if secret.retires_at else "Next rotation"
