"""Plans, for superusers. A plan is assigned on the page of a workspace."""

from typing import Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin

from accounts.actors import Actor
from accounts.models import Plan
from accounts.plans import RULES, save_plan
from dashboard.base.access import access_of


@admin.register(Plan)
class PlanAdmin(ModelAdmin):
    """A plan that is assigned to a workspace can't be deleted."""

    list_display = ["name", "runs_included", "overage_cents_per_thousand", "max_active_jobs", "workspace_count"]
    search_fields = ["name"]
    ordering = ["name"]
    actions = None
    fields = ["name", *RULES]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(workspace_total=Count("workspaces"))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        help_texts = {
            "runs_included": "Per calendar month, UTC. Leave this or a field below empty for no limit.",
            "overage_cents_per_thousand": "Price of a thousand runs beyond the included ones.",
            "stops_at_limit": "No run beyond the included ones starts, whatever the workspace's overage policy.",
            "min_interval_seconds": "The least time between two firings of a job.",
            "max_active_jobs": "Jobs enabled in any environment, including paused ones.",
            "keep_last": "Most executions that a job may keep.",
            "keep_days": "Most days that a job may keep executions.",
        }
        return super().get_form(request, obj, change=change, **{"help_texts": help_texts, **options})

    @admin.display(description="Workspaces")
    def workspace_count(self, plan: Any) -> int:
        return int(plan.workspace_total)

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

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return access_of(request).everything

    def has_add_permission(self, request: HttpRequest) -> bool:
        return access_of(request).everything

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return access_of(request).everything

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return access_of(request).everything
