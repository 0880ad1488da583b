"""Secrets: write-only. This module is among those of jobs, which decide if a secret can be deleted."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.actors import Actor
from accounts.models import Secret
from accounts.secrets import change_secret, check_value, create_secret
from core.errors import HourhandError
from dashboard.base import chips
from dashboard.base.scoped import ConfidentialAdmin
from jobs.services.secrets import delete_secret


class WriteOnlyText(UnfoldAdminTextareaWidget):
    """A text area that never shows its value, not even beside an error."""

    def format_value(self, value: Any) -> str:
        return ""


class SecretForm(forms.ModelForm[Secret]):
    """Creates a secret or sets its value; a domain error is shown beside its field."""

    actor: Actor

    value = forms.CharField(
        strip=False,
        widget=WriteOnlyText(attrs={"autocomplete": "off", "rows": 3}),
        help_text="Stored encrypted, never shown. At least 4 characters.",
    )

    class Meta:
        model = Secret
        fields = ["workspace", "environment", "name"]

    def clean_value(self) -> str:
        # A browser sends every line break of a text area as CR LF.
        value: str = self.cleaned_data["value"].replace("\r\n", "\n")
        try:
            check_value(value)
        except HourhandError as error:
            raise forms.ValidationError(error.detail) from error
        return value

    def clean(self) -> dict[str, Any] | None:
        """Save here rather than in save_model, where an error could no longer be shown."""
        values = super().clean()
        if self.errors:
            return values
        values, now = self.cleaned_data, timezone.now()
        try:
            if self.instance.encrypted:
                change_secret(secret=self.instance, value=values["value"], actor=self.actor, now=now)
            else:
                self.instance = create_secret(
                    workspace=values["workspace"],
                    environment=values["environment"],
                    name=values["name"],
                    value=values["value"],
                    actor=self.actor,
                    now=now,
                )
        except HourhandError as error:
            self.add_error(error.field if error.field in self.fields else None, error.detail)
        return values


@admin.register(Secret)
class SecretAdmin(ConfidentialAdmin):
    form = SecretForm
    choice_paths = {"workspace": "pk", "environment": "workspace"}
    list_display = ["name", "environment_slug", "workspace", "changed"]
    list_select_related = ["workspace", "environment"]
    search_fields = ["name"]
    ordering = ["name"]
    fields = ["workspace", "environment", "name", "value"]

    @admin.display(description="Environment", ordering="environment__slug")
    def environment_slug(self, secret: Secret) -> str:
        return secret.environment.slug if secret.environment else "all"

    @admin.display(description="Last set", ordering="updated_at")
    def changed(self, secret: Secret) -> SafeString:
        return chips.instant(secret.updated_at)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["workspace", "environment_slug", "name", "changed"] if obj else []

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["workspace", "environment_slug", "name", "changed", "value"] if obj else self.fields

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Label the empty choice: a secret without an environment is for all of them."""
        field = super().formfield_for_foreignkey(db_field, request, **options)
        if db_field.name == "environment":
            field.empty_label = "All environments"
        return field

    def save_model(self, request: HttpRequest, obj: Secret, form: Any, change: bool) -> None:
        """Do nothing: the form has saved it."""

    def delete_model(self, request: HttpRequest, obj: Secret) -> None:
        delete_secret(secret=obj, actor=Actor.of_user(request.user), now=timezone.now())
