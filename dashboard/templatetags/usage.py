"""A workspace's plan and usage on its page: the page belongs to accounts, and what is counted to jobs and runs."""

from typing import Any

from django import template

from accounts.models import Workspace
from dashboard.base.usage import PlanAndUsage

register = template.Library()


@register.inclusion_tag("hourhand/usage.html")
def plan_and_usage(workspace: Workspace, *, several: bool) -> dict[str, Any]:
    """The card of the workspace's page. `several`: the reader sees other workspaces too."""
    return {"told": PlanAndUsage.of(workspace, several=several)}
