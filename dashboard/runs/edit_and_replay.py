"""Edit and replay: an execution's request as a form; its changes apply to one new execution only."""

import json
import uuid
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from accounts.actors import Actor
from accounts.models import Environment
from api.base.problems import field_errors
from api.runs.serializers import edited_request
from core.errors import HourhandError
from dashboard.base.access import access_of
from dashboard.forms.fields import area, choice, json_in, to_text
from dashboard.forms.request import RequestPart
from dashboard.runs.history import HistoryAdmin
from dashboard.runs.page import replay_environments
from jobs.definition.calls import is_workflow
from jobs.definition.overrides import effective
from jobs.models import JobVersion
from runs.executions.services import SOURCE, configuration_of, replay
from runs.models import Execution

_REQUEST = tuple(RequestPart.PATHS)


class EditForm(RequestPart):
    """A request and an input. Unchanged fields keep the job's values, in another environment those it has there."""

    input = area(rows=4, help_text="JSON. Variables such as <code>{{input.a}}</code> read from it.")
    environment = choice((), label="Environment")

    def __init__(self, *args: Any, execution: Execution, version: JobVersion, **options: Any) -> None:
        request = effective(version.config, str(execution.environment_id))["request"]
        text = "" if execution.input is None else json.dumps(execution.input, indent=2, ensure_ascii=False)
        initial = {field: to_text(field, request.get(field)) for field in _REQUEST}
        options["initial"] = {**initial, "input": text, "environment": execution.environment.slug}
        super().__init__(*args, **options)
        self.by_slug = {environment.slug: environment for environment in replay_environments(execution)}
        self.fields["environment"].choices = [(slug, slug) for slug in self.by_slug]  # type: ignore[attr-defined]
        self.fields["timeout_seconds"].required = True

    def clean_input(self) -> Any:
        text = self.cleaned_data["input"]
        return json_in(text) if text.strip() else None

    @property
    def chosen_environment(self) -> Environment:
        return self.by_slug[self.cleaned_data["environment"]]

    def edit(self) -> dict[str, Any]:
        """The changed fields of the request."""
        return {field: self.cleaned_data[field] for field in _REQUEST if field in self.changed_data}

    def show_errors(self, errors: Any) -> None:
        """Put errors of the API's serializer, as (dotted path, text), beside their fields."""
        for path, text in errors:
            field = path.removeprefix("edit.").partition(".")[0]
            self.add_error(field if field in self.fields else None, text)


def edit_and_replay(execution_admin: HistoryAdmin, request: HttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    execution = _editable(request, execution_id)
    original = request.GET.get("config") == "original" or execution.job.deleted_at is not None
    version = configuration_of(execution, original=original)
    if is_workflow(version.config):
        messages.error(request, "A workflow's calls are in its steps: change the job, or replay it without changes.")
        return redirect("admin:runs_execution_change", execution.pk)
    form = EditForm(request.POST or None, execution=execution, version=version)
    new_execution = _replay(request, form, execution, version, original=original)
    if new_execution is not None:
        how = "with changes" if form.edit() else "without changes"
        messages.success(request, f"Replayed in {new_execution.environment.slug} {how}.")
        return redirect("admin:runs_execution_change", new_execution.pk)
    context = {
        **execution_admin.base_context(request, original=execution),
        "title": "Edit and replay",
        "execution": execution,
        "form": form,
        "first": [form[name] for name in ("method", "url")],
        "fields": [form[name] for name in ("headers", "body", "input", "timeout_seconds", "environment")],
        "advanced": [form[name] for name in ("tls_verify", "ca_cert", "client_cert")],
        "opened": any(form[name].errors for name in ("tls_verify", "ca_cert", "client_cert")),
        "is_original": original,
        "version": version,
    }
    return TemplateResponse(request, "admin/runs/execution/edit.html", context)


def _editable(request: HttpRequest, execution_id: uuid.UUID) -> Execution:
    rows = Execution.objects.select_related("workspace", "environment", *SOURCE).in_sight()
    execution = access_of(request).narrow(rows).filter(pk=execution_id).first()
    if execution is None:
        raise Http404
    if not access_of(request).writes(execution.workspace_id):
        raise PermissionDenied
    return execution


def _replay(
    request: HttpRequest, form: EditForm, execution: Execution, version: JobVersion, *, original: bool
) -> Execution | None:
    """Replay the execution. Returns the new one, or None after putting the errors in the form."""
    if request.method != "POST" or not form.is_valid():
        return None
    environment, edit = form.chosen_environment, form.edit()
    try:
        return replay(
            execution=execution,
            now=timezone.now(),
            original_config=original,
            environment=environment,
            input=form.cleaned_data["input"] if "input" in form.changed_data else ...,
            request=edited_request(version, edit, execution.workspace, environment.pk) if edit else None,
            actor=Actor.of_user(request.user),
        )
    except ValidationError as error:
        form.show_errors((each["field"] or "", each["detail"]) for each in field_errors(error.detail))
    except HourhandError as error:
        form.show_errors([(error.field or "", error.detail)])
    return None
