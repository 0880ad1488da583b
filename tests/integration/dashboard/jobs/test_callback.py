"""A callback in the dashboard: the form keeps what the API keeps, environments override it, pages show it."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Environment, Workspace
from jobs.definition.callback import default_callback
from jobs.models import Job
from tests.support.admin_rows import person, signed_in
from tests.support.job_forms import config_of, form_of, save
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
URL, OTHER = "https://example.com/finished", "https://example.com/other"
CALLBACK: dict[str, Any] = {"callback_url": URL, "callback_on": ["failed", "skipped"], "callback_include_body": "on"}


@pytest.fixture
def member(workspace: Workspace) -> Client:
    Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    return signed_in(person("olga", workspace=workspace))


def page_of(client: Client, job: Job) -> str:
    return client.get(reverse("admin:jobs_job_page", args=[job.pk])).content.decode()


def test_the_form_keeps_a_callback_and_saving_it_again_changes_nothing(member: Client, make_job: MakeJob) -> None:
    job = make_job().job
    assert save(member, job, **CALLBACK).status_code == 302
    assert config_of(job)["callback"] == {"url": URL, "on": ["failed", "skipped"], "include_body": True}
    save(member, job)
    assert job.versions.count() == 2
    assert URL in page_of(member, job)
    save(member, job, callback_url="")
    assert "callback" not in config_of(job)
    assert "after executions that are" not in page_of(member, job)


def test_a_form_without_a_callback_offers_the_usual_endings(member: Client, make_job: MakeJob) -> None:
    job = make_job().job
    assert form_of(member, job)["callback_on"] == ["succeeded", "failed", "canceled"]
    save(member, job, callback_url=URL)
    assert config_of(job)["callback"] == default_callback(URL)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"callback_url": "nope"}, "callback_url"), ({"callback_url": URL, "callback_on": []}, "callback_on")],
)
def test_an_error_is_beside_its_field(member: Client, make_job: MakeJob, changes: dict[str, Any], field: str) -> None:
    answer = save(member, make_job().job, **changes)
    assert answer.status_code == 200
    assert set(answer.context["form"].errors) == {field}


def test_an_environment_overrides_it_by_its_url_or_in_json(
    member: Client, make_job: MakeJob, workspace: Workspace
) -> None:
    job = make_job(callback=default_callback(URL)).job
    staging = str(workspace.environments.get(slug="staging").pk)

    def overridden(**fields: Any) -> Any:
        answer = save(member, job, **{f"overrides-staging-{name}": value for name, value in fields.items()})
        assert answer.status_code == 302, answer.context["form"].overrides["staging"].errors
        return config_of(job).get("overrides", {}).get(staging)

    assert overridden(callback_url=OTHER) == {"callback": default_callback(OTHER)}
    assert form_of(member, job)["overrides-staging-callback_url"] == OTHER
    assert overridden(callback_url="") is None
    assert overridden(more='{"callback": null}') == {"callback": None}
    own = {"url": OTHER, "on": ["failed"], "include_body": True}
    assert overridden(more=json.dumps({"callback": own})) == {"callback": own}
    shown = form_of(member, job)
    assert shown["overrides-staging-callback_url"] == ""
    assert json.loads(shown["overrides-staging-more"]) == {"callback": own}
    assert OTHER in page_of(member, job)
    versions = job.versions.count()
    save(member, job)
    assert job.versions.count() == versions


def test_a_url_in_a_field_and_null_in_json_is_refused(member: Client, make_job: MakeJob) -> None:
    both = {"overrides-staging-callback_url": OTHER, "overrides-staging-more": '{"callback": null}'}
    answer = save(member, make_job().job, **both)
    assert answer.context["form"].overrides["staging"].errors["more"]
