"""A workflow on its execution's page: steps in order, what waits, results, retries and cancels."""

import re
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from runs.models import Execution, StepState
from runs.workflows.resume_urls import resume_url
from tests.support.admin_rows import HOSTILE
from tests.support.dashboard_pages import queries_of, text_of, words_of
from tests.support.workflows import StartWorkflow, Worker, pass_time, step, wake

pytestmark = pytest.mark.django_db(transaction=True)
NEVER = [{"value": "{{input.mode}}", "op": "equals", "to": "full"}]


def page_of(client: Client, execution: Execution) -> str:
    return text_of(client, reverse("admin:runs_execution_change", args=[execution.pk]))


def card_of(page: str, name: str) -> str:
    return page.partition(f'id="part-step-{name}"')[2].partition("</section>\n")[0]


def rows_of(page: str) -> list[str]:
    """The rows of the timeline, in words."""
    table = page.partition('<table class="hh-waterfall">')[2].partition("</table>")[0]
    return [words_of(row) for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)[1:]]


def test_steps_are_in_order_with_calls_waits_and_why_one_was_skipped(
    member: Client, start: StartWorkflow, worker: Worker
) -> None:
    execution = start(
        step("create"), step("extra", **{"if": NEVER}), step("cool", "delay", seconds=60), step("send"),
        finally_steps=[step("clean")],
    )  # fmt: skip
    worker.run()
    page = page_of(member, execution)
    rows = rows_of(page)
    assert [row.split()[0] for row in rows] == ["create", "extra", "cool", "send", "Finally", "clean"]
    assert "Succeeded" in rows[0]
    assert "Skipped" in rows[1]
    assert '{{input.mode}} equals "full" does not hold' in rows[1]
    assert "Waiting" in rows[2]
    assert "Not reached yet" in rows[3]
    assert "hh-phase-parked" in page
    assert "2 of 4 steps ended" in words_of(page)
    assert "cool: Delay" in words_of(page)
    assert " style=" not in page.partition('id="part-head"')[2]


def test_a_step_shows_its_last_call_and_links_the_others(member: Client, start: StartWorkflow, worker: Worker) -> None:
    worker.answers["create"] = (503, {"error": "later"})
    execution = start(step("create", retry={"max_attempts": 3, "delay_ms": 0, "backoff": "fixed", "jitter": False}))
    worker.run()
    page = page_of(member, execution)
    card = card_of(page, "create")
    assert card.count('<tr><td data-label="Call">') == 3
    assert page.count("Show as curl command") == 1
    for run in execution.runs.all():
        assert reverse("admin:runs_run_change", args=[run.pk]) in page


def test_results_are_shown_and_secret_ones_are_hidden(member: Client, start: StartWorkflow, worker: Worker) -> None:
    worker.answers["create"] = (200, {"id": 17, "token": "tok-12345-secret", "name": HOSTILE})
    extract = {"order": "$.id", "token": {"path": "$.token", "secret": True}, "name": "$.name"}
    execution = start(
        step("create", extract=extract),
        step("ok", "approval", message="Use {{steps.create.token}} for {{steps.create.order}}?"),
    )
    worker.run()
    page = page_of(member, execution)
    assert HOSTILE not in page
    assert "tok-12345-secret" not in page
    words = words_of(card_of(page, "create"))
    assert "order 17" in words
    assert "token hidden" in words
    assert "for 17?" in words_of(page)
    assert "tok-12345-secret" not in StepState.objects.get(step="ok").message


def test_a_webhook_shows_its_url_to_writers_only(
    member: Client, viewer: Client, start: StartWorkflow, worker: Worker
) -> None:
    execution = start(step("create"), step("paid", "webhook"))
    worker.run()
    url = resume_url(execution.pk, 1)
    page = page_of(member, execution)
    assert url in page
    assert 'data-copies="resume-url"' in page
    assert "paid: Waits for a request until" in words_of(page)
    hidden = page_of(viewer, execution)
    assert url.rpartition("/")[2] not in hidden
    assert "Only people who may change the job see its URL." in hidden


