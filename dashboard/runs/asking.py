"""Running a job by hand with an input, in an environment of one's choice, now or later: a form, and the API's verb."""

import json
import uuid
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.actors import Actor
from core.errors import HourhandError
from dashboard.accounts.access import access_of
from dashboard.forms.fields import area, choice, json_in, number
from dashboard.runs.history import HistoryAdmin
from dashboard.runs.recent_outcomes import latest_of
from jobs.models import Job, JobEnvironment
from runs.executions.services import MAX_DELAY_SECONDS, run_now
from runs.models import Execution


class RunForm(forms.Form):
    """What to run with. Empty, there is no input, which templates read as null."""

    environment = choice((), label="In")
    input = area(
        rows=8,
        label="Input",
        help_text="JSON. Variables such as <code>{{input.a}}</code> in the URL, headers and body read from it.",
        placeholder='{"a": 1}',
    )
    delay_seconds = number(
        label="After, seconds",
        help_text="Empty: at once. The schedule is untouched.",
        min_value=0,
        max_value=MAX_DELAY_SECONDS,
    )

    def __init__(self, *args: Any, places: Sequence[JobEnvironment], **options: Any) -> None:
        super().__init__(*args, **options)
        self.places = {place.environment.slug: place for place in places}
        self.fields["environment"].choices = [(slug, slug) for slug in self.places]  # type: ignore[attr-defined]

    def clean_input(self) -> Any:
        written = self.cleaned_data["input"]
        return json_in(written) if written.strip() else None

    @property
    def place(self) -> JobEnvironment:
        return self.places[self.cleaned_data["environment"]]


def run_with(execution_admin: HistoryAdmin, request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """The form, filled in with the input that was given last; then the page of the execution that it makes."""
    job = access_of(request).narrow(Job.objects.live()).filter(pk=job_id).first()
    if job is None:
        raise Http404
    if not access_of(request).writes(job.workspace_id):
        raise PermissionDenied
    rows = job.job_environments.filter(enabled=True).select_related("environment", "job__current_version")
    places = list(rows.order_by("environment__created_at", "environment_id"))
    form = RunForm(request.POST or None, places=places, initial=_initial(request, job))
    made = _made(request, form)
    if made is not None:
        messages.success(request, f"Run started in {form.place.environment.slug}.")
        return redirect("admin:runs_execution_change", made.pk)
    context = {
        **execution_admin.base_context(request, original=job),
        "title": "Run with input",
        "job": job,
        "form": form,
        "places": places,
    }
    return TemplateResponse(request, "admin/runs/run_with.html", context)


def _initial(request: HttpRequest, job: Job) -> dict[str, Any]:
    """The environment that the address names, and the input of the latest of the job's executions that had one."""
    given = latest_of(job).values_list("input", flat=True)
    last = next((found for found in given if found is not None), None)
    written = "" if last is None else json.dumps(last, indent=2, ensure_ascii=False)
    return {"environment": request.GET.get("environment", ""), "input": written}


def _made(request: HttpRequest, form: RunForm) -> Execution | None:
    """The execution that this form makes; None, and what is wrong in the form, when it can't."""
    if request.method != "POST" or not form.is_valid():
        return None
    wanted = form.cleaned_data
    try:
        return run_now(
            job_environment=form.place,
            now=timezone.now(),
            input=wanted["input"],
            delay_seconds=wanted["delay_seconds"] or 0,
            actor=Actor.of_user(request.user),
        )
    except HourhandError as error:
        form.add_error(error.field if error.field in form.fields else None, error.detail)
        return None
