"""Workflows that the API refuses, by the path of what is wrong: fields, variables, secrets, approvers, timeouts."""

from typing import Any

import pytest

from accounts.models import Membership, Plan, Workspace
from jobs.models import Job
from tests.support.admin_rows import person
from tests.support.api_caller import JOB, Caller, caller
from tests.support.workflow_jobs import (
    URL,
    approval_step,
    delay_step,
    http_step,
    webhook_step,
    workflow_job,
)

pytestmark = pytest.mark.django_db
STEPS = "workflow.steps"
PROBE = {"type": "status_equals", "value": 200}


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def condition(value: str, **fields: Any) -> dict[str, Any]:
    return {"value": value, "op": "exists", **fields}


EXPECTED: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({**JOB, "kind": "workflow"}, {"request": "conflicting", "workflow": "required"}),
    ({**JOB, "workflow": {"steps": [http_step()]}}, {"workflow": "conflicting"}),
    ({**workflow_job(), "kind": "http"}, {"request": "required", "workflow": "conflicting"}),
    ({**workflow_job(), "success": {}, "retry": {}}, {"success": "conflicting", "retry": "conflicting"}),
    ({"name": "x", "kind": "workflow", "workflow": None}, {"workflow": "null"}),
    ({"name": "x", "kind": "workflow", "workflow": {}}, {STEPS: "required"}),
    ({"name": "x", "kind": "workflow", "workflow": {"steps": []}}, {STEPS: "min_length"}),
    (workflow_job(*(delay_step(f"s{n}") for n in range(51))), {STEPS: "max_length"}),
    (workflow_job(loops=1), {"workflow.loops": "unknown_field"}),
    (workflow_job(timeout_seconds=31_622_401), {"workflow.timeout_seconds": "max_value"}),
    (workflow_job(timeout_seconds=0), {"workflow.timeout_seconds": "min_value"}),
    (workflow_job({"id": "a"}), {f"{STEPS}.0.type": "invalid_choice"}),
    (workflow_job({"id": "a", "type": "loop"}), {f"{STEPS}.0.type": "invalid_choice"}),
    (workflow_job({"type": "delay", "seconds": 1}), {f"{STEPS}.0.id": "required"}),
    (workflow_job("x"), {f"{STEPS}.0": "invalid"}),  # type: ignore[arg-type]
    (workflow_job(delay_step("A")), {f"{STEPS}.0.id": "invalid"}),
    (workflow_job(delay_step("a" * 41)), {f"{STEPS}.0.id": "max_length"}),
    (workflow_job(delay_step("a"), delay_step("a")), {f"{STEPS}.1.id": "repeated"}),
    (workflow_job(delay_step("a"), **{"finally": [http_step("a")]}), {"workflow.finally.0.id": "repeated"}),
    (workflow_job(http_step(on_failure="retry")), {f"{STEPS}.0.on_failure": "invalid_choice"}),
    (workflow_job(http_step(agent="x")), {f"{STEPS}.0.agent": "unknown_field"}),
    (workflow_job(delay_step(), http_step(request={"url": "ftp://x"})), {f"{STEPS}.1.request.url": "invalid_url"}),
    (workflow_job(http_step(request={"url": "http://127.0.0.1/"})), {f"{STEPS}.0.request.url": "ssrf_blocked"}),
    (workflow_job(http_step(request={"metod": "GET"})), {f"{STEPS}.0.request.metod": "unknown_field"}),
    (workflow_job({"id": "a", "type": "http"}), {f"{STEPS}.0.request": "required"}),
    (workflow_job(http_step(retry={"policy": "none"})), {f"{STEPS}.0.retry.policy": "policy_unknown"}),
    (workflow_job(http_step(retry={"max_attempts": 21})), {f"{STEPS}.0.retry.max_attempts": "max_value"}),
    (workflow_job(http_step(**{"if": [condition("{{input.a}}")] * 11})), {f"{STEPS}.0.if": "max_length"}),
    (workflow_job(http_step(**{"if": [condition("plain")]})), {f"{STEPS}.0.if.0.value": "no_variable"}),
    (workflow_job(http_step(extract={"a b": "$.x"})), {f"{STEPS}.0.extract.a b": "invalid"}),
    (workflow_job(http_step(extract={"json": "$.x"})), {f"{STEPS}.0.extract.json": "reserved"}),
    (workflow_job(http_step(extract={"a": "x"})), {f"{STEPS}.0.extract.a": "invalid"}),
    (workflow_job(http_step(extract={"a": {"path": "x"}})), {f"{STEPS}.0.extract.a.path": "invalid"}),
    (workflow_job(http_step(extract={"a": {}})), {f"{STEPS}.0.extract.a.path": "required"}),
    (workflow_job(http_step(extract={"a": 1})), {f"{STEPS}.0.extract.a": "invalid"}),
    (workflow_job(http_step(extract={f"n{n}": "$" for n in range(21)})), {f"{STEPS}.0.extract": "max_length"}),
    (workflow_job(http_step(poll={"until": []})), {f"{STEPS}.0.poll.until": "min_length"}),
    (workflow_job(http_step(poll={"until": [PROBE] * 11})), {f"{STEPS}.0.poll.until": "max_length"}),
    (
        workflow_job(http_step(poll={"until": [PROBE], "every_seconds": 86_401, "timeout_seconds": 0})),
        {f"{STEPS}.0.poll.every_seconds": "max_value", f"{STEPS}.0.poll.timeout_seconds": "min_value"},
    ),
    (
        workflow_job(http_step(request={"method": "HEAD"}, extract={"a": "$"},
                               success={"assertions": [{"type": "body_contains", "value": "x"}]},
                               poll={"until": [{"type": "json_path_exists", "path": "$"}]})),
        {f"{STEPS}.0.success.assertions.0.type": "conflicting", f"{STEPS}.0.poll.until.0.type": "conflicting",
         f"{STEPS}.0.extract": "conflicting"},
    ),
    (workflow_job({"id": "a", "type": "delay"}), {f"{STEPS}.0.seconds": "required"}),
    (workflow_job(delay_step(seconds=1, until="{{timestamp}}")), {f"{STEPS}.0.seconds": "conflicting"}),
    (workflow_job(delay_step(seconds=31_622_401)), {f"{STEPS}.0.seconds": "max_value"}),
    (workflow_job(delay_step(until="soon")), {f"{STEPS}.0.until": "invalid"}),
    (workflow_job(delay_step(until="2099-01-01T00:00:00Z")), {f"{STEPS}.0.until": "invalid"}),
    (workflow_job(webhook_step(timeout_seconds=0)), {f"{STEPS}.0.timeout_seconds": "min_value"}),
    (workflow_job(webhook_step(on_timeout="reject")), {f"{STEPS}.0.on_timeout": "invalid_choice"}),
    (workflow_job(webhook_step(verify={"preset": "github"})), {f"{STEPS}.0.verify.secret": "required"}),
    (
        workflow_job(webhook_step(verify={"preset": "github", "secret": "{{secrets.NONE}}"})),
        {f"{STEPS}.0.verify.secret": "unknown_secret"},
    ),
    (workflow_job(approval_step(message="x" * 2001)), {f"{STEPS}.0.message": "max_length"}),
    (workflow_job(approval_step(on_timeout="approve")), {f"{STEPS}.0.on_timeout": "invalid_choice"}),
    (workflow_job(approval_step(required=21)), {f"{STEPS}.0.required": "max_value"}),
    (workflow_job(approval_step(approvers=["admin"])), {f"{STEPS}.0.approvers.0": "invalid_choice"}),
    (workflow_job(approval_step(approvers=["role:viewer"])), {f"{STEPS}.0.approvers.0": "invalid_choice"}),
    (workflow_job(approval_step(approvers=["role:admin", "user:ghost"])), {f"{STEPS}.0.approvers.1": "unknown_user"}),
    (workflow_job(approval_step(form=[{"name": "A"}])), {f"{STEPS}.0.form.0.name": "invalid"}),
    (workflow_job(approval_step(form=[{"name": "a"}, {"name": "a"}])), {f"{STEPS}.0.form.1.name": "repeated"}),
    (workflow_job(approval_step(form=[{"name": f"f{n}"} for n in range(21)])), {f"{STEPS}.0.form": "max_length"}),
    (workflow_job(approval_step(form=[{"name": "a", "type": "choice"}])), {f"{STEPS}.0.form.0.options": "required"}),
    (workflow_job(approval_step(form=[{"name": "a", "options": ["x"]}])), {f"{STEPS}.0.form.0.options": "conflicting"}),
    (workflow_job(approval_step(form=[{"name": "a", "type": "date"}])), {f"{STEPS}.0.form.0.type": "invalid_choice"}),
    (workflow_job(**{"finally": [delay_step()]}), {"workflow.finally.0.type": "invalid_choice"}),
    (workflow_job(**{"finally": [http_step(f"f{n}") for n in range(6)]}), {"workflow.finally": "max_length"}),
    (
        workflow_job(**{"finally": [http_step("f", poll={"until": [PROBE], "timeout_seconds": 601})]}),
        {"workflow.finally.0.poll.timeout_seconds": "max_value"},
    ),
    (workflow_job(output="x" * 65_536), {"workflow.output": "too_large"}),
    (workflow_job(output={"{{input.a}}": 1}), {"workflow.output.{{input.a}}": "invalid_template"}),
    (workflow_job(*(http_step(f"s{n}", request={"body": "x" * 30_000}) for n in range(9))), {"workflow": "too_large"}),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "expected"), EXPECTED, ids=[",".join(expected) for _, expected in EXPECTED])
