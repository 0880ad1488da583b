"""Workflows through the API: saved with their defaults, refused field by field, compared, exported, overridden."""

import json
from typing import Any

import pytest

from accounts.models import AuditEntry, Environment, Membership, Plan, Workspace
from api.jobs import examples
from jobs.definition.overrides import effective
from jobs.definition.reading import workflow_definition_of
from jobs.models import Job, RetryPolicy
from tests.support.admin_rows import person
from tests.support.api_caller import JOB, Caller, caller
from tests.support.workflow_jobs import (
    URL,
    approval_step,
    delay_step,
    every_kind_of_step,
    http_step,
    webhook_step,
    workflow_job,
)

pytestmark = pytest.mark.django_db
PROBE = {"type": "status_equals", "value": 200}


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


@pytest.fixture
def staging(workspace: Workspace) -> Environment:
    return Environment.objects.create(workspace=workspace, slug="staging", name="Staging")


def config_of(slug: str = "order") -> dict[str, Any]:
    version = Job.objects.get(slug=slug).current_version
    assert version is not None
    return dict(version.config)


def condition(value: str, **fields: Any) -> dict[str, Any]:
    return {"value": value, "op": "exists", **fields}


class TestSave:
    def test_fills_in_every_default(self, api: Caller) -> None:
        saved = api.ask(
            "POST", "/jobs/", workflow_job(http_step(), delay_step(), webhook_step(), approval_step()), expect=201
        )
        workflow = saved["workflow"]
        assert (saved["request"], saved["success"], saved["retry"]) == (None, None, None)
        assert list(workflow) == ["timeout_seconds", "steps", "finally", "output"]
        assert (workflow["timeout_seconds"], workflow["finally"], workflow["output"]) == (2_592_000, [], None)
        call, cool, paid, ok = workflow["steps"]
        http = api.ask("POST", "/jobs/", JOB, expect=201)
        for section in ("request", "success", "retry"):
            assert call[section] == http[section]
            assert list(call[section]) == list(http[section])
        assert list(call) == ["id", "type", "if", "request", "success", "retry", "extract", "poll", "on_failure"]
        assert (call["if"], call["extract"], call["poll"], call["on_failure"]) == ([], {}, None, "fail")
        assert cool == {"id": "cool", "type": "delay", "if": [], "seconds": 600, "until": None, "on_failure": "fail"}
        assert paid == {
            "id": "paid", "type": "webhook", "if": [], "timeout_seconds": 604_800, "on_timeout": "fail",
            "verify": {"preset": "none", "secret": None, "header": None}, "accept": [], "on_failure": "fail",
        }  # fmt: skip
        assert ok == {
            "id": "ok", "type": "approval", "if": [], "message": None, "approvers": [], "required": 1,
            "self_approval": True, "form": [], "timeout_seconds": 86_400, "on_timeout": "reject", "on_failure": "fail",
        }  # fmt: skip
        assert api.ask("GET", "/jobs/order/") == saved

    def test_everything_that_it_holds_is_kept_and_read_by_workers(self, api: Caller) -> None:
        sent = every_kind_of_step()
        saved = api.ask("POST", "/jobs/", sent, expect=201)["workflow"]
        create, _, later, _, ok, _ = saved["steps"]
        assert create["extract"] == {
            "order": "$.id",
            "token": {"path": "$.token", "secret": True},
            "n": {"path": "$.n", "default": 0, "secret": False},
        }
        assert create["poll"] == {**sent["workflow"]["steps"][0]["poll"], "timeout_seconds": 3600}
        assert create["request"]["headers"] == {"Content-Type": "application/json"}
        assert later["until"] == "{{steps.create.json.at}}"
        assert ok["form"][0] == {
            "name": "reason", "label": "reason", "type": "text", "required": True, "options": [],
        }  # fmt: skip
        assert saved["output"] == sent["workflow"]["output"]
        definition = workflow_definition_of(config_of())
        assert [step.id for step in definition.all_steps] == ["create", "cool", "later", "paid", "ok", "send", "clean"]

    def test_its_address_is_that_of_its_first_call(self, api: Caller) -> None:
        api.ask("POST", "/jobs/", workflow_job(delay_step(), http_step(request={"url": f"{URL}/first"})), expect=201)
        api.ask("POST", "/jobs/", {**workflow_job(delay_step()), "name": "Pause"}, expect=201)
        api.ask("POST", "/jobs/", JOB, expect=201)
        found = [[job["slug"] for job in api.ask("GET", f"/jobs/?{query}")["results"]]
                 for query in ("search=ok/first", "kind=workflow", "kind=http")]  # fmt: skip
        assert found == [["order"], ["pause", "order"], ["nightly-report"]]

    def test_the_same_put_again_makes_no_version(self, api: Caller) -> None:
        for status in (201, 200, 200):
            saved = api.ask("PUT", "/jobs/order/", every_kind_of_step(), expect=status)
        assert saved["version"] == 1
        assert (
            api.ask("PUT", "/jobs/order/", {"name": "Order", **{f: saved[f] for f in ("kind", "workflow")}})["version"]
            == 1
        )

    def test_a_patch_replaces_the_fields_of_the_workflow_that_it_names(self, api: Caller) -> None:
        api.ask("POST", "/jobs/", workflow_job(http_step("a"), http_step("b"), output={"a": 1}), expect=201)
        changed = api.ask("PATCH", "/jobs/order/", {"workflow": {"steps": [http_step("c")]}}, expect=200)["workflow"]
        assert ([step["id"] for step in changed["steps"]], changed["output"]) == (["c"], {"a": 1})
        assert api.ask("PATCH", "/jobs/order/", {"description": "x"}, expect=200)["workflow"] == changed

    def test_the_kind_can_change_both_ways(self, api: Caller) -> None:
        api.ask("POST", "/jobs/", {**JOB, "slug": "order"}, expect=201)
        steps = {"steps": [http_step()]}
        assert api.refused("PATCH", "/jobs/order/", {"kind": "workflow"}) == {"workflow": "required"}
        both = {"kind": "workflow", "workflow": steps, "request": {"url": URL}}
        assert api.refused("PATCH", "/jobs/order/", both) == {"request": "conflicting"}
        changed = api.ask("PATCH", "/jobs/order/", {"kind": "workflow", "workflow": steps, "request": None}, expect=200)
        assert (changed["kind"], changed["request"], changed["retry"]) == ("workflow", None, None)
        back = {"kind": "http", "request": {"url": URL}, "workflow": None}
        changed = api.ask("PATCH", "/jobs/order/", back, expect=200)
        assert (changed["workflow"], changed["retry"]["max_attempts"], changed["version"]) == (None, 3, 3)
        assert (
            api.ask("POST", "/jobs/order/versions/2/restore/", {}, expect=200)["workflow"]["steps"][0]["id"] == "call"
        )


