"""Pages of workflows: their steps in words, their versions and executions."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from accounts.actors import SYSTEM, Actor
from accounts.models import Workspace
from jobs.models import Job
from jobs.services.save import save_job
from runs.executions.services import run_now
from runs.retention.wipe import wipe
from tests.support.admin_rows import person, signed_in
from tests.support.api_caller import JOB, caller
from tests.support.jobs import EPOCH
from tests.support.workflow_jobs import every_kind_of_step, http_step, stored_definition, workflow_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(workspace: Workspace) -> Job:
    config = stored_definition(every_kind_of_step(), workspace)
    return save_job(workspace=workspace, job=None, slug=None, config=config, environments=None, actor=SYSTEM, now=EPOCH)


@pytest.fixture
def browser(workspace: Workspace) -> Client:
    return signed_in(person("olga", workspace=workspace))


def test_the_page_draws_the_steps_and_offers_no_call(browser: Client, job: Job) -> None:
    page = browser.get(reverse("admin:jobs_job_page", args=[job.pk])).content.decode()
    for line in (
        "POST http://receiver.test/ok",
        "again every 5 s until",
        "Wait 10 min",
        "Wait for a request",
        "taken if {{body.order}} exists",
        "at most 7 d, then the workflow goes on",
        "Approval by role:admin",
        "asks Send {{steps.create.n}} mails?",
        "at most 1 d, then it is rejected",
        "DELETE http://receiver.test/ok/",
        "1 d for the whole workflow",
    ):
        assert line in page
    assert "Test call" not in page


def test_the_list_names_the_kind(browser: Client, job: Job) -> None:
    url = reverse("admin:jobs_job_changelist")
    for query, is_listed in (("", True), ("?kind=workflow", True), ("?kind=http", False)):
        page = browser.get(f"{url}{query}").content.decode()
        assert ("Workflow</" in page.partition("<table")[2]) == is_listed, query


def test_a_retry_policy_counts_the_workflows_that_use_it(browser: Client, workspace: Workspace) -> None:
    api = caller(workspace)
    api.ask("POST", "/retry-policies/", {"slug": "patient", "name": "Patient"}, expect=201)
    retry = {"retry": {"policy": "patient"}}
    api.ask("POST", "/jobs/", {**JOB, **retry}, expect=201)
    api.ask("POST", "/jobs/", workflow_job(http_step("a", **retry), http_step("b", **retry)), expect=201)
    page = browser.get(reverse("admin:jobs_retrypolicy_changelist")).content.decode()
    assert ">2<" in re.sub(r"\s", "", page)
    owner = Actor.of_user(person("olaf", workspace=workspace, role="owner"))
    wipe(workspace=workspace, confirm=workspace.slug, actor=owner, now=EPOCH)
    assert Job.objects.filter(step_policies=[]).count() == Job.objects.count()


def test_versions_are_compared_step_by_step(browser: Client, job: Job, workspace: Workspace) -> None:
    sent = every_kind_of_step()
    steps = sent["workflow"]["steps"]
    steps[0]["request"]["timeout_seconds"] = 77
    steps[0]["if"] = []
    del steps[1]
    config = stored_definition(sent, workspace)
    save_job(workspace=workspace, job=job, slug=None, config=config, environments=None, actor=SYSTEM, now=EPOCH)
    page = browser.get(reverse("admin:jobs_job_versions", args=[job.pk])).content.decode()
    for words in ("Step create: Timeout", "77", "Step create: If", "{{input.mode}} equals", "Step cool", "wait 10 min"):
        assert words in page


def test_an_execution_has_a_page_and_no_edited_replay(browser: Client, job: Job) -> None:
    execution = run_now(job_environment=job.job_environments.get(), actor=SYSTEM, now=EPOCH)
    page = browser.get(reverse("admin:runs_execution_change", args=[execution.pk])).content.decode()
    assert "Edit and replay" not in page
    assert browser.get(reverse("admin:runs_execution_edit", args=[execution.pk])).status_code == 302
    assert browser.get(reverse("admin:runs_execution_changelist")).status_code == 200
