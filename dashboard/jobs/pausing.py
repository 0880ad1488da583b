"""The forms that pause a job, in one environment or in all."""

import datetime
import uuid
from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import Http404, HttpRequest
from django.utils import timezone

from dashboard.forms.fields import instant
from dashboard.jobs.environments_panel import EnvironmentPanel
from dashboard.jobs.lookups import definition_of, get_writable_job
from jobs.definition.overrides import effective
from jobs.models import Job, JobEnvironment
from jobs.schedule import display_zone

_NOTE_LENGTH = 500
_INPUT = {"class": "hh-input", "autocomplete": "off"}


class PauseForm(forms.Form):
    """`environment` is a slug, empty for all of them; `until` is a local time in `zone`."""

    environment = forms.CharField(required=False, widget=forms.HiddenInput)
    until = forms.CharField(
        required=False,
        help_text="Leave empty to pause until the job is resumed.",
        widget=forms.DateTimeInput(attrs={**_INPUT, "type": "datetime-local"}),
    )
    note = forms.CharField(
        required=False,
        max_length=_NOTE_LENGTH,
        help_text="Shown on the job's page.",
        widget=forms.TextInput(attrs={**_INPUT, "placeholder": "Reason"}),
    )

    def __init__(self, data: Any = None, *, environment: str, zone: str) -> None:
        super().__init__(
            data, auto_id=f"id_pause_{environment}_%s", initial={"environment": environment}, label_suffix=""
        )
        self.environment_slug, self.zone = environment, zone

    def clean_until(self) -> datetime.datetime | None:
        text = self.cleaned_data["until"]
        if not text:
            return None
        until = datetime.datetime.fromisoformat(instant(text, display_zone(self.zone)))
        if until <= timezone.now():
            raise forms.ValidationError("The end of a pause should be in the future.")
        return until


def pause_forms(
    panels: Sequence[EnvironmentPanel], invalid: PauseForm | None
) -> list[tuple[EnvironmentPanel, PauseForm]]:
    """Each panel with its form: the `invalid` one as it was sent, the others empty."""
    return [
        (
            panel,
            invalid
            if invalid and invalid.environment_slug == panel.slug
            else PauseForm(environment=panel.slug, zone=panel.zone),
        )
        for panel in panels
    ]


def pause_everywhere(panels: Sequence[EnvironmentPanel], zone: str, invalid: PauseForm | None) -> PauseForm | None:
    """The form for all environments; None unless the job fires in several."""
    if sum(panel.fires for panel in panels) < 2:  # noqa: PLR2004 - several
        return None
    return invalid if invalid and not invalid.environment_slug else PauseForm(environment="", zone=zone)


def posted_pause(request: HttpRequest, job_id: uuid.UUID) -> tuple[Job, list[JobEnvironment], PauseForm]:
    """The job, the environments that the form names, and the form. Raises Http404 and PermissionDenied."""
    job, slug = get_writable_job(request, job_id), request.POST.get("environment", "")
    rows = job.job_environments.select_related("environment", "job__current_version").order_by("pk")
    job_environments = [row for row in rows if slug in ("", row.environment.slug)]
    if not job_environments:
        raise Http404
    config = definition_of(job)
    own = effective(config, str(job_environments[0].environment_id)) if slug else config
    return job, job_environments, PauseForm(request.POST, environment=slug, zone=own["timezone"])
