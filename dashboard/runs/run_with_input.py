"""Run a job with an input, in a chosen environment, now or after a delay."""

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
from dashboard.base.access import access_of
from dashboard.forms.fields import area, choice, json_in, number
from dashboard.runs.history import HistoryAdmin
from dashboard.runs.recent_outcomes import latest_of
from jobs.models import Job, JobEnvironment
from runs.executions.services import MAX_DELAY_SECONDS, run_now
from runs.models import Execution


class RunForm(forms.Form):
    """The environment, input and delay. An empty input is none: templates read it as null."""

    environment = choice((), label="Environment")
    input = area(
        rows=8,
        label="Input",
        help_text="JSON. Variables such as <code>{{input.a}}</code> in the URL, headers and body read from it.",
        placeholder='{"a": 1}',
    )
    delay_seconds = number(
        label="Delay, seconds",
        help_text="Leave empty to run now. The schedule is not affected.",
        min_value=0,
        max_value=MAX_DELAY_SECONDS,
    )

    def __init__(self, *args: Any, job_environments: Sequence[JobEnvironment], **options: Any) -> None:
        super().__init__(*args, **options)
        self.by_slug = {row.environment.slug: row for row in job_environments}
        self.fields["environment"].choices = [(slug, slug) for slug in self.by_slug]  # type: ignore[attr-defined]

    def clean_input(self) -> Any:
        text = self.cleaned_data["input"]
        return json_in(text) if text.strip() else None

    @property
    def job_environment(self) -> JobEnvironment:
        return self.by_slug[self.cleaned_data["environment"]]


def run_with_input(execution_admin: HistoryAdmin, request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Render the form with the input used last; once posted, run the job and go to the execution's page."""
    job = access_of(request).narrow(Job.objects.live()).filter(pk=job_id).first()
    if job is None:
        raise Http404
    if not access_of(request).writes(job.workspace_id):
        raise PermissionDenied
    rows = job.job_environments.filter(enabled=True).select_related("environment", "job__current_version")
    job_environments = list(rows.order_by("environment__created_at", "environment_id"))
    form = RunForm(request.POST or None, job_environments=job_environments, initial=_initial(request, job))
    execution = _run(request, form)
    if execution is not None:
        messages.success(request, f"Run started in {form.job_environment.environment.slug}.")
        return redirect("admin:runs_execution_change", execution.pk)
    context = {
        **execution_admin.base_context(request, original=job),
        "title": "Run with input",
        "job": job,
        "form": form,
        "job_environments": job_environments,
    }
    return TemplateResponse(request, "admin/runs/run_with_input.html", context)


def _initial(request: HttpRequest, job: Job) -> dict[str, Any]:
    """The environment of the query parameter, and the input of the job's latest execution that had one."""
    inputs = latest_of(job).values_list("input", flat=True)
    last = next((value for value in inputs if value is not None), None)
    text = "" if last is None else json.dumps(last, indent=2, ensure_ascii=False)
    return {"environment": request.GET.get("environment", ""), "input": text}


def _run(request: HttpRequest, form: RunForm) -> Execution | None:
    """Run the job. Returns the execution, or None after putting the errors in the form."""
    if request.method != "POST" or not form.is_valid():
        return None
    values = form.cleaned_data
    try:
        return run_now(
            job_environment=form.job_environment,
            now=timezone.now(),
            input=values["input"],
            delay_seconds=values["delay_seconds"] or 0,
            actor=Actor.of_user(request.user),
        )
    except HourhandError as error:
        form.add_error(error.field if error.field in form.fields else None, error.detail)
        return None
