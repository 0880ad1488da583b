"""Environments. This module is among those of jobs, which decide if an environment can be deleted."""

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
from dashboard.base import chips
from dashboard.base.scoped import AdministeredAdmin
from jobs.services.environments import delete_environment


class EnvironmentForm(forms.ModelForm[Environment]):
    """Creates or renames an environment; a domain error is shown beside its field."""

    actor: Actor

    class Meta:
        model = Environment
        fields = ["workspace", "name", "slug"]
        help_texts = {"slug": "1 to 100 of a-z, 0-9 and -. It can't be changed later."}

    def clean(self) -> dict[str, Any] | None:
        """Save here rather than in save_model, where an error could no longer be shown."""
        values = super().clean()
        if self.errors:
            return values
        now = timezone.now()
        try:
            if self.instance.slug:
                self.instance = rename_environment(
                    environment=self.instance, name=self.cleaned_data["name"], actor=self.actor, now=now
                )
            else:
                self.instance = create_environment(**self.cleaned_data, actor=self.actor, now=now)
        except HourhandError as error:
            self.add_error(error.field if error.field in self.fields else None, error.detail)
        return values


@admin.register(Environment)
class EnvironmentAdmin(AdministeredAdmin):
    form = EnvironmentForm
    choice_paths = {"workspace": "pk"}
    list_display = ["name", "slug", "workspace", "created"]
    list_select_related = ["workspace"]
    search_fields = ["name", "slug"]
    fields = ["workspace", "name", "slug"]
    ordering = ["workspace__name", "slug"]

    @admin.display(description="Created", ordering="created_at")
    def created(self, environment: Environment) -> SafeString:
        return chips.instant(environment.created_at)

    def get_readonly_fields(self, request: HttpRequest, obj: Environment | None = None) -> list[str]:
        return ["workspace", "slug"] if obj else []

    def save_model(self, request: HttpRequest, obj: Environment, form: Any, change: bool) -> None:
        """Do nothing: the form has saved it."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], Any]:
        """Only the environment: `delete_environment` refuses one that anything refers to."""
        return [str(row) for row in objs], {}, set(), []

    def delete_model(self, request: HttpRequest, obj: Environment) -> None:
        delete_environment(environment=obj, actor=Actor.of_user(request.user), now=timezone.now())
