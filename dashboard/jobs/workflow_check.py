"""Check the workflow in the form before it is saved, by the API's own validator, and turn cards into YAML and back."""

from typing import Any

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, JsonResponse
from django.template.loader import render_to_string

from dashboard.base.access import access_of
from dashboard.base.lookups import parse_id
from dashboard.forms import JobForm
from dashboard.forms.workflow import WorkflowForm
from dashboard.jobs.editing import checked
from dashboard.jobs.lookups import get_writable_job
from jobs.models import Kind


def check(job_admin: "ModelAdmin[Any]", request: HttpRequest) -> JsonResponse:
    """Answer the errors of the posted form's workflow. Saves nothing.

    The parameter `job` is the edited job, else `workspace` that of a new one. With `as=yaml` the answer has the
    workflow as `text`; with `as=steps` the HTML of its `cards`, or null where it can't be shown as such.
    """
    edited = request.GET.get("job")
    job = get_writable_job(request, parse_id(edited)) if edited else None
    access = access_of(request)
    if not access.writes_somewhere:
        raise PermissionDenied
    workspace = job.workspace if job else access.workspace_for(request.GET.get("workspace"))
    form = JobForm(request.POST, workspace=workspace, job=job, kind=Kind.WORKFLOW.value)
    checked(form, workspace=workspace, job=job)
    answer: dict[str, Any] = {
        "errors": [
            {"element": problem.element, "label": problem.label, "detail": problem.detail}
            for problem in form.workflow_problems
        ]
    }
    match request.GET.get("as"):
        case "yaml":
            answer["text"] = form.workflow.as_yaml()
        case "steps":
            answer["cards"] = _cards(form, request)
    return JsonResponse(answer)


def _cards(form: JobForm, request: HttpRequest) -> str | None:
    """Render the cards of a workflow that was sent as YAML."""
    if form.workflow.yaml_error is not None or form.workflow.unshowable:
        return None
    before = form.workflow.definition()
    shown = WorkflowForm(None, before=before, policies=form.workflow.policies)
    return render_to_string("admin/jobs/job/workflow/cards.html", {"workflow": shown}, request=request)
