"""Overrides in the form of a job: entered field by field, kept exactly, with errors beside the fields."""

import json
from typing import Any

import pytest
from django.test import Client

from accounts.models import Environment, Workspace
from jobs.models import Job, JobVersion
from tests.support.admin_rows import person, signed_in
from tests.support.api_caller import caller
from tests.support.job_forms import CALL, config_of, form_of, save
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
OVERRIDES = {
    "schedule": {"every_seconds": 90},
    "timezone": "Europe/Berlin",
    "request": {
        "method": "PUT", "url": "https://staging.example.com/{{job}}", "body": "one\r\ntwo\n", "timeout_seconds": 2.5,
        "headers": {"X-Place": "staging", "X-Other": "a: b"},
    },
    "retry": {"max_attempts": 7},
    "overlap": "skip",
}  # fmt: skip


@pytest.fixture
def member(workspace: Workspace) -> Client:
    return signed_in(person("mara", workspace=workspace, role="owner"))


def overrides_of(job: Job, slug: str = "production") -> dict[str, Any]:
    environment = job.workspace.environments.get(slug=slug)
    return dict(config_of(job).get("overrides", {}).get(str(environment.pk), {}))


def override(workspace: Workspace, sparse: dict[str, Any]) -> Job:
    """A job that differs in production."""
    api = caller(workspace)
    made = {"name": "Job", "request": CALL, "environments": {"production": {"overrides": sparse}}}
    assert api.put("/api/v1/jobs/job/", made).status_code == 201
    return Job.objects.get(slug="job")


def test_overrides_are_entered_field_by_field(member: Client, workspace: Workspace) -> None:
    Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    job = override(workspace, {})
    typed = {
        "schedule": '{"every_seconds": 90}', "timezone": "Europe/Berlin", "method": "PUT",
        "url": "https://staging.example.com/{{job}}", "headers": "X-Other: a: b\r\nX-Place: staging",
        "body": "one\r\ntwo\r\n", "timeout_seconds": "2.5", "max_attempts": "7", "more": '{"overlap": "skip"}',
    }  # fmt: skip
    answer = save(member, job, **{f"overrides-staging-{field}": value for field, value in typed.items()})
    assert answer.status_code == 302
    body = {**OVERRIDES["request"], "body": "one\ntwo\n"}
    assert overrides_of(job, "staging") == {**OVERRIDES, "request": body}
    assert overrides_of(job) == {}
    sent = form_of(member, job)
    assert json.loads(sent["overrides-staging-more"]) == json.loads(typed.pop("more"))
    assert {field: sent[f"overrides-staging-{field}"] for field in typed} == typed


@pytest.mark.parametrize(
    "sparse",
    [
        OVERRIDES,
        {"schedule": None, "request": {"headers": {}, "body": None, "url": "https://other.example.com/"}},
        {"retry": {"max_attempts": 2, "backoff": "fixed"}, "success": {"statuses": ["204"]}, "starts_at": None},
    ],
)
def test_untouched_overrides_stay_unchanged(member: Client, workspace: Workspace, sparse: dict[str, Any]) -> None:
    job = override(workspace, sparse)
    before = overrides_of(job)
    assert save(member, job).status_code == 302
    assert JobVersion.objects.count() == 1
    assert save(member, job, **{"overrides-production-max_attempts": "9"}).status_code == 302
    after = {**before, "retry": {**before.get("retry", {}), "max_attempts": 9}}
    assert overrides_of(job) == after
    emptied = dict.fromkeys((name for name in form_of(member, job) if name.startswith("overrides-")), "")
    assert save(member, job, **emptied).status_code == 302
    assert overrides_of(job) == {}


@pytest.mark.parametrize(
    ("field", "typed", "expected"),
    [
        ("schedule", "every blue moon", ""),
        ("schedule", '{"every_seconds"', "Should be like"),
        ("timezone", "Europe/Atlantis", "Europe/Atlantis"),
        ("url", "nope", ""),
        ("headers", "no colon", "Name: value"),
        ("body", "{{secrets.NOBODY}}", "NOBODY"),
        ("timeout_seconds", "301", ""),
        ("max_attempts", "21", ""),
        ("more", '{"schedule": "\\u0000"}', "NUL characters"),
        ("more", '{"schedule": NaN}', "Invalid JSON"),
        ("more", '{"schedule": "0 1 * * *", "schedule": null}', "appears twice"),
        ("more", "1", "Should be a JSON object"),
        ("more", '{"request": 1}', "request: should be a JSON object"),
        ("more", '{"request": {"url": "nope"}}', "request.url"),
        ("more", '{"overlap": "never"}', "overlap"),
        ("more", '{"colour": "red"}', "colour"),
    ],
)
def test_an_override_error_is_beside_its_field(
    member: Client, make_job: MakeJob, field: str, typed: str, expected: str
) -> None:
    answer = save(member, make_job(request=CALL).job, **{f"overrides-production-{field}": typed})
    assert answer.status_code == 200
    form = answer.context["form"]
    assert (list(form.errors), list(form.overrides["production"].errors)) == ([], [field])
    assert expected in " ".join(form.overrides["production"].errors[field])
    assert f'href="#id_overrides-production-{field}"' in answer.content.decode()


def test_an_override_in_a_field_and_in_json_is_refused(member: Client, make_job: MakeJob) -> None:
    both = {"url": "https://other.example.com/", "more": '{"request": {"url": "https://another.example.com/"}}'}
    answer = save(
        member, make_job(request=CALL).job, **{f"overrides-production-{field}": value for field, value in both.items()}
    )
    assert answer.context["form"].overrides["production"].errors == {
        "more": ["request.url: has a field of its own above."]
    }
