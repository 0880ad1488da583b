"""Environments: made, renamed and deleted here. They stand with jobs because those decide if one can go."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from accounts.actors import Actor
from accounts.admin.scoped import AdministeredAdmin
from accounts.environments import create_environment, rename_environment
from accounts.errors import HourhandError
from accounts.models import Environment
from jobs.environments import delete_environment


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
    list_display = ["name", "slug", "workspace", "created_at"]
    list_select_related = ["workspace"]
    search_fields = ["name", "slug"]
    fields = ["workspace", "name", "slug"]
    ordering = ["workspace__name", "slug"]

    def get_readonly_fields(self, request: HttpRequest, obj: Environment | None = None) -> list[str]:  # noqa: ARG002
        return ["workspace", "slug"] if obj else []

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        form = super().get_form(request, obj, change=change, **options)
        form.actor = Actor.of_user(request.user)
        return form

    def save_model(self, request: HttpRequest, obj: Environment, form: Any, change: bool) -> None:
        """Nothing: the form's verb has done it."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], Any]:  # noqa: ARG002
        """Only itself: the verb refuses to delete one that holds anything."""
        return [str(row) for row in objs], {}, set(), []

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            answer: HttpResponse = super().delete_view(request, object_id, extra_context)
        except HourhandError as error:
            messages.error(request, error.detail)
            return redirect("admin:accounts_environment_change", object_id)
        return answer

    def delete_model(self, request: HttpRequest, obj: Environment) -> None:
        delete_environment(environment=obj, actor=Actor.of_user(request.user), now=timezone.now())