STEPS = "workflow.steps"
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


class TestRetryPolicies:
    @pytest.fixture(autouse=True)
    def _policies(self, api: Caller) -> None:
        for slug in ("patient", "hasty"):
            api.ask("POST", "/retry-policies/", {"slug": slug, "name": slug, "max_attempts": 8}, expect=201)

    def _attempts(self, api: Caller) -> list[int]:
        workflow = api.ask("GET", "/jobs/order/")["workflow"]
        return [step["retry"]["max_attempts"] for step in (*workflow["steps"], *workflow["finally"])]

    def test_a_change_of_a_policy_reaches_the_steps_that_name_it(self, api: Caller) -> None:
        steps = [http_step("a", retry={"policy": "patient"}), http_step("b"), http_step("c", retry={"policy": "hasty"})]
        last = [http_step("d", retry={"policy": "patient"})]
        api.ask("POST", "/jobs/", workflow_job(*steps, **{"finally": last}), expect=201)
        assert self._attempts(api) == [8, 3, 8, 8]
        api.ask("PATCH", "/retry-policies/patient/", {"max_attempts": 5}, expect=200)
        assert self._attempts(api) == [5, 3, 8, 5]
        saved = api.ask("GET", "/jobs/order/")
        assert saved["version"] == 2
        renamed = api.ask("PATCH", "/jobs/order/", {"name": "Orders"}, expect=200)
        assert renamed["workflow"] == saved["workflow"]

    def test_an_older_version_is_restored_with_the_rules_of_today(self, api: Caller) -> None:
        api.ask("POST", "/jobs/", workflow_job(http_step(retry={"policy": "patient"})), expect=201)
        api.ask("PATCH", "/jobs/order/", {"workflow": {"steps": [http_step()]}}, expect=200)
        api.ask("PATCH", "/retry-policies/patient/", {"max_attempts": 5}, expect=200)
        assert self._attempts(api) == [3]
        api.ask("POST", "/jobs/order/versions/1/restore/", {}, expect=200)
        assert self._attempts(api) == [5]

    def test_one_in_use_is_not_deleted(self, api: Caller) -> None:
        api.ask("POST", "/jobs/", workflow_job(http_step(retry={"policy": "patient"})), expect=201)
        assert api.ask("DELETE", "/retry-policies/patient/", expect=409)["jobs"] == ["order"]
        api.ask("PATCH", "/jobs/order/", {"workflow": {"steps": [http_step()]}}, expect=200)
        api.ask("DELETE", "/retry-policies/patient/", expect=204)
        assert api.ask("POST", "/jobs/order/versions/1/restore/", {}, expect=409)["code"] == "not_restorable"

    def test_deleting_the_job_frees_it(self, api: Caller) -> None:
        api.ask("POST", "/jobs/", workflow_job(http_step(retry={"policy": "patient"})), expect=201)
        api.ask("DELETE", "/jobs/order/", expect=204)
        api.ask("DELETE", "/retry-policies/patient/", expect=204)

    def test_imported_jobs_use_it_too(self, api: Caller) -> None:
        jobs = {"jobs": [workflow_job(http_step(retry={"policy": "patient"}))]}
        assert api.ask("POST", "/jobs/import/", {"format": "json", "content": jobs}, expect=200)["created"] == 1
        policy = RetryPolicy.objects.get(slug="patient")
        assert Job.objects.get().step_policies == [policy.pk]