def test_a_poll_shows_its_next_call(member: Client, start: StartWorkflow, worker: Worker) -> None:
    until = [{"type": "json_path_equals", "path": "$.state", "value": "done"}]
    worker.answers["check"] = (200, {"state": "busy"})
    execution = start(step("check", poll={"until": until, "every_seconds": 600, "timeout_seconds": 7200}))
    worker.run()
    words = words_of(page_of(member, execution))
    assert "check : polls" in words
    assert "Next call" in words
    assert "in 9 min" in words
    assert "in 1 h 59 min" in words


def test_a_failed_workflow_is_retried_from_the_failed_step_or_another(
    member: Client, start: StartWorkflow, worker: Worker
) -> None:
    worker.answers["send"] = (400, {})
    execution = start(step("create"), step("send"), step("last"))
    worker.run()
    page = page_of(member, execution)
    assert "Retry from send" in words_of(page)
    offered = re.findall(r'name="from" value="(\w+)"', page)
    assert offered == ["create", "send"]
    url = reverse("admin:runs_execution_retry", args=[execution.pk])
    member.post(url)
    first = Execution.objects.get(trigger="retry")
    shown = page_of(member, first)
    assert f"{reverse('admin:runs_execution_change', args=[execution.pk])}#step-create" in shown
    assert "from an earlier execution" in rows_of(shown)[0]
    member.post(url, {"from": "create"})
    second = Execution.objects.filter(trigger="retry").exclude(pk=first.pk).get()
    assert not second.steps.exists()
    answer = member.post(url, {"from": "last"})
    assert "did not get to last" in str(list(get_messages(answer.wsgi_request))[-1])


def test_canceling_a_waiting_one_says_that_finally_runs(member: Client, start: StartWorkflow, worker: Worker) -> None:
    execution = start(step("create"), step("paid", "webhook"), finally_steps=[step("clean")])
    worker.run()
    assert "The steps in finally run first" in words_of(page_of(member, execution))
    answer = member.post(reverse("admin:runs_execution_cancel", args=[execution.pk]))
    assert "Its finally steps run now." in str(list(get_messages(answer.wsgi_request))[-1])
    assert "The steps in finally run now" in words_of(page_of(member, execution))
    assert worker.run() == ["clean"]
    page = page_of(member, execution)
    assert "data-refreshes" not in page
    assert "data-final" in page
    assert "Canceled" in rows_of(page)[1]


def test_an_early_request_is_shown_before_its_step(
    member: Client, start: StartWorkflow, worker: Worker, workspace: Any
) -> None:
    execution = start(step("create"), step("paid", "webhook"))
    StepState.objects.create(
        workspace=workspace, execution=execution, step="paid", type="webhook", status="pending",
        output={"status": "received", "headers": {}, "body": '{"paid":true}'}, resolved_how="request",
    )  # fmt: skip
    page = page_of(member, execution)
    assert "Request received early" in page
    worker.run()
    assert "its request came before the step was reached" in words_of(card_of(page_of(member, execution), "paid"))


def test_more_steps_and_calls_need_no_more_queries(member: Client, start: StartWorkflow, worker: Worker) -> None:
    few = start(step("a"), step("ok", "approval"), slug="few")
    many = start(*(step(f"s{number}") for number in range(12)), step("ok", "approval"), slug="many")
    worker.run()
    url = "admin:runs_execution_change"
    assert queries_of(member, reverse(url, args=[many.pk])) == queries_of(member, reverse(url, args=[few.pk]))


def test_the_list_says_what_an_execution_waits_for(member: Client, start: StartWorkflow, worker: Worker) -> None:
    start(step("paid", "webhook"))
    worker.run()
    words = words_of(text_of(member, reverse("admin:runs_execution_changelist") + "?status=waiting"))
    assert "paid: Waits for a request until" in words
    pass_time(hours=2)
    wake()
    worker.run()
    assert "Nobody called" in words_of(text_of(member, reverse("admin:runs_execution_changelist")))
