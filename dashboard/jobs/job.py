"""The list of jobs, and the addresses of their pages."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import F, Prefetch
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_POST

from accounts.models import Workspace
from api.base.pagination import Keyset
from api.jobs.filters import sorted_by
from core.words import Appearance
from dashboard.accounts.listing import Doing, FilterField, FoundAdmin, FoundChangeList, tick
from dashboard.base import chips
from dashboard.jobs import buttons, editing, page, previewing, together, versions
from dashboard.jobs.filters import JobsShown, job_fields, jobs_shown, suggest
from dashboard.jobs.reach import parsed
from dashboard.jobs.words import place_look, place_title, schedule_words
from jobs.models import Job, JobEnvironment

_PLACES = Prefetch(
    "job_environments",
    JobEnvironment.objects.select_related("environment").prefetch_related("unreadable").order_by("environment__slug"),
)
_UNREADABLE = Appearance("unreadable", "bad", "error")
#: What the list needs of a definition. Not all of it: a body may hold a megabyte.
_SHOWN = {
    "shown_schedule": F("current_version__config__schedule"),
    "shown_timezone": F("current_version__config__timezone"),
    "shown_method": F("current_version__config__request__method"),
}


class JobChangeList(FoundChangeList):
    def url_for_result(self, result: Any) -> str:
        return reverse("admin:jobs_job_page", args=[result.pk])


@admin.register(Job)
class JobAdmin(FoundAdmin):
    """Jobs that are not deleted. A row leads to the job's page; its form is one click further."""

    list_display = ["ticked", "job", "what", "places", "next_firing", "last", "workspace_name"]
    list_display_links = ["job"]
    doings_url = "admin:jobs_job_together"
    doings_reach_all = True
    query_class = JobsShown

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[JobChangeList]:  # noqa: ARG002
        return JobChangeList

    def doings(self, request: HttpRequest) -> Mapping[str, Doing]:  # noqa: ARG002
        return together.DOINGS

    def filters(self, request: HttpRequest) -> tuple[Sequence[FilterField], Sequence[FilterField]]:
        return job_fields(request)

    def meant(self, request: HttpRequest, query: dict[str, Any], among: Sequence[Workspace]) -> tuple[Any, Keyset]:  # noqa: ARG002
        """The API's pages of what a query means, with what the list shows."""
        jobs = jobs_shown(query, among).prefetch_related(_PLACES).annotate(**_SHOWN)
        return sorted_by(jobs, query["sort"])

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {**(extra_context or {}), "empty_template": "hourhand/first_job.html"})

    def get_urls(self) -> list[URLPattern]:
        def door(view: Any, *decorators: Any) -> Any:
            def opened(request: HttpRequest, *args: Any, **named: Any) -> HttpResponse:
                answer: HttpResponse = view(self, request, *args, **named)
                return answer

            for decorate in decorators:
                opened = decorate(opened)
            return self.admin_site.admin_view(opened)

        return [
            path("suggest/", door(suggest, require_GET), name="jobs_job_suggest"),
            path("together/", door(together.ask, require_POST), name="jobs_job_together"),
            path("together/done/", door(together.do, require_POST), name="jobs_job_together_done"),
            path("preview/", door(previewing.preview_schedule, require_GET), name="jobs_job_preview"),
            path("<uuid:job_id>/", door(page.show, require_GET), name="jobs_job_page"),
            path("<uuid:job_id>/pause/", door(buttons.pause_job, require_POST), name="jobs_job_pause"),
            path("<uuid:job_id>/resume/", door(buttons.resume_job, require_POST), name="jobs_job_resume"),
            path("<uuid:job_id>/versions/", door(versions.show_versions, require_GET), name="jobs_job_versions"),
            path(
                "<uuid:job_id>/versions/<int:number>/restore/",
                door(versions.restore, require_POST),
                name="jobs_job_restore",
            ),
            *super().get_urls(),
        ]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",  # noqa: ARG002 - Django's signature
        extra_context: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> HttpResponse:
        if object_id is None:
            return editing.add(self, request)
        return editing.change(self, request, parsed(object_id))

    def delete_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> HttpResponse:
        return editing.ask_to_delete(self, request, parsed(object_id))

    @admin.display(description="Select")
    def ticked(self, job: Job) -> SafeString:
        return tick("job", job.pk, job.name)

    @admin.display(description="Job")
    def job(self, job: Job) -> SafeString:
        return chips.two_lines(job.name, job.slug)

    @admin.display(description="What it does")
    def what(self, job: Any) -> SafeString:
        words = schedule_words(job.shown_schedule, job.shown_timezone, anchor=job.created_at)
        return chips.two_lines(words, f"{job.shown_method} {job.url}")

    @admin.display(description="Environments")
    def places(self, job: Job) -> SafeString:
        now = timezone.now()
        found = format_html_join(
            "",
            "{}",
            ((chips.chip(place_look(row, now), title=place_title(row, now)),) for row in job.job_environments.all()),
        )
        unreadable = {mark.error for row in job.job_environments.all() for mark in row.unreadable.all()}
        mark = chips.chip(_UNREADABLE, title=" ".join(sorted(unreadable))) if unreadable else ""
        return format_html('<span class="hh-chips">{}{}</span>', found, mark)

    @admin.display(description="Next firing")
    def next_firing(self, job: Job) -> SafeString:
        return chips.distance(_soonest(job))

    @admin.display(description="Last")
    def last(self, job: Job) -> SafeString:
        rows = list(job.job_environments.all())
        statuses = sorted({row.last_status for row in rows if row.last_status})
        failures = max((row.consecutive_failures for row in rows), default=0)
        in_a_row = format_html('<span class="hh-muted">{} in a row</span>', failures) if failures > 1 else ""
        found = format_html_join("", "{}", ((chips.status_chip(status),) for status in statuses))
        return format_html('<span class="hh-chips">{}{}</span>', found or chips.status_chip(""), in_a_row)

    @admin.display(description="Workspace")
    def workspace_name(self, job: Job) -> str:
        return job.workspace.name


def _soonest(job: Job) -> datetime.datetime | None:
    return min((row.next_fire_at for row in job.job_environments.all() if row.next_fire_at), default=None)
