"""The form that builds workflows: cards, YAML, errors at their places, and the check before saving."""

import json

import pytest
from django.test import Client
from django.urls import reverse

from accounts.actors import SYSTEM
from accounts.models import Workspace
from core import exact_json
from dashboard.forms.workflow.text import short_workflow, workflow_in, workflow_text
from jobs.models import Job, JobVersion
from jobs.services.save import save_job
from tests.support.admin_rows import person, signed_in
from tests.support.api_caller import caller
from tests.support.job_forms import FORM, change_url, config_of, form_of, save
from tests.support.jobs import EPOCH
from tests.support.workflow_jobs import every_kind_of_step, http_step, stored_definition, workflow_job

pytestmark = pytest.mark.django_db
_COMMON = {**FORM, "kind": "workflow"}
_ADD, _CHECK = "admin:jobs_job_add", "admin:jobs_job_check_workflow"


def rows(prefix: str, *items: dict[str, str]) -> dict[str, str]:
    """Return the values of new rows."""
    fields = {f"{prefix}-{number}-{name}": value for number, item in enumerate(items) for name, value in item.items()}
    return {f"{prefix}-TOTAL_FORMS": str(len(items)), f"{prefix}-INITIAL_FORMS": "0", **fields}


def http_card(prefix: str, **fields: str) -> dict[str, str]:
    """Return the values of a new card of a call, with empty rows."""
    new = {
        "whole": '{"type":"http","request":{"method":"GET"}}', "method": "GET", "timeout_seconds": "30",
        "tls_verify": "on", "success_statuses": "2xx", "max_attempts": "1", "backoff": "fixed", "on_failure": "fail",
    }  # fmt: skip
    empty = [rows(f"{prefix}-{name}") for name in ("assertions", "extract", "conditions", "until")]
    return {f"{prefix}-{name}": value for name, value in {**new, **fields}.items()} | {
        name: value for each in empty for name, value in each.items()
    }


@pytest.fixture
def member(workspace: Workspace) -> Client:
    return signed_in(person("mara", workspace=workspace, role="owner"))


@pytest.fixture
def job(workspace: Workspace) -> Job:
    config = stored_definition(every_kind_of_step(), workspace)
    return save_job(workspace=workspace, job=None, slug=None, config=config, environments=None, actor=SYSTEM, now=EPOCH)


def test_a_workflow_is_created_from_cards_in_the_order_of_the_page(member: Client) -> None:
    values = {
        **_COMMON,
        **http_card("steps-4", id="order", url="https://api.example.com/orders/{{input.id}}"),
        **rows("steps-4-extract", {"name": "amount", "path": "$.total", "default": "0"}),
        "steps-1-whole": '{"type":"approval"}', "steps-1-id": "ok", "steps-1-message": "Pay {{steps.order.amount}}?",
        "steps-1-approvers": "role:admin", "steps-1-required": "1", "steps-1-timeout_seconds": "600",
        "steps-1-self_approval": "on", "steps-1-on_timeout": "reject", "steps-1-on_failure": "fail",
        **rows("steps-1-form", {"name": "size", "type": "choice", "options": "s\r\nm"}),
        **rows("steps-1-conditions", {"value": "{{steps.order.amount}}", "op": "gt", "to": "100"}),
        **http_card("finally-0", id="clean", url="https://api.example.com/done"),
        "workflow-timeout_seconds": "3600", "workflow-output": '{"paid": "{{steps.order.amount}}"}',
    }  # fmt: skip
    answer = member.post(reverse(_ADD), values)
    assert answer.status_code == 302, answer.context["form"].workflow_problems
    workflow = config_of(Job.objects.get())["workflow"]
    assert [step["id"] for step in workflow["steps"]] == ["order", "ok"]
    order, approval = workflow["steps"]
    assert (order["request"]["method"], order["extract"]) == (
        "GET",
        {"amount": {"path": "$.total", "default": 0, "secret": False}},
    )
    assert approval["if"] == [{"value": "{{steps.order.amount}}", "op": "gt", "to": 100}]
    assert (approval["approvers"], approval["form"][0]["options"]) == (["role:admin"], ["s", "m"])
    assert [step["id"] for step in workflow["finally"]] == ["clean"]
    assert (workflow["timeout_seconds"], workflow["output"]) == (3600, {"paid": "{{steps.order.amount}}"})


def test_saving_everything_unchanged_makes_no_version(member: Client, job: Job) -> None:
    assert save(member, job).status_code == 302
    assert JobVersion.objects.count() == 1


