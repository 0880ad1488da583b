"""A workflow on its job's page: the flow with its overrides, and what pausing and deleting leave alone."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dashboard.workflows.waiting import count_waiting
from jobs.models import JobVersion
from runs.models import Execution
from tests.support.dashboard_pages import queries_of, text_of, words_of
from tests.support.explain_plans import QueryCost
from tests.support.seeded_history import seed_executions, seed_jobs
from tests.support.workflows import StartWorkflow, Worker, step

pytestmark = pytest.mark.django_db(transaction=True)


def page_of(client: Client, execution: Execution) -> str:
    return text_of(client, reverse("admin:jobs_job_page", args=[execution.job_id]))


def test_the_flow_has_conditions_waits_and_overrides(member: Client, start: StartWorkflow) -> None:
    only_full = [{"value": "{{input.mode}}", "op": "equals", "to": "full"}]
    execution = start(
        step("create", on_failure="continue"), step("extra", **{"if": only_full}), step("paid", "webhook"),
        finally_steps=[step("clean")],
    )  # fmt: skip
    version = JobVersion.objects.get(job=execution.job_id)
    overrides = {str(execution.environment_id): {"workflow": {"steps": {"create": {"retry": {"max_attempts": 2}}}}}}
    version.config = {**version.config, "overrides": overrides}
    version.save(update_fields=["config"])
    page = page_of(member, execution)
    flow = words_of(page.partition('aria-labelledby="flow"')[2].partition("</section>")[0])
    assert "create HTTP call overridden in production Post" not in flow
    for words in (
        "create HTTP call overridden in production POST http://receiver.test/create",
        "the workflow goes on if it fails", 'only if {{input.mode}} equals "full"', "paid Webhook Wait for a request",
        "Finally after success, failure, cancel and timeout link clean",
    ):  # fmt: skip
        assert words.replace(" link ", " ") in flow.replace(" http ", " ").replace(" webhook ", " ")
    assert " style=" not in page.partition('id="flow"')[2].partition("</section>")[0]


def test_pausing_and_deleting_say_what_is_left_alone(member: Client, start: StartWorkflow, worker: Worker) -> None:
    execution = start(step("paid", "webhook"))
    confirm = reverse("admin:jobs_job_delete", args=[execution.job_id])
    assert "for something" not in text_of(member, confirm)
    worker.run()
    assert "1 execution waits" in words_of(page_of(member, execution))
    assert "1 execution waits for something. A pause changes nothing about that." in page_of(member, execution)
    answer = member.post(reverse("admin:jobs_job_pause", args=[execution.job_id]), {"environment": "production"})
    assert "1 execution waits for something" in str(list(get_messages(answer.wsgi_request))[-1])
    assert "1 execution waits for something. What a workflow has begun is left alone" in words_of(
        text_of(member, confirm)
    )
    member.post(reverse("admin:runs_execution_delete_job", args=[execution.job_id]))
    execution.refresh_from_db()
    assert execution.status == "waiting"


def test_more_steps_need_no_more_queries(member: Client, start: StartWorkflow) -> None:
    few = start(step("a"), slug="few")
    many = start(*(step(f"s{number}") for number in range(12)), slug="many")
    counts = [queries_of(member, reverse("admin:jobs_job_page", args=[each.job_id])) for each in (many, few)]
    assert counts[0] == counts[1]


def test_counting_what_waits_reads_only_that(fresh_tables: Any, django_db_blocker: Any) -> None:
    seeded = seed_jobs(jobs=4)
    seed_executions(20_000, runs=False)
    job = seeded.workspace.jobs.first()
    with CaptureQueriesContext(connection) as captured:
        assert count_waiting(job) == 0
    cost = QueryCost.of(captured[0]["sql"])
    assert "runs_execution" not in cost.scanned_whole
    assert cost.read.get("runs_execution", 0) <= 1