def test_what_is_wrong_is_refused_by_its_path(api: Caller, sent: dict[str, Any], expected: dict[str, str]) -> None:
    assert api.refused("POST", "/jobs/", sent) == expected
    assert not Job.objects.exists()


#: A text that names something, and where it is known.
_LATER, _OWN, _UNKNOWN = "{{steps.late.status}}", "{{steps.mid.status}}", "{{steps.nobody.status}}"
OUT_OF_SCOPE = (_LATER, _OWN, _UNKNOWN, "{{steps.early.missing}}", "{{steps.early.resume_url}}", "{{body.a}}")


def _between(middle: dict[str, Any]) -> dict[str, Any]:
    return workflow_job(http_step("early", extract={"order": "$.id"}), middle, webhook_step("late"))


@pytest.mark.parametrize("variable", OUT_OF_SCOPE)
@pytest.mark.parametrize(
    ("place", "field"),
    [
        (lambda text: http_step("mid", request={"url": f"{URL}/{text}"}), "request.url"),
        (lambda text: http_step("mid", request={"headers": {"X-A": text}}), "request.headers.X-A"),
        (lambda text: http_step("mid", request={"body": {"a": text}}), "request.body"),
        (lambda text: http_step("mid", **{"if": [condition(text)]}), "if.0.value"),
        (lambda text: http_step("mid", **{"if": [{"value": "{{input.a}}", "op": "equals", "to": text}]}), "if.0.to"),
        (lambda text: delay_step("mid", until=text), "until"),
        (lambda text: approval_step("mid", message=f"Go? {text}"), "message"),
    ],
)
def test_a_step_sees_only_those_before_it(api: Caller, place: Any, field: str, variable: str) -> None:
    refused = api.ask("POST", "/jobs/", _between(place(variable)), expect=400)["errors"]
    assert [(error["field"], error["code"]) for error in refused] == [(f"{STEPS}.1.{field}", "unknown_variable")]
    names = variable.strip("{}").split(".")
    assert names[1] in refused[0]["detail"] or names[0] in refused[0]["detail"]
    for known in ("{{steps.early.order}}", "{{steps.early.json.a}}", "{{steps.late.resume_url}}", "{{input.a}}"):
        api.ask("PUT", "/jobs/order/", _between(place(known)))
        assert Job.objects.filter(slug="order").exists()