def test_a_change_of_one_field_keeps_all_others(member: Client, job: Job) -> None:
    before = config_of(job)
    assert save(member, job, **{"steps-4-message": "Send?", "name": "Renamed"}).status_code == 302
    steps = [{**step, "message": "Send?"} if step["id"] == "ok" else step for step in before["workflow"]["steps"]]
    assert config_of(job) == {**before, "name": "Renamed", "workflow": {**before["workflow"], "steps": steps}}


def test_steps_are_moved_removed_and_polled_no_more(member: Client, job: Job) -> None:
    values = form_of(member, job)
    moved = {name: value for name, value in values.items() if name.startswith("steps-2-")}
    rest = {
        name: value for name, value in values.items() if not name.startswith(("steps-1-", "steps-2-", "steps-0-polls"))
    }
    first = {name: value for name, value in rest.items() if name.startswith("steps-0-")}
    # The second delay follows the first step, the first delay is gone.
    assert member.post(change_url(job), {**first, **moved, **rest}).status_code == 302
    steps = config_of(job)["workflow"]["steps"]
    assert [step["id"] for step in steps] == ["create", "later", "paid", "ok", "send"]
    assert steps[0]["poll"] is None


def test_yaml_is_saved_and_errors_name_their_path(member: Client, job: Job) -> None:
    text = "steps:\r\n- id: only\r\n  type: delay\r\n  seconds: 5\r\n"
    answer = save(member, job, **{"workflow-mode": "yaml", "workflow-text": text.replace("5", "0")})
    assert [error.split(":")[0] for error in answer.context["form"].workflow.yaml_errors] == ["steps.0.seconds"]
    answer = save(member, job, **{"workflow-mode": "yaml", "workflow-text": "steps: [\n"})
    assert "Line 2" in answer.context["form"].workflow["text"].errors[0]
    assert save(member, job, **{"workflow-mode": "yaml", "workflow-text": text}).status_code == 302
    workflow = config_of(job)["workflow"]
    assert [step["id"] for step in workflow["steps"]] == ["only"]
    assert workflow["finally"] == []


def test_errors_are_at_the_fields_of_their_card(member: Client, job: Job) -> None:
    changes = {
        "steps-5-url": "https://api.example.com/{{steps.nowhere.status}}", "steps-5-headers": "no colon",
        "steps-0-extract-0-path": "total", "steps-3-accept-0-op": "nothing", "steps-4-form-0-name": "Size!",
        "workflow-output": "{",
    }  # fmt: skip
    answer = save(member, job, **changes)
    problems = {problem.element: problem for problem in answer.context["form"].workflow_problems}
    assert problems.keys() == {f"id_{name}" for name in changes}
    assert problems["id_steps-5-url"].label == "Step send: URL"
    assert "nowhere" in problems["id_steps-5-url"].detail
    page = answer.content.decode()
    assert "Correct these errors" in page
    assert 'href="#id_steps-5-url"' in page
    assert JobVersion.objects.count() == 1


def test_the_kind_decides_which_fields_are_read(member: Client) -> None:
    """What is typed into the hidden part of the form is ignored."""
    hidden = http_card("steps-0", id="Not an id", url="nonsense")
    assert member.post(reverse(_ADD), {**FORM, "kind": "http", **hidden}).status_code == 302
    job = Job.objects.get()
    assert config_of(job)["workflow"] is None
    shown = http_card("steps-0", id="only", url="https://api.example.com/")
    answer = member.post(reverse(_ADD), {**_COMMON, "name": "Second", "headers": "no colon", "url": "", **shown})
    assert answer.status_code == 302
    assert config_of(Job.objects.exclude(pk=job.pk).get())["request"] is None


def test_a_step_uses_a_retry_policy_or_its_own_rules(member: Client, workspace: Workspace) -> None:
    api = caller(workspace)
    api.ask("POST", "/retry-policies/", {"slug": "patient", "name": "Patient", "max_attempts": 8}, expect=201)
    sent = workflow_job(http_step("call", retry={"policy": "patient"}))
    config = stored_definition(sent, workspace)
    job = save_job(workspace=workspace, job=None, slug=None, config=config, environments=None, actor=SYSTEM, now=EPOCH)
    assert save(member, job).status_code == 302
    assert JobVersion.objects.count() == 1
    answer = save(member, job, **{"steps-0-max_attempts": "4"})
    assert [problem.element for problem in answer.context["form"].workflow_problems] == ["id_steps-0-max_attempts"]
    assert save(member, job, **{"steps-0-policy": "", "steps-0-max_attempts": "4"}).status_code == 302
    retry = config_of(job)["workflow"]["steps"][0]["retry"]
    assert (retry["policy"], retry["max_attempts"]) == (None, 4)


