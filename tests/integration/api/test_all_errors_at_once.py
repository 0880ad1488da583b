"""A job with several wrong fields gets all its errors at once, over the API and in the form."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Environment, Workspace
from tests.support.admin_rows import person, signed_in
from tests.support.api_caller import JOB, caller
from tests.support.job_forms import FORM
from tests.support.quotas import give_plan

pytestmark = pytest.mark.django_db
URL = "http://receiver.test/ok"


@pytest.fixture
def staging(workspace: Workspace) -> Environment:
    return Environment.objects.create(workspace=workspace, slug="staging", name="Staging")


def error_fields(workspace: Workspace, **changes: Any) -> list[str]:
    problem = caller(workspace).ask("POST", "/jobs/", {**JOB, **changes}, expect=400)
    return sorted(error["field"] for error in problem["errors"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"overlap": "never"}, {"request": {"url": "nope"}}, {"timezone": "Europe/Atlantis"}, {"colour": "red"},
        {"starts_at": "soon"}, {"starts_at": "2036-01-02T00:00:00Z", "ends_at": "2036-01-01T00:00:00Z"},
        {"dst_gap": "jump"}, {"name": ""}, {"environments": {"nowhere": {}}},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_schedule_is_reported_with_any_other_wrong_field(workspace: Workspace, wrong: dict[str, Any]) -> None:
    other = error_fields(workspace, schedule="0 2 * * *", **wrong)
    assert len(other) == 1
    assert error_fields(workspace, schedule="every blue moon", **wrong) == sorted([*other, "schedule"])


def test_a_valid_schedule_is_not_reported_with_a_wrong_field(workspace: Workspace) -> None:
    for schedule in ("in 10 minutes", "now", {"every_seconds": 90}, None):
        assert error_fields(workspace, schedule=schedule, overlap="never") == ["overlap"]


def test_a_limit_of_the_plan_is_reported_with_a_schedule_that_never_fires(workspace: Workspace) -> None:
    give_plan(workspace, max_timeout_seconds=10, min_interval_seconds=60)
    wrong = {"schedule": "2020-01-01T00:00:00Z", "request": {"url": URL, "timeout_seconds": 20}}
    assert error_fields(workspace, **wrong) == ["request.timeout_seconds", "schedule"]


def test_wrong_overrides_are_reported_with_a_wrong_job(workspace: Workspace, staging: Environment) -> None:
    sparse = {"schedule": "every blue moon", "request": {"url": "nope", "timeout_seconds": 5}}
    places = {"production": {}, "staging": {"overrides": sparse}}
    of_staging = ["environments.staging.overrides.request.url", "environments.staging.overrides.schedule"]
    assert error_fields(workspace, environments=places) == of_staging
    assert error_fields(workspace, environments=places, overlap="never") == [*of_staging, "overlap"]
    assert error_fields(workspace, environments=places, request={"url": "no"}) == [*of_staging, "request.url"]
    assert error_fields(workspace, environments=places, retry=7) == [*of_staging, "retry"]


def test_the_form_reports_its_own_and_the_validators_errors(workspace: Workspace, staging: Environment) -> None:
    member = signed_in(person("mara", workspace=workspace))
    wrong = {
        "schedule": "every blue moon", "headers": "no colon", "max_attempts": "many", "url": "nope",
        "assertions-TOTAL_FORMS": "2", "assertions-0-type": "status_equals", "assertions-0-value": "x",
        "assertions-1-type": "json_path_exists", "assertions-1-path": "nowhere",
        "overrides-staging-url": "no", "overrides-staging-headers": "no colon",
    }  # fmt: skip
    form = rejected_form(member, wrong)
    assert sorted(form.errors) == ["headers", "max_attempts", "schedule", "url"]
    assert [list(row.errors) for row in form.assertions.forms] == [["value"], ["path"]]
    assert sorted(form.overrides["staging"].errors) == ["headers", "url"]
    assert len(form.errors["headers"]) == len(form.errors["max_attempts"]) == 1


def test_the_form_reports_a_missing_url_once(workspace: Workspace) -> None:
    form = rejected_form(signed_in(person("mara", workspace=workspace)), {"url": "", "name": "", "timezone": "Nowhere"})
    assert {field: len(errors) for field, errors in form.errors.items()} == {"url": 1, "name": 1, "timezone": 1}


def rejected_form(client: Client, wrong: dict[str, str]) -> Any:
    answer = client.post(reverse("admin:jobs_job_add"), {**FORM, **wrong})
    assert answer.status_code == 200
    return answer.context["form"]