def _overridden(api: Caller, overrides: Any, expect: int = 200) -> Any:
    environments = {"staging": {"enabled": True, "overrides": overrides}}
    return api.ask("PATCH", "/jobs/order/", {"environments": environments}, expect=expect)


class TestOverrides:
    @pytest.fixture(autouse=True)
    def _order(self, api: Caller, staging: Environment) -> None:
        api.ask("POST", "/jobs/", every_kind_of_step(), expect=201)

    def test_steps_are_merged_by_id_and_sections_field_by_field(self, api: Caller, staging: Environment) -> None:
        overrides = {
            "schedule": "@daily",
            "workflow": {
                "timeout_seconds": 60,
                "steps": {
                    "create": {"request": {"url": f"{URL}/staging"}, "retry": {"max_attempts": 1}},
                    "cool": {"until": "2026-12-03T00:00:00Z"},
                    "ok": {"timeout_seconds": 60, "approvers": []},
                    "clean": {"request": {"body": {"a": 1}, "method": "POST"}},
                },
            },
        }
        saved = _overridden(api, overrides)["environments"]["staging"]["overrides"]
        steps = saved["workflow"]["steps"]
        assert list(steps) == ["create", "cool", "ok", "clean"]
        assert steps["create"] == overrides["workflow"]["steps"]["create"]
        assert steps["cool"] == {"until": "2026-12-03T00:00:00.000Z"}
        assert steps["clean"]["request"] == {
            "method": "POST", "headers": {"Content-Type": "application/json"}, "body": '{"a":1}',
        }  # fmt: skip
        assert (saved["schedule"], saved["workflow"]["timeout_seconds"]) == ("@daily", 60)
        definition = workflow_definition_of(
            {name: value for name, value in effective(config_of(), str(staging.pk)).items() if name != "overrides"}
        )
        assert definition.timeout_seconds == 60
        assert definition.by_id["create"].call.request.url == f"{URL}/staging"
        assert definition.by_id["create"].call.success_statuses == ("201",)
        assert definition.by_id["cool"].seconds is None
        assert _overridden(api, saved)["version"] == 2

    @pytest.mark.parametrize(
        ("workflow", "field", "code"),
        [
            ({"steps": {"nobody": {"seconds": 1}}}, "steps.nobody", "unknown_step"),
            ({"steps": {"create": {"id": "x"}}}, "steps.create.id", "unknown_field"),
            ({"steps": {"create": {"seconds": 1}}}, "steps.create.seconds", "unknown_field"),
            ({"steps": {"create": {"request": {"metod": 1}}}}, "steps.create.request.metod", "unknown_field"),
            ({"steps": {"send": {"request": {"url": "ftp://x"}}}}, "steps.send.request.url", "invalid_url"),
            (
                {"steps": {"clean": {"request": {"body": "{{steps.nobody.body}}"}}}},
                "steps.clean.request.body",
                "unknown_variable",
            ),
            ({"steps": {"create": {"retry": {"policy": "x"}}}}, "steps.create.retry.policy", "unsupported"),
            ({"steps": []}, "steps", "invalid"),
            ({"output": 1}, "output", "unknown_field"),
            ({"timeout_seconds": 0}, "timeout_seconds", "min_value"),
        ],
    )
    def test_what_is_wrong_is_named_by_step(self, api: Caller, workflow: Any, field: str, code: str) -> None:
        problem = _overridden(api, {"workflow": workflow}, expect=400)
        assert [(error["field"], error["code"]) for error in problem["errors"]] == [
            (f"environments.staging.overrides.workflow.{field}", code)
        ]

    def test_a_version_without_the_step_is_refused(self, api: Caller) -> None:
        _overridden(api, {"workflow": {"steps": {"cool": {"seconds": 5}}}})
        steps = every_kind_of_step()["workflow"]["steps"]
        fewer = {"workflow": {"steps": [step for step in steps if step["id"] != "cool"]}}
        named = {"environments.staging.overrides.workflow.steps.cool": "unknown_step"}
        assert api.refused("PATCH", "/jobs/order/", fewer) == named

    def test_a_job_of_another_kind_has_no_such_overrides(self, api: Caller) -> None:
        named = {"environments.staging.overrides.request": "conflicting"}
        environments = {"staging": {"overrides": {"request": {"timeout_seconds": 5}}}}
        assert api.refused("PATCH", "/jobs/order/", {"environments": environments}) == named
        environments = {"staging": {"overrides": {"workflow": {"timeout_seconds": 5}}}}
        named = {"environments.staging.overrides.workflow": "conflicting"}
        assert api.refused("POST", "/jobs/", {**JOB, "environments": environments}) == named


