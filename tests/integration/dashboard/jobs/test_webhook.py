"""A webhook in the dashboard: its form keeps what the API keeps, and the job's page shows the URL to those who may."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.actors import SYSTEM
from accounts.models import Workspace
from accounts.secrets import create_secret
from jobs.models import Job
from jobs.services.webhooks import webhook_path
from tests.support.admin_rows import person, signed_in
from tests.support.job_forms import config_of, save
from tests.support.jobs import EPOCH, MakeJob

pytestmark = pytest.mark.django_db
WEBHOOK: dict[str, Any] = {
    "webhook_enabled": "on", "webhook_preset": "github", "webhook_secret": "{{secrets.HOOK}}",
    "webhook_headers": "X-GitHub-Event", "conditions-TOTAL_FORMS": "3", "conditions-INITIAL_FORMS": "0",
    "conditions-0-value": "{{input.n}}", "conditions-0-op": "gt", "conditions-0-to": "5",
    "conditions-1-value": "{{input.ref}}", "conditions-1-op": "in", "conditions-1-to": "main, release",
    "conditions-2-value": "{{input.dry}}", "conditions-2-op": "not_exists", "conditions-2-to": "",
}  # fmt: skip


@pytest.fixture
def member(workspace: Workspace) -> Client:
    create_secret(workspace=workspace, environment=None, name="HOOK", value="a long secret", actor=SYSTEM, now=EPOCH)
    return signed_in(person("olga", workspace=workspace))


def page_of(client: Client, job: Job) -> str:
    return client.get(reverse("admin:jobs_job_page", args=[job.pk])).content.decode()


def test_the_form_keeps_a_webhook_and_saving_it_again_changes_nothing(member: Client, make_job: MakeJob) -> None:
    job = make_job(slug="deploy").job
    assert save(member, job, **WEBHOOK).status_code == 302
    stored = config_of(job)["webhook"]
    assert stored == {
        "enabled": True,
        "verify": {"preset": "github", "secret": "{{secrets.HOOK}}", "header": None},
        "headers": ["X-GitHub-Event"],
        "if": [
            {"value": "{{input.n}}", "op": "gt", "to": 5},
            {"value": "{{input.ref}}", "op": "in", "to": ["main", "release"]},
            {"value": "{{input.dry}}", "op": "not_exists"},
        ],
    }
    save(member, job)
    assert job.versions.count() == 2
    assert save(member, job, **{"conditions-0-DELETE": "on"}).status_code == 302
    assert config_of(job)["webhook"]["if"] == stored["if"][1:]


def test_an_error_of_a_condition_stands_in_its_row(member: Client, make_job: MakeJob) -> None:
    answer = save(member, make_job().job, **{**WEBHOOK, "conditions-1-value": "{{input.ref"})
    rows = answer.context["form"].conditions.forms
    assert [list(row.errors) for row in rows] == [[], ["value"], []]


def test_the_url_is_shown_to_those_who_may_change_the_job_and_rotated(
    member: Client, make_job: MakeJob, workspace: Workspace
) -> None:
    job = make_job(slug="deploy").job
    assert 'id="webhook"' not in page_of(member, job)
    save(member, job, **WEBHOOK)
    assert webhook_path(job) in page_of(member, job)
    viewer = signed_in(person("vera", workspace=workspace, role="viewer"))
    assert webhook_path(job) not in page_of(viewer, job)
    address = reverse("admin:jobs_job_rotate_webhook", args=[job.pk])
    assert viewer.post(address, {"overlap_hours": "1"}).status_code == 403
    assert member.post(address, {"overlap_hours": "1"}).status_code == 302
    job.refresh_from_db()
    assert job.webhook_number == 2
    assert webhook_path(job) in page_of(member, job)
