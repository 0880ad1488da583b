"""Environments: made, renamed and deleted here. They stand with jobs because those decide if one can go."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.actors import Actor
from accounts.environments import create_environment, rename_environment
from accounts.models import Environment
from core.errors import HourhandError
from dashboard.accounts.scoped import AdministeredAdmin
from dashboard.base import chips
from jobs.services.environments import delete_environment


class EnvironmentForm(forms.ModelForm[Environment]):
    """A name and a slug. The verbs judge; what they refuse stands beside its field."""

    actor: Actor

    class Meta:
        model = Environment
        fields = ["workspace", "name", "slug"]
        help_texts = {"slug": "1 to 100 of a-z, 0-9 and -. It stays for good."}

    def clean(self) -> dict[str, Any] | None:
        """Do it here, where a refusal can still be shown."""
        values = super().clean()
        if self.errors:
            return values
        wanted, now = self.cleaned_data, timezone.now()
        try:
            if self.instance.slug:
                self.instance = rename_environment(
                    environment=self.instance, name=wanted["name"], actor=self.actor, now=now
                )
            else:
                self.instance = create_environment(**wanted, actor=self.actor, now=now)
        except HourhandError as error:
            self.add_error(error.field if error.field in self.fields else None, error.detail)
        return values


@admin.register(Environment)
class EnvironmentAdmin(AdministeredAdmin):
    form = EnvironmentForm
    choice_paths = {"workspace": "pk"}
    list_display = ["name", "slug", "workspace", "made"]
    list_select_related = ["workspace"]
    search_fields = ["name", "slug"]
    fields = ["workspace", "name", "slug"]
    ordering = ["workspace__name", "slug"]

    @admin.display(description="Made", ordering="created_at")
    def made(self, environment: Environment) -> SafeString:
        return chips.instant(environment.created_at)

    def get_readonly_fields(self, request: HttpRequest, obj: Environment | None = None) -> list[str]:  # noqa: ARG002
        return ["workspace", "slug"] if obj else []

    def save_model(self, request: HttpRequest, obj: Environment, form: Any, change: bool) -> None:
        """Nothing: the form's verb has done it."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], Any]:  # noqa: ARG002
        """Only itself: the verb refuses to delete one that holds anything."""
        return [str(row) for row in objs], {}, set(), []

    def delete_model(self, request: HttpRequest, obj: Environment) -> None:
        delete_environment(environment=obj, actor=Actor.of_user(request.user), now=timezone.now())
