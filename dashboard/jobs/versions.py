"""The versions of a job: the changes of each, a comparison of any two, and restoring an older one."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.actors import Actor
from api.jobs.versions import Slugs, definition_of, restore_version
from core.errors import HourhandError
from dashboard.base.access import access_of
from dashboard.jobs.differences import VersionChange, changes_between
from dashboard.jobs.lookups import base_context, get_job, get_writable_job, report_change
from jobs.models import Job, JobVersion

#: Few a page, since a definition may hold a megabyte.
_PAGE_SIZE = 10
_MOST_DIGITS = 10


@dataclass(frozen=True, slots=True)
class ShownVersion:
    """A version and its changes; none for the first."""

    version: JobVersion
    changes: tuple[VersionChange, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The changes that lead from the version `old` to `new`."""

    old: JobVersion
    new: JobVersion
    changes: tuple[VersionChange, ...]


class CompareForm(forms.Form):
    """The numbers of two versions."""

    older = forms.IntegerField(min_value=1, label="Version")
    newer = forms.IntegerField(min_value=1, label="With")

    def __init__(self, *args: Any, job: Job, **options: Any) -> None:
        super().__init__(*args, **options)
        self.job = job
        for field in self.fields.values():
            field.widget.attrs.update({"class": "hh-input", "min": 1, "max": _current(job).number})

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        fields = {values[name]: name for name in self.fields if name in values}
        versions = self.job.versions.numbered().filter(number__in=fields).select_related("created_by")
        self.versions = {version.number: version for version in versions}
        for number in fields.keys() - self.versions.keys():
            self.add_error(fields[number], f"Version {number} does not exist.")
        return values

    def comparison(self, slugs: Slugs) -> Comparison:
        old, new = (self.versions[self.cleaned_data[name]] for name in ("older", "newer"))
        return Comparison(old, new, changes_between(definition_of(old, slugs), definition_of(new, slugs)))


def latest(job: Job, slugs: Slugs, *, count: int, before: int | None = None) -> list[ShownVersion]:
    """The latest versions, or those older than the number `before`, with their changes."""
    rows = job.versions.numbered().select_related("created_by").order_by("-number")
    rows = rows if before is None else rows.filter(number__lt=before)
    versions = list(rows[: count + 1])  # one more, to compare the last one with
    definitions = [definition_of(version, slugs) for version in versions]
    triples = zip(versions, definitions, [*definitions[1:], None], strict=True)
    return [ShownVersion(version, changes_between(old, new) if old else ()) for version, new, old in triples][:count]


def environment_slugs(job: Job) -> dict[uuid.UUID, str]:
    """The slugs of the workspace's environments by id."""
    return dict(job.workspace.environments.values_list("pk", "slug"))


def show_versions(job_admin: "ModelAdmin[Any]", request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """A page of versions, the latest first, and the comparison that the query parameters ask for."""
    job = get_job(request, job_id)
    current, slugs = _current(job), environment_slugs(job)
    compares = "older" in request.GET or "newer" in request.GET
    form = CompareForm(
        request.GET if compares else None,
        job=job,
        initial={"older": max(current.number - 1, 1), "newer": current.number},
    )
    versions = latest(job, slugs, count=_PAGE_SIZE, before=_number(request.GET.get("before", "")))
    context = {
        **base_context(job_admin, request, title=f"{job.name}: versions"),
        "original": job,
        "job": job,
        "form": form,
        "comparison": form.comparison(slugs) if compares and form.is_valid() else None,
        "versions": versions,
        "older_than": _last_number(versions),
        "may_change": access_of(request).writes(job.workspace_id),
    }
    return TemplateResponse(request, "admin/jobs/job/versions.html", context)


def restore(job_admin: "ModelAdmin[Any]", request: HttpRequest, job_id: uuid.UUID, number: int) -> HttpResponseRedirect:
    """Make an older version the current one again."""
    job = get_writable_job(request, job_id)
    version = get_object_or_404(job.versions.numbered().select_related("job"), number=number)
    context = {"workspace": job.workspace, "now": timezone.now()}
    try:
        with transaction.atomic():
            locked = Job.objects.select_for_update(of=("self",)).select_related("current_version").get(pk=job.pk)
            restore_version(version, job=locked, context=context, actor=Actor.of_user(request.user))
    except HourhandError as error:
        messages.error(request, error.detail)
    else:
        report_change(job_admin, request, job, f"Version {number} restored.")
    return redirect("admin:jobs_job_page", job.pk)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < _MOST_DIGITS else None


def _current(job: Job) -> JobVersion:
    assert job.current_version is not None  # get_job looked
    return job.current_version


def _last_number(versions: Sequence[ShownVersion]) -> int | None:
    """The number that older versions are below; None if none are older."""
    number = versions[-1].version.number if versions else 1
    return number if number > 1 else None