class TestHistoryAndFiles:
    def test_versions_are_compared_step_by_step(self, api: Caller) -> None:
        api.ask("POST", "/jobs/", workflow_job(http_step("a"), http_step("b")), expect=201)
        steps = [http_step("b"), http_step("a", request={"timeout_seconds": 5}), delay_step("c", seconds=1)]
        api.ask("PATCH", "/jobs/order/", {"workflow": {"steps": steps}}, expect=200)
        changes = {change["field"]: change for change in api.ask("GET", "/jobs/order/versions/1/diff/2/")["changes"]}
        assert sorted(changes) == ["workflow.order", "workflow.steps.a.request.timeout_seconds", "workflow.steps.c"]
        assert changes["workflow.order"]["new"] == ["b", "a", "c"]
        assert changes["workflow.steps.a.request.timeout_seconds"]["old"] == 30

    def test_the_log_has_no_value_of_a_header(self, api: Caller) -> None:
        def sent(token: str, *more: dict[str, Any]) -> dict[str, Any]:
            return workflow_job(
                http_step("a", request={"headers": {"Authorization": token}, "body": "b" * 2000}), *more
            )

        api.ask("PUT", "/jobs/order/", sent("canary-1"), expect=201)
        another = http_step("b", request={"headers": {"Authorization": "canary-2"}, "body": "b" * 2000})
        api.ask("PUT", "/jobs/order/", sent("canary-3", another), expect=200)
        created, updated = AuditEntry.objects.filter(target_kind="job").order_by("id")
        assert created.changes["steps"] == [None, ["a (http)"]]
        assert updated.changes["workflow.steps.a.request.headers.Authorization"] == ["[redacted]", "[redacted]"]
        assert "canary" not in json.dumps([created.changes, updated.changes])

    @pytest.mark.parametrize("kind", ["json", "yaml"])
    def test_an_export_is_imported_without_a_change(self, api: Caller, staging: Environment, kind: str) -> None:
        api.ask("POST", "/retry-policies/", {"slug": "patient", "name": "Patient", "max_attempts": 8}, expect=201)
        sent = every_kind_of_step()
        sent["workflow"]["steps"][5]["retry"] = {"policy": "patient"}
        sent["environments"] = {"staging": {"overrides": {"workflow": {"steps": {"cool": {"seconds": 5}}}}}}
        saved = api.ask("POST", "/jobs/", sent, expect=201)
        text = api.get(f"/api/v1/jobs/export/?format={kind}").content.decode()
        assert "self_approval" in text
        assert "every_seconds: 10" not in text
        done = api.ask("POST", "/jobs/import/", {"format": kind, "content": text}, expect=200)
        assert (done["unchanged"], done["items"][0]["errors"]) == (1, [])
        api.ask("DELETE", "/jobs/order/?purge=true", expect=204)
        assert api.ask("POST", "/jobs/import/", {"format": kind, "content": text}, expect=200)["created"] == 1
        again = api.ask("GET", "/jobs/order/")
        assert again["workflow"] == saved["workflow"]
        assert again["environments"]["staging"]["overrides"] == saved["environments"]["staging"]["overrides"]

    def test_a_secret_that_a_step_uses_is_not_deleted(self, api: Caller) -> None:
        for name in ("SENT", "SENDER", "FREE"):
            api.ask("POST", "/secrets/", {"name": name, "value": "some text"}, expect=201)
        verify = {"preset": "github", "secret": "{{secrets.SENDER}}"}
        step = http_step(request={"headers": {"A": "{{secrets.SENT}}"}})
        api.ask("POST", "/jobs/", workflow_job(step, webhook_step(verify=verify)), expect=201)
        statuses = {
            secret["name"]: api.delete(f"/api/v1/secrets/{secret['id']}/").status_code
            for secret in api.ask("GET", "/secrets/")["results"]
        }
        assert statuses == {"SENT": 409, "SENDER": 409, "FREE": 204}


