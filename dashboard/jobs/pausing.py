"""Pausing and resuming a job in one environment or in all, with a note and an end. The API's verbs act."""

import datetime
import uuid
from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import Http404, HttpRequest
from django.utils import timezone

from dashboard.forms.fields import instant
from dashboard.jobs.places import EnvironmentPanel
from dashboard.jobs.reach import definition_of, writable_job
from jobs.definition.overrides import effective
from jobs.models import Job, JobEnvironment
from jobs.schedule import zone_to_show

_NOTE_LENGTH = 500
_INPUT = {"class": "hh-input", "autocomplete": "off"}


class PauseForm(forms.Form):
    """`environment` is a slug, empty for all of them; `until` is a time on the wall clock of `zone`."""

    environment = forms.CharField(required=False, widget=forms.HiddenInput)
    until = forms.CharField(
        required=False,
        help_text="Empty: until somebody resumes it.",
        widget=forms.DateTimeInput(attrs={**_INPUT, "type": "datetime-local"}),
    )
    note = forms.CharField(
        required=False,
        max_length=_NOTE_LENGTH,
        help_text="Everybody who looks at the job sees it.",
        widget=forms.TextInput(attrs={**_INPUT, "placeholder": "Why"}),
    )

    def __init__(self, data: Any = None, *, environment: str, zone: str) -> None:
        super().__init__(
            data, auto_id=f"id_pause_{environment}_%s", initial={"environment": environment}, label_suffix=""
        )
        self.place, self.zone = environment, zone

    def clean_until(self) -> datetime.datetime | None:
        written = self.cleaned_data["until"]
        if not written:
            return None
        until = datetime.datetime.fromisoformat(instant(written, zone_to_show(self.zone)))
        if until <= timezone.now():
            raise forms.ValidationError("The end of a pause should be in the future.")
        return until


def pause_forms(
    places: Sequence[EnvironmentPanel], refused: PauseForm | None
) -> list[tuple[EnvironmentPanel, PauseForm]]:
    """Each place with its form: the one that was `refused` as it was sent."""
    return [
        (place, refused if refused and refused.place == slug else PauseForm(environment=slug, zone=place.zone))
        for place in places
        for slug in [place.row.environment.slug]
    ]


def pause_everywhere(places: Sequence[EnvironmentPanel], zone: str, refused: PauseForm | None) -> PauseForm | None:
    """The form for all environments; None where there are not several to pause."""
    if sum(place.fires for place in places) < 2:  # noqa: PLR2004 - several
        return None
    return refused if refused and not refused.place else PauseForm(environment="", zone=zone)


def meant(request: HttpRequest, job_id: uuid.UUID) -> tuple[Job, list[JobEnvironment], PauseForm]:
    """The job, the places that the form names, and the form. Raises Http404 and PermissionDenied."""
    job, slug = writable_job(request, job_id), request.POST.get("environment", "")
    rows = list(job.job_environments.select_related("environment", "job__current_version").order_by("pk"))
    rows = [row for row in rows if slug in ("", row.environment.slug)]
    if not rows:
        raise Http404
    config = definition_of(job)
    own = effective(config, str(rows[0].environment_id)) if slug else config
    return job, rows, PauseForm(request.POST, environment=slug, zone=own["timezone"])
