"""Retry policies, validated by the API's serializer."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import BooleanField, Count, F, Func, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.actors import Actor
from api.base.problems import field_errors
from api.jobs.retry_policies import RetryPolicySerializer
from dashboard.base.access import access_of
from dashboard.base.scoped import ScopedAdmin
from dashboard.forms.retry import RetryPart
from jobs.models import Job, RetryPolicy
from jobs.services.retry_policies import RULES, delete_policy, save_policy
from jobs.validation.sections import RetryRulesSerializer


class RetryPolicyForm(forms.ModelForm[RetryPolicy]):
    """A retry policy; `rules` are its validated rules once the form is valid."""

    rules: dict[str, Any]

    class Meta:
        model = RetryPolicy
        fields = ["workspace", "name", "slug", *RULES]
        labels = {rule: RetryPart.base_fields[rule].label for rule in RULES}
        help_texts = {
            "slug": "Its name in jobs and in the API.",
            **{rule: RetryPart.base_fields[rule].help_text for rule in RULES},
        }
        widgets = {
            field: UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
            for field in ("delays_ms", "on_statuses", "except_statuses")
        }

    def clean(self) -> dict[str, Any] | None:
        values = super().clean()
        if self.errors:
            return values
        posted = {field: self.cleaned_data[field] for field in ("name", "slug", *RULES) if field in self.cleaned_data}
        posted["delays_ms"] = posted["delays_ms"] or None
        serializer = RetryPolicySerializer(data=posted)
        try:
            serializer.is_valid(raise_exception=True)
        except ValidationError as error:
            for each in field_errors(error.detail):
                field = (each["field"] or "").partition(".")[0]
                self.add_error(field if field in self.fields else None, each["detail"])
        else:
            self.rules = {field: serializer.validated_data[field] for field in RULES}
        return values


def _workflows_with_it() -> Coalesce:
    """The number of live workflows with a step that uses the policy of the row."""
    uses = Func(
        OuterRef("pk"),
        Func(F("step_policies"), function="ANY"),
        template="(%(expressions)s)",
        arg_joiner=" = ",
        output_field=BooleanField(),
    )
    workflows = Job.objects.live().filter(uses, workspace=OuterRef("workspace")).order_by()
    return Coalesce(Subquery(workflows.values("workspace").annotate(count=Count("pk")).values("count")), 0)


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
        return super().get_queryset(request).annotate(job_total=counted, workflow_total=_workflows_with_it())

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
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
        return int(policy.job_total + policy.workflow_total)

    def _narrow_choices(self, field: Any, request: HttpRequest, options: dict[str, Any]) -> None:
        super()._narrow_choices(field, request, options)
        if field.name == "workspace" and "queryset" in options:
            access = access_of(request)
            ids = [workspace.pk for workspace in access.workspaces if access.writes(workspace.pk)]
            options["queryset"] = options["queryset"].filter(pk__in=ids)