def test_a_test_call_and_an_edited_replay_are_of_one_call_only(api: Caller) -> None:
    api.ask("POST", "/jobs/", workflow_job(), expect=201)
    assert api.ask("POST", "/jobs/order/test/", {}, expect=409)["code"] == "not_for_workflows"
    execution = api.ask("POST", "/jobs/order/run/", {}, expect=202)
    assert execution["max_attempts"] is None
    edit = {"edit": {"body": "x"}}
    assert api.ask("POST", f"/executions/{execution['id']}/replay/", edit, expect=409)["code"] == "not_for_workflows"
    replayed = api.ask("POST", f"/executions/{execution['id']}/replay/", {}, expect=202)
    assert replayed["replay_of"] == execution["id"]


def test_a_plans_timeout_holds_for_each_step(api: Caller, workspace: Workspace) -> None:
    api.ask("POST", "/jobs/", workflow_job(http_step("a", request={"timeout_seconds": 60})), expect=201)
    workspace.plan = Plan.objects.create(name="Small", max_timeout_seconds=20)
    workspace.save(update_fields=["plan"])
    steps = [http_step("b", request={"timeout_seconds": 30}), http_step("a", request={"timeout_seconds": 60})]
    refused = api.refused("PATCH", "/jobs/order/", {"workflow": {"steps": steps}})
    assert refused == {f"{STEPS}.0.request.timeout_seconds": "plan_limit"}


@pytest.mark.parametrize(
    "example", [each.value for each in examples.JOB if each.request_only], ids=lambda body: body["name"]
)
def test_the_examples_of_the_document_are_valid(api: Caller, example: dict[str, Any]) -> None:
    api.ask("POST", "/secrets/", {"name": "BILLING_TOKEN", "value": "some text"}, expect=201)
    api.ask("POST", "/jobs/", example, expect=201)


def test_an_unknown_property_of_a_step_is_explained(api: Caller) -> None:
    refused = api.ask(
        "POST", "/jobs/", workflow_job(http_step("a"), http_step("b", request={"body": "{{steps.a}}"})), expect=400
    )
    assert "status, body, json.PATH" in refused["errors"][0]["detail"]
