"""Overrides of workflows by environment, through the API: merged by step, and refused by step."""

from typing import Any

import pytest

from accounts.models import Environment, Workspace
from jobs.definition.overrides import effective
from jobs.definition.reading import workflow_definition_of
from jobs.models import JobVersion
from tests.support.api_caller import JOB, Caller, caller
from tests.support.workflow_jobs import URL, every_kind_of_step

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


@pytest.fixture
def staging(workspace: Workspace) -> Environment:
    return Environment.objects.create(workspace=workspace, slug="staging", name="Staging")


def _overridden(api: Caller, overrides: Any, expect: int = 200) -> Any:
    environments = {"staging": {"enabled": True, "overrides": overrides}}
    return api.ask("PATCH", "/jobs/order/", {"environments": environments}, expect=expect)


@pytest.fixture(autouse=True)
def _order(api: Caller, staging: Environment) -> None:
    api.ask("POST", "/jobs/", every_kind_of_step(), expect=201)


def test_steps_are_merged_by_id_and_sections_field_by_field(api: Caller, staging: Environment) -> None:
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
    config = effective(JobVersion.objects.get(number=2).config, str(staging.pk))
    definition = workflow_definition_of({name: value for name, value in config.items() if name != "overrides"})
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
def test_what_is_wrong_is_named_by_step(api: Caller, workflow: Any, field: str, code: str) -> None:
    problem = _overridden(api, {"workflow": workflow}, expect=400)
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [
        (f"environments.staging.overrides.workflow.{field}", code)
    ]


def test_a_version_without_the_step_is_refused(api: Caller) -> None:
    _overridden(api, {"workflow": {"steps": {"cool": {"seconds": 5}}}})
    steps = every_kind_of_step()["workflow"]["steps"]
    fewer = {"workflow": {"steps": [step for step in steps if step["id"] != "cool"]}}
    named = {"environments.staging.overrides.workflow.steps.cool": "unknown_step"}
    assert api.refused("PATCH", "/jobs/order/", fewer) == named


def test_a_job_of_another_kind_has_no_such_overrides(api: Caller) -> None:
    named = {"environments.staging.overrides.request": "conflicting"}
    environments = {"staging": {"overrides": {"request": {"timeout_seconds": 5}}}}
    assert api.refused("PATCH", "/jobs/order/", {"environments": environments}) == named
    environments = {"staging": {"overrides": {"workflow": {"timeout_seconds": 5}}}}
    named = {"environments.staging.overrides.workflow": "conflicting"}
    assert api.refused("POST", "/jobs/", {**JOB, "environments": environments}) == named