def test_finally_and_output_see_all_steps(api: Caller) -> None:
    text = "{{steps.call.order}} {{steps.paid.resume_url}}"
    call = http_step(extract={"order": "$.id"})
    last = [http_step("clean", request={"body": text})]
    api.ask("POST", "/jobs/", workflow_job(call, webhook_step(), **{"finally": last}, output=[text]), expect=201)
    wrong = {
        "finally": [http_step("clean", request={"body": "{{steps.nobody.body}}"})],
        "output": {"a": ["{{steps.clean.body}}"]},
    }
    assert api.refused("POST", "/jobs/", workflow_job(call, **wrong)) == {
        "workflow.finally.0.request.body": "unknown_variable",
        "workflow.output.a.0": "unknown_variable",
    }


def test_only_requests_hold_secrets(api: Caller) -> None:
    api.ask("POST", "/secrets/", {"name": "TOKEN", "value": "some text"}, expect=201)
    text = "{{secrets.TOKEN}}"
    refused = api.refused(
        "POST",
        "/jobs/",
        workflow_job(
            http_step(request={"headers": {"A": text}}, **{"if": [condition(text)]}),
            delay_step(until=text),
            webhook_step(accept=[{"value": "{{body.a}}", "op": "equals", "to": text}]),
            approval_step(message=text),
            output=text,
        ),
    )
    assert refused == dict.fromkeys(
        (
            f"{STEPS}.0.if.0.value",
            f"{STEPS}.1.until",
            f"{STEPS}.2.accept.0.to",
            f"{STEPS}.3.message",
            "workflow.output",
        ),
        "unknown_variable",
    )
    assert api.refused("POST", "/jobs/", workflow_job(http_step(request={"body": "{{secrets.NONE}}"}))) == {
        f"{STEPS}.0.request.body": "unknown_secret"
    }


