"""Retry policies: made, changed and deleted here by the API's verbs; the API's validator judges the form."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from accounts.actors import Actor
from api.base.problems import field_errors
from api.jobs.retry_policies import RetryPolicySerializer
from dashboard.accounts.access import access_of
from dashboard.accounts.scoped import ScopedAdmin
from jobs.models import RetryPolicy
from jobs.services.retry_policies import RULES, delete_policy, save_policy
from jobs.validation.sections import RetryRulesSerializer


class RetryPolicyForm(forms.ModelForm[RetryPolicy]):
    """A policy as fields; `rules` is what it says, once it is valid."""

    rules: dict[str, Any]

    class Meta:
        model = RetryPolicy
        fields = ["workspace", "name", "slug", *RULES]
        help_texts = {
            "slug": "How jobs and the API name it.",
            "max_attempts": "1: no retry. At most 20.",
            "delay_ms": "The first wait, in milliseconds.",
            "max_delay_ms": "The longest wait, in milliseconds; a Retry-After waits no longer either.",
            "delays_ms": "For “list” only: the waits in milliseconds, separated by commas.",
            "on_statuses": "Separated by commas.",
            "except_statuses": "Never these, though they stand above.",
        }

    def clean(self) -> dict[str, Any] | None:
        values = super().clean()
        if self.errors:
            return values
        written = {field: self.cleaned_data[field] for field in ("name", "slug", *RULES) if field in self.cleaned_data}
        written["delays_ms"] = written["delays_ms"] or None
        serializer = RetryPolicySerializer(data=written)
        try:
            serializer.is_valid(raise_exception=True)
        except ValidationError as error:
            for wrong in field_errors(error.detail):
                field = (wrong["field"] or "").partition(".")[0]
                self.add_error(field if field in self.fields else None, wrong["detail"])
        else:
            self.rules = {field: serializer.validated_data[field] for field in RULES}
        return values


@admin.register(RetryPolicy)
class RetryPolicyAdmin(ScopedAdmin):
    choice_paths = {"workspace": "pk"}
    form = RetryPolicyForm
    list_display = ["name", "slug", "max_attempts", "backoff", "job_count", "workspace"]
    list_select_related = ["workspace"]
    search_fields = ["name", "slug"]
    ordering = ["name"]

    def get_queryset(self, request: HttpRequest) -> Any:
        counted = Count("jobs", filter=Q(jobs__deleted_at__isnull=True))
        return super().get_queryset(request).annotate(job_total=counted)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:  # noqa: ARG002
        return ["workspace", "slug"] if obj else []

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        access = access_of(request)
        first = next((workspace.pk for workspace in access.workspaces if access.writes(workspace.pk)), None)
        rules = RetryRulesSerializer(data={})
        rules.is_valid(raise_exception=True)
        return {**rules.validated_data, "workspace": first, **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: RetryPolicy, form: Any, change: bool) -> None:
        saved = save_policy(
            workspace=obj.workspace,
            policy=obj if change else None,
            slug=obj.slug,
            name=obj.name,
            rules=form.rules,
            actor=Actor.of_user(request.user),
            now=timezone.now(),
        )
        obj.pk = saved.pk

    def delete_model(self, request: HttpRequest, obj: RetryPolicy) -> None:
        delete_policy(policy=obj, actor=Actor.of_user(request.user), now=timezone.now())

    @admin.display(description="Jobs")
    def job_count(self, policy: Any) -> int:
        return int(policy.job_total)

    def _narrow_choices(self, field: Any, request: HttpRequest, options: dict[str, Any]) -> None:
        super()._narrow_choices(field, request, options)
        if field.name == "workspace" and "queryset" in options:
            access = access_of(request)
            ids = [workspace.pk for workspace in access.workspaces if access.writes(workspace.pk)]
            options["queryset"] = options["queryset"].filter(pk__in=ids)