def test_an_environment_overrides_a_step(member: Client, job: Job) -> None:
    sparse = {"workflow": {"steps": {"cool": {"seconds": 1}}}}
    answer = save(
        member, job, **{"overrides-production-more": json.dumps({"workflow": {"steps": {"no": {"seconds": 1}}}})}
    )
    assert answer.context["form"].overrides["production"].errors["more"]
    assert save(member, job, **{"overrides-production-more": json.dumps(sparse)}).status_code == 302
    assert json.loads(form_of(member, job)["overrides-production-more"]) == sparse


class TestCheck:
    def url(self, job: Job, **query: str) -> str:
        return reverse(_CHECK, query={"job": str(job.pk), **query})

    def test_answers_errors_and_saves_nothing(self, member: Client, job: Job) -> None:
        values = {**form_of(member, job), "steps-1-seconds": "0", "name": "Renamed"}
        answer = member.post(self.url(job), values).json()
        assert [(error["element"], error["label"]) for error in answer["errors"]] == [
            ("id_steps-1-seconds", "Step cool: Seconds")
        ]
        assert member.post(self.url(job), form_of(member, job)).json() == {"errors": []}
        assert JobVersion.objects.count() == 1

    def test_turns_cards_into_yaml_and_back(self, member: Client, job: Job) -> None:
        values = form_of(member, job)
        text = member.post(self.url(job, **{"as": "yaml"}), {**values, "steps-1-seconds": "601"}).json()["text"]
        assert workflow_in(text)["steps"][1] == {"id": "cool", "type": "delay", "seconds": 601}
        sent = {**values, "workflow-mode": "yaml", "workflow-text": text}
        cards = member.post(self.url(job, **{"as": "steps"}), sent).json()["cards"]
        assert 'name="steps-1-seconds" value="601"' in " ".join(cards.split())
        sent["workflow-text"] = "steps:\n- id: a\n  type: rocket\n"
        answer = member.post(self.url(job, **{"as": "steps"}), sent).json()
        assert answer["cards"] is None
        assert "steps.0.type" in answer["errors"][0]["detail"]

    def test_belongs_to_people_who_may_change_the_job(self, job: Job, workspace: Workspace, member: Client) -> None:
        values = form_of(member, job)
        viewer = signed_in(person("vera", workspace=workspace, role="viewer"))
        assert viewer.post(self.url(job), values).status_code == 403
        other = Workspace.objects.create(name="Other", slug="other", plan=workspace.plan)
        stranger = signed_in(person("otto", workspace=other))
        assert stranger.post(self.url(job), values).status_code == 404
        new = reverse(_CHECK, query={"workspace": workspace.slug})
        assert stranger.post(new, values).status_code == 404
        assert Client(enforce_csrf_checks=True).post(new, values).status_code in (302, 403)
        assert member.get(new).status_code == 405


@pytest.mark.parametrize(
    "text",
    [
        "[]", "steps: 5", "steps: [5]", "steps: [{type: http, extract: [1]}]", "finally: {}", "{", "{}", "5", "",
        "steps: [{id: a, type: http, request: 5, success: {assertions: [{}]}}]",
        "steps: [{id: {}, type: approval, form: [3]}]",
        "steps: [{id: a, type: http, if: [{value: 1}], poll: 3, retry: []}]",
    ],
)  # fmt: skip
def test_no_text_raises(member: Client, text: str) -> None:
    values = {**_COMMON, "workflow-mode": "yaml", "workflow-text": text}
    answer = member.post(reverse(_ADD), values)
    assert answer.status_code == 200
    assert answer.context["form"].workflow_problems
    assert member.post(reverse(_CHECK, query={"as": "steps"}), values).json()["errors"]
    hidden = {**_COMMON, "steps-0-whole": text, "workflow-whole": text}
    assert member.post(reverse(_ADD), hidden).status_code == 200


def test_text_is_short_and_means_the_same(workspace: Workspace) -> None:
    stored = stored_definition(every_kind_of_step(), workspace)["workflow"]
    text = workflow_text(stored)
    assert "honor_retry_after" not in text
    again = stored_definition({**workflow_job(), "workflow": workflow_in(text)}, workspace)["workflow"]
    assert again == stored


def test_numbers_keep_their_digits(workspace: Workspace) -> None:
    output = exact_json.loads('{"a": 1.10, "b": -0, "c": 12345678901234567890}')
    text = workflow_text(short_workflow({"steps": [], "output": output}))
    assert exact_json.compact(workflow_in(text)["output"]) == '{"a":1.10,"b":-0,"c":12345678901234567890}'
