"""Plans: the operator's. Who has which is said on the page of the workspace."""

from typing import Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin

from accounts.actors import Actor
from accounts.models import Plan
from accounts.plans import RULES, save_plan
from dashboard.accounts.access import access_of


@admin.register(Plan)
class PlanAdmin(ModelAdmin):
    """Only for superusers. A plan that a workspace has is not deleted."""

    list_display = ["name", "runs_included", "overage_cents_per_thousand", "max_active_jobs", "workspace_count"]
    search_fields = ["name"]
    ordering = ["name"]
    actions = None
    fields = ["name", *RULES]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(having=Count("workspaces"))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        told = {
            "runs_included": "In a month of UTC. Left empty, here and below: no limit.",
            "overage_cents_per_thousand": "What a thousand runs beyond them cost.",
            "stops_at_limit": "No run beyond the included ones starts, whatever the workspace chooses.",
            "min_interval_seconds": "How far apart the firings of a job's schedule have to be.",
            "max_active_jobs": "Jobs that are enabled anywhere, paused ones included.",
            "keep_last": "How many executions a job may keep.",
            "keep_days": "For how many days.",
        }
        return super().get_form(request, obj, change=change, **{"help_texts": told, **options})

    @admin.display(description="Workspaces")
    def workspace_count(self, plan: Any) -> int:
        return int(plan.having)

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:
        saved = save_plan(
            plan=obj if change else None,
            values={field: form.cleaned_data[field] for field in ("name", *RULES)},
            actor=Actor.of_user(request.user),
            now=timezone.now(),
        )
        obj.pk, obj.created_at = saved.pk, saved.created_at

    def has_module_permission(self, request: HttpRequest) -> bool:
        return access_of(request).everything

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        return access_of(request).everything

    def has_add_permission(self, request: HttpRequest) -> bool:
        return access_of(request).everything

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return access_of(request).everything

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return access_of(request).everything
