"""Retry policies in the dashboard: the API's rules, within a person's workspaces."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Workspace
from accounts.services import create_workspace
from jobs.models import Job, JobVersion, RetryPolicy
from tests.support.admin_rows import person, signed_in
from tests.support.job_forms import form_of
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db

LIST, ADD = "admin:jobs_retrypolicy_changelist", "admin:jobs_retrypolicy_add"


@pytest.fixture
def member(workspace: Workspace) -> Client:
    return signed_in(person("mona", workspace=workspace))


def form(client: Client, url: str, **changes: Any) -> dict[str, Any]:
    """Return what a browser would send of a policy's unchanged form, with these fields changed."""
    shown = client.get(url).context["adminform"].form
    values = {name: shown[name].value() for name in shown.fields}
    spelled = {name: ",".join(map(str, value)) if isinstance(value, list) else value for name, value in values.items()}
    return {name: value for name, value in {**spelled, **changes}.items() if value not in (None, False)}


@pytest.fixture
def patient(member: Client) -> RetryPolicy:
    answer = member.post(reverse(ADD), form(member, reverse(ADD), name="Patient", slug="patient", max_attempts=8))
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    return RetryPolicy.objects.get()


def test_a_policy_starts_with_the_apis_defaults(patient: RetryPolicy) -> None:
    assert (patient.slug, patient.max_attempts, patient.backoff) == ("patient", 8, "exponential")
    assert patient.on_statuses == [429, 500, 502, 503, 504]
    assert (patient.on_timeout, patient.on_assertion) == (True, False)


def test_a_validation_error_is_beside_its_field(member: Client) -> None:
    wrong = form(member, reverse(ADD), name="x", slug="x", max_attempts=21, backoff="list")
    answer: Any = member.post(reverse(ADD), wrong)
    assert answer.status_code == 200
    assert list(answer.context["adminform"].form.errors) == ["max_attempts"]
    assert not RetryPolicy.objects.exists()


def test_a_job_selects_a_policy_in_its_form_and_follows_its_changes(
    member: Client, patient: RetryPolicy, make_job: MakeJob
) -> None:
    row = make_job(request={"url": "https://api.example.com/"})
    edit = reverse("admin:jobs_job_change", args=[row.job_id])
    assert member.post(edit, {**form_of(member, row.job), "policy": "patient"}).status_code == 302
    assert member.post(edit, form_of(member, Job.objects.get())).status_code == 302
    retry = JobVersion.objects.latest("number").config["retry"]
    assert (retry["policy"], retry["max_attempts"], JobVersion.objects.count()) == ("patient", 8, 2)
    change = reverse("admin:jobs_retrypolicy_change", args=[patient.pk])
    assert member.post(change, form(member, change, max_attempts=4)).status_code == 302
    assert JobVersion.objects.latest("number").config["retry"]["max_attempts"] == 4
    delete = reverse("admin:jobs_retrypolicy_delete", args=[patient.pk])
    member.post(delete, {"post": "yes"})
    assert RetryPolicy.objects.exists()
    Job.objects.update(retry_policy=None)
    member.post(delete, {"post": "yes"})
    assert not RetryPolicy.objects.exists()


def test_only_policies_of_my_workspaces_are_shown(workspace: Workspace, patient: RetryPolicy) -> None:
    stranger = signed_in(person("sam", workspace=create_workspace(slug="other", name="Other")))
    assert "Patient" not in stranger.get(reverse(LIST)).content.decode()
    assert stranger.get(reverse("admin:jobs_retrypolicy_change", args=[patient.pk])).status_code == 404
    viewer = signed_in(person("vera", workspace=workspace, role="viewer"))
    assert viewer.get(reverse(ADD)).status_code == 403
    change = reverse("admin:jobs_retrypolicy_change", args=[patient.pk])
    assert viewer.post(change, {"name": "x"}).status_code == 403
