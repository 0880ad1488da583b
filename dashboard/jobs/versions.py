"""The versions of a job: what each changed, any two compared, and an older one made the current one again."""

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
from api.jobs.versions import Slugs, restore_version, spelled
from core.errors import HourhandError
from dashboard.accounts.access import access_of
from dashboard.jobs.differences import VersionChange, changes_between
from dashboard.jobs.reach import base_context, job_in_sight, tell, writable_job
from jobs.models import Job, JobVersion

#: A definition may hold a megabyte, and each is read: so few at once.
_A_PAGE = 10


@dataclass(frozen=True, slots=True)
class ShownVersion:
    """A version and what it changed; of the first one nothing is told."""

    version: JobVersion
    changes: tuple[VersionChange, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What would have to change in the version `old` to make it `new`."""

    old: JobVersion
    new: JobVersion
    changes: tuple[VersionChange, ...]


class ComparedForm(forms.Form):
    """Two numbers in an address. One that is no version's is told beside its field."""

    older = forms.IntegerField(min_value=1, label="Version")
    newer = forms.IntegerField(min_value=1, label="with")

    def __init__(self, *args: Any, job: Job, **options: Any) -> None:
        super().__init__(*args, **options)
        self.job = job
        for field in self.fields.values():
            field.widget.attrs.update({"class": "hh-input", "min": 1, "max": _current(job).number})

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        wanted = {values[name]: name for name in self.fields if name in values}
        found = self.job.versions.numbered().filter(number__in=wanted).select_related("created_by")
        self.versions = {version.number: version for version in found}
        for number in wanted.keys() - self.versions.keys():
            self.add_error(wanted[number], f"There is no version {number}.")
        return values

    def comparison(self, slugs: Slugs) -> Comparison:
        old, new = (self.versions[self.cleaned_data[name]] for name in ("older", "newer"))
        return Comparison(old, new, changes_between(spelled(old, slugs), spelled(new, slugs)))


def latest(job: Job, slugs: Slugs, *, count: int, before: int | None = None) -> list[ShownVersion]:
    """The latest versions, or those older than the number `before`, each with what it changed."""
    rows = job.versions.numbered().select_related("created_by").order_by("-number")
    rows = rows if before is None else rows.filter(number__lt=before)
    found = list(rows[: count + 1])
    definitions = [spelled(one, slugs) for one in found]
    pairs = zip(found, definitions, [*definitions[1:], None], strict=True)
    return [ShownVersion(one, changes_between(old, new) if old else ()) for one, new, old in pairs][:count]


def slugs_of(job: Job) -> dict[uuid.UUID, str]:
    """The environments that a definition may speak of."""
    return {one.pk: one.slug for one in job.workspace.environments.all()}


def show_versions(job_admin: "ModelAdmin[Any]", request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """A page of versions, the latest first, and the two that the address asks to compare."""
    job = job_in_sight(request, job_id)
    current, slugs = _current(job), slugs_of(job)
    asked = "older" in request.GET or "newer" in request.GET
    form = ComparedForm(
        request.GET if asked else None, job=job, initial={"older": max(current.number - 1, 1), "newer": current.number}
    )
    before = request.GET.get("before", "")
    shown = latest(job, slugs, count=_A_PAGE, before=int(before) if before.isdecimal() and len(before) < 10 else None)  # noqa: PLR2004
    context = {
        **base_context(job_admin, request, title=f"{job.name}: versions"),
        "original": job,
        "job": job,
        "form": form,
        "comparison": form.comparison(slugs) if asked and form.is_valid() else None,
        "versions": shown,
        "older_than": _last_number(shown),
        "may_change": access_of(request).writes(job.workspace_id),
    }
    return TemplateResponse(request, "admin/jobs/job/versions.html", context)


def restore(job_admin: "ModelAdmin[Any]", request: HttpRequest, job_id: uuid.UUID, number: int) -> HttpResponseRedirect:
    """Make an older version the current one again."""
    job = writable_job(request, job_id)
    version = get_object_or_404(job.versions.numbered().select_related("job"), number=number)
    context = {"workspace": job.workspace, "now": timezone.now()}
    try:
        with transaction.atomic():
            locked = Job.objects.select_for_update(of=("self",)).select_related("current_version").get(pk=job.pk)
            restore_version(version, job=locked, context=context, actor=Actor.of_user(request.user))
    except HourhandError as error:
        messages.error(request, error.detail)
    else:
        tell(job_admin, request, job, f"Version {number} is restored.")
    return redirect("admin:jobs_job_page", job.pk)


def _current(job: Job) -> JobVersion:
    assert job.current_version is not None  # of a job in sight there is one
    return job.current_version


def _last_number(shown: Sequence[ShownVersion]) -> int | None:
    """The number that older versions are below; None where there are none."""
    number = shown[-1].version.number if shown else 1
    return number if number > 1 else None
