"""The latest executions on a job's page: the page belongs to jobs, and what happened to runs."""

from typing import Any

from django import template

from dashboard.runs.recent_outcomes import RecentOutcomes
from jobs.models import Job

register = template.Library()


@register.inclusion_tag("admin/runs/lately.html", takes_context=True)
def lately(context: dict[str, Any], job: Job) -> dict[str, Any]:
    """The card of a job's page. `now_at` of its context is the instant of the whole page."""
    return {"job": job, "lately": RecentOutcomes.of(job, context["now_at"])}
