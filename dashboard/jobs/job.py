"""The list of jobs, and the addresses of their pages."""

import datetime
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import F, Prefetch
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_POST
from rest_framework.exceptions import ValidationError

from accounts.models import Workspace
from api.base.pagination import Keyset
from api.jobs.filters import sorted_by
from core.words import Appearance
from dashboard.base import chips
from dashboard.base.access import access_of
from dashboard.base.listing import FilterField, KeysetAdmin, KeysetChangeList
from dashboard.base.lookups import parse_id
from dashboard.jobs import (
    bulk_actions,
    buttons,
    editing,
    page,
    schedule_preview,
    versions,
    webhook,
    workflow_check,
)
from dashboard.jobs.filters import DashboardJobQuery, job_fields, matching_jobs, suggest
from dashboard.jobs.words import schedule_words, state_appearance, state_title
from jobs.models import Job, JobEnvironment, Kind
from jobs.querysets import JobQuerySet

_JOB_ENVIRONMENTS = Prefetch(
    "job_environments",
    JobEnvironment.objects.select_related("environment").prefetch_related("unreadable").order_by("environment__slug"),
)
_UNREADABLE = Appearance("unreadable", "bad", "error")
#: What the list shows of a definition, which as a whole may hold a megabyte.
_SHOWN = {
    "shown_schedule": F("current_version__config__schedule"),
    "shown_timezone": F("current_version__config__timezone"),
    "shown_method": F("current_version__config__request__method"),
}


class JobChangeList(KeysetChangeList):
    def url_for_result(self, result: Any) -> str:
        return reverse("admin:jobs_job_page", args=[result.pk])


@admin.register(Job)
class JobAdmin(KeysetAdmin):
    """Jobs that are not deleted. A row links to the job's page, which links to the form."""

    list_display = ["job", "definition", "environments", "next_firing", "last_status", "workspace_name"]
    list_display_links = ["job"]
    actions: Any = bulk_actions.ACTIONS
    selects_all_matching = True
    query_class = DashboardJobQuery

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[JobChangeList]:
        return JobChangeList

    def filters(self, request: HttpRequest) -> tuple[Sequence[FilterField], Sequence[FilterField]]:
        return job_fields(request)

    def compile_query(
        self, request: HttpRequest, query: dict[str, Any], workspaces: Sequence[Workspace]
    ) -> tuple[Any, Keyset]:
        jobs = matching_jobs(query, workspaces).prefetch_related(_JOB_ENVIRONMENTS).annotate(**_SHOWN)
        return sorted_by(jobs, query["sort"])

    def actionable(self, request: HttpRequest) -> JobQuerySet:
        """The live jobs that the person may change; with `select_across`, those that match the filters."""
        access = access_of(request)
        writable = [workspace for workspace in access.workspaces if access.writes(workspace.pk)]
        if request.POST.get("select_across", "0") == "0":
            return Job.objects.live().filter(workspace__in=writable)
        try:
            query, workspaces, _ = self.read_query(request)
        except ValidationError:
            return Job.objects.none()
        return matching_jobs(query, [workspace for workspace in workspaces if workspace in writable])

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), "empty_template": "hourhand/first_job.html"})

    def get_urls(self) -> list[URLPattern]:
        def wrap(view: Any, decorate: Any) -> Any:
            def wrapped(request: HttpRequest, *args: Any, **named: Any) -> HttpResponse:
                response: HttpResponse = view(self, request, *args, **named)
                return response

            return self.admin_site.admin_view(decorate(wrapped))

        return [
            path("suggest/", wrap(suggest, require_GET), name="jobs_job_suggest"),
            path("preview/", wrap(schedule_preview.preview_schedule, require_GET), name="jobs_job_preview"),
            path("workflow/", wrap(workflow_check.check, require_POST), name="jobs_job_check_workflow"),
            path("<uuid:job_id>/", wrap(page.show, require_GET), name="jobs_job_page"),
            path("<uuid:job_id>/pause/", wrap(buttons.pause_job, require_POST), name="jobs_job_pause"),
            path("<uuid:job_id>/resume/", wrap(buttons.resume_job, require_POST), name="jobs_job_resume"),
            path("<uuid:job_id>/webhook/", wrap(webhook.rotate, require_POST), name="jobs_job_rotate_webhook"),
            path("<uuid:job_id>/versions/", wrap(versions.show_versions, require_GET), name="jobs_job_versions"),
            path(
                "<uuid:job_id>/versions/<int:number>/restore/",
                wrap(versions.restore, require_POST),
                name="jobs_job_restore",
            ),
            *super().get_urls(),
        ]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if object_id is None:
            return editing.add(self, request)
        return editing.change(self, request, parse_id(object_id))

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return editing.confirm_delete(self, request, parse_id(object_id))

    @admin.display(description="Job")
    def job(self, job: Job) -> SafeString:
        return chips.two_lines(job.name, job.slug)

    @admin.display(description="Schedule and request")
    def definition(self, job: Any) -> SafeString:
        words = schedule_words(job.shown_schedule, job.shown_timezone, anchor=job.created_at)
        call = f"{job.shown_method} {job.url}" if job.kind == Kind.HTTP else "Workflow"
        return chips.two_lines(words, call)

    @admin.display(description="Environments")
    def environments(self, job: Job) -> SafeString:
        now, rows = timezone.now(), job.job_environments.all()
        states = format_html_join(
            "", "{}", ((chips.chip(state_appearance(row, now), title=state_title(row, now)),) for row in rows)
        )
        errors = {unreadable.error for row in rows for unreadable in row.unreadable.all()}
        unreadable = chips.chip(_UNREADABLE, title=" ".join(sorted(errors))) if errors else ""
        return format_html('<span class="hh-chips">{}{}</span>', states, unreadable)

    @admin.display(description="Next firing")
    def next_firing(self, job: Job) -> SafeString:
        return chips.distance(_soonest(job))

    @admin.display(description="Last status")
    def last_status(self, job: Job) -> SafeString:
        rows = list(job.job_environments.all())
        statuses = sorted({row.last_status for row in rows if row.last_status})
        failures = max((row.consecutive_failures for row in rows), default=0)
        in_a_row = format_html('<span class="hh-muted">{} in a row</span>', failures) if failures > 1 else ""
        marks = format_html_join("", "{}", ((chips.status_chip(status),) for status in statuses))
        return format_html('<span class="hh-chips">{}{}</span>', marks or chips.status_chip(""), in_a_row)

    @admin.display(description="Workspace")
    def workspace_name(self, job: Job) -> str:
        return job.workspace.name


def _soonest(job: Job) -> datetime.datetime | None:
    return min((row.next_fire_at for row in job.job_environments.all() if row.next_fire_at), default=None)