@pytest.mark.parametrize("text", ["{{input.a}}", "{{steps.early.body}}", "{{timestamp}}"])
def test_accept_sees_the_body_alone(api: Caller, text: str) -> None:
    steps = (http_step("early"), webhook_step(accept=[condition(text), condition("{{body.a.b}}")]))
    assert api.refused("POST", "/jobs/", workflow_job(*steps)) == {f"{STEPS}.1.accept.0.value": "unknown_variable"}


def test_approvers_are_members_and_enough(api: Caller, workspace: Workspace) -> None:
    Membership.objects.create(workspace=workspace, user=person("olga"))
    person("elsewhere")
    step = approval_step(approvers=["user:olga", "role:owner", "user:olga"], required=2)
    assert api.ask("PUT", "/jobs/order/", workflow_job(step), expect=201)["workflow"]["steps"][0]["approvers"] == [
        "user:olga",
        "role:owner",
    ]
    step = approval_step(approvers=["user:olga"], required=2)
    assert api.refused("PUT", "/jobs/order/", workflow_job(step)) == {f"{STEPS}.0.required": "conflicting"}
    step = approval_step(approvers=["user:elsewhere"])
    assert api.refused("PUT", "/jobs/order/", workflow_job(step)) == {f"{STEPS}.0.approvers.0": "unknown_user"}


def test_a_plans_timeout_holds_for_each_step(api: Caller, workspace: Workspace) -> None:
    api.ask("POST", "/jobs/", workflow_job(http_step("a", request={"timeout_seconds": 60})), expect=201)
    workspace.plan = Plan.objects.create(name="Small", max_timeout_seconds=20)
    workspace.save(update_fields=["plan"])
    steps = [http_step("b", request={"timeout_seconds": 30}), http_step("a", request={"timeout_seconds": 60})]
    refused = api.refused("PATCH", "/jobs/order/", {"workflow": {"steps": steps}})
    assert refused == {f"{STEPS}.0.request.timeout_seconds": "plan_limit"}


def test_an_unknown_property_of_a_step_is_explained(api: Caller) -> None:
    refused = api.ask(
        "POST", "/jobs/", workflow_job(http_step("a"), http_step("b", request={"body": "{{steps.a}}"})), expect=400
    )
    assert "status, body, json.PATH" in refused["errors"][0]["detail"]
