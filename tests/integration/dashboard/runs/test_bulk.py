"""Bulk operations in the dashboard: permissions, cancel, and operations from selected executions."""

import datetime
import html
import re
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.actors import Actor
from accounts.models import AuditEntry, Workspace
from accounts.services import create_workspace
from jobs.models import JobEnvironment, JobVersion
from runs.executions.bulk import start_bulk, work_off
from runs.history.filters import HistoryFilter
from runs.models import BulkOperation, Execution, StepState
from tests.support.admin_rows import HOSTILE, admin_action, execution_of, person, signed_in
from tests.support.api_caller import NOW
from tests.support.jobs import MakeJob
from tests.support.quotas import stop_workspace
from tests.support.workflows import step, workflow_config

pytestmark = pytest.mark.django_db
LIST = "admin:runs_bulkoperation_changelist"
EXECUTIONS = "admin:runs_execution_changelist"


@pytest.fixture
def member(workspace: Workspace) -> Client:
    return signed_in(person("mara", workspace=workspace))


@pytest.fixture
def viewer(workspace: Workspace) -> Client:
    return signed_in(person("vera", workspace=workspace, role="viewer"))


def operation(row: JobEnvironment, **changes: Any) -> BulkOperation:
    user = person(f"asker-{BulkOperation.objects.count()}")
    return start_bulk(
        **{
            "criteria": HistoryFilter(workspace=row.workspace),
            "kind": "replay",
            "filter_as_sent": {"search": HOSTILE, "status": ["failed"]},
            "limit": 100,
            "rate_per_second": 1,
            "now": NOW,
            "actor": Actor.of_user(user),
            **changes,
        }
    )


def messages_of(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def test_the_list_shows_kind_actor_and_progress(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    for _ in range(7):
        execution_of(row)
    operation(row)
    work_off(NOW)
    text = member.get(reverse(LIST)).content.decode()
    for expected in ("Replay", "asker-0", "5 of 7", "Running", "1 per second", html.escape(HOSTILE)):
        assert expected in text, expected
    assert HOSTILE not in text


def test_a_list_of_large_operations_reads_no_ids_and_counts_nothing(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    execution_of(row)
    operation(row)
    with CaptureQueriesContext(connection) as few:
        member.get(reverse(LIST))
    for _ in range(10):
        operation(row)
    with CaptureQueriesContext(connection) as many:
        member.get(reverse(LIST))
    assert len(many) == len(few)
    asked = [query["sql"] for query in many if "runs_bulkoperation" in query["sql"]]
    assert not [sql for sql in asked if "COUNT(" in sql.upper() or '."execution_ids", "runs_bulkoperation"' in sql]


def test_the_list_is_filtered_by_kind_and_state(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    execution_of(row)
    found = operation(row)
    for query, shown in (
        ("kind=replay", True), ("kind=cancel", False), ("state=running&kind=replay", True), ("state=completed", False),
        ("state=nonsense", False),
    ):  # fmt: skip
        assert (str(found.pk) in member.get(f"{reverse(LIST)}?{query}").content.decode()) is shown, query


def test_its_page_shows_it_and_a_button_cancels_it(member: Client, viewer: Client, make_job: MakeJob) -> None:
    row = make_job()
    executions = [execution_of(row) for _ in range(3)]
    found = operation(row)
    page = reverse("admin:runs_bulkoperation_change", args=[found.pk])
    button = reverse("admin:runs_bulkoperation_cancel", args=[found.pk])
    text = member.get(page).content.decode()
    assert all(str(one.pk) in text for one in executions)
    assert HOSTILE not in text
    assert button in text
    assert button not in viewer.get(page).content.decode()
    assert viewer.post(button).status_code == 403
    assert "What it has done stays" in messages_of(member.post(button))
    found.refresh_from_db()
    assert found.state == "canceled"
    assert "only one that is running" in messages_of(member.post(button))
    entry = AuditEntry.objects.get(action="bulk_operation.canceled")
    assert (entry.actor_label, entry.target_id) == ("mara", str(found.pk))


def test_another_workspaces_operation_is_not_found(make_job: MakeJob) -> None:
    row = make_job()
    execution_of(row)
    found = operation(row)
    stranger = signed_in(person("sam", workspace=create_workspace(slug="stranger", name="Stranger"), role="owner"))
    assert stranger.get(reverse("admin:runs_bulkoperation_change", args=[found.pk])).status_code == 404
    assert stranger.post(reverse("admin:runs_bulkoperation_cancel", args=[found.pk])).status_code == 404
    assert str(found.pk) not in stranger.get(reverse(LIST)).content.decode()


def select(client: Client, kind: str, executions: list[Execution], query: str = "", **fields: Any) -> Any:
    return admin_action(client, "runs_execution", kind, [one.pk for one in executions], query=query, **fields)


def test_selected_executions_are_counted_before_confirmation(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    executions = [execution_of(row), execution_of(row, status="failed"), execution_of(row, status="pending")]
    text = select(member, "replay", executions, "?status=failed").content.decode()
    assert "3 executions selected; 2 finished, which can be replayed" in text
    assert f'href="{reverse(EXECUTIONS)}?status=failed"' in text
    assert "1 unfinished, which can be canceled" in select(member, "cancel", executions).content.decode()
    assert (
        "3 executions selected; 1 failed, which can be retried" in select(member, "retry", executions).content.decode()
    )
    assert not BulkOperation.objects.exists()


def test_the_list_has_checkboxes_and_a_button_per_action(member: Client, make_job: MakeJob) -> None:
    execution = execution_of(make_job())
    text = member.get(reverse(EXECUTIONS)).content.decode()
    assert f'name="_selected_action" value="{execution.pk}"' in text
    assert re.findall(r'name="action" value="(\w+)"', text) == ["replay_selected", "retry_selected", "cancel_selected"]
    assert "select_across" not in text


def test_an_empty_selection_returns_to_the_same_list(member: Client, make_job: MakeJob) -> None:
    ended = execution_of(make_job())
    answer = select(member, "replay", [], "?status=failed")
    assert "Items must be selected" in messages_of(answer)
    assert answer.headers["Location"] == f"{reverse(EXECUTIONS)}?status=failed"
    assert "No action selected" in messages_of(select(member, "purge", [ended]))
    assert "No action selected" in messages_of(select(member, "delete", [ended]))


def test_executions_beyond_the_selected_ones_are_out_of_reach(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    selected = execution_of(row)
    execution_of(row)
    select(member, "replay", [selected], select_across="1", confirmed=True)
    assert BulkOperation.objects.get().execution_ids == [selected.pk]


@pytest.mark.parametrize(("kind", "config", "matched"), [("replay", "original", 2), ("cancel", "", 1)])
def test_a_confirmed_selection_becomes_an_operation(
    member: Client, make_job: MakeJob, kind: str, config: str, matched: int
) -> None:
    row = make_job()
    executions = [execution_of(row), execution_of(row, status="failed"), execution_of(row, status="pending")]
    answer = select(member, kind, executions, config=config, confirmed=True)
    found = BulkOperation.objects.get()
    assert answer.headers["Location"] == reverse("admin:runs_bulkoperation_change", args=[found.pk])
    assert (found.kind, len(found.execution_ids), found.asked_by) == (kind, matched, "mara")
    assert found.original_config is (config == "original")
    entry = AuditEntry.objects.get(action="bulk_operation.created")
    assert entry.changes["matched"] == [None, matched]
    assert entry.changes["filter"] == [None, {"selected": matched}]
    work_off(datetime.datetime.now(datetime.UTC))
    changed = (
        Execution.objects.filter(trigger="replay") if kind == "replay" else Execution.objects.filter(status="canceled")
    )
    assert changed.count() == matched


@pytest.mark.parametrize(
    ("button", "carried"), [("failed", ["first"]), ("start", []), ("", ["first"]), ("second", ["first"])]
)
def test_failed_executions_are_retried_from_where_the_button_says(
    member: Client, make_job: MakeJob, button: str, carried: list[str]
) -> None:
    plain, workflow = make_job(slug="plain"), make_job(slug="workflow")
    JobVersion.objects.filter(job=workflow.job).update(config=workflow_config(step("first"), step("second")))
    failed = [execution_of(plain, status="failed"), execution_of(workflow, status="failed", step="second")]
    for name, status in (("first", "succeeded"), ("second", "failed")):
        StepState.objects.create(
            workspace=workflow.workspace, execution=failed[1], step=name, number=1, type="http", status=status,
            finished_at=failed[1].finished_at,
        )  # fmt: skip
    confirmation = select(member, "retry", [*failed, execution_of(plain)]).content.decode()
    assert re.findall(r'name="from" value="(\w+)"', confirmation) == ["failed", "start"]
    answer = select(
        member, "retry", [*failed, execution_of(plain)], confirmed=True, **{"from": button} if button else {}
    )
    page = member.get(answer.headers["Location"]).content.decode()
    assert ("the start" if button == "start" else "the failed step") in page
    work_off(datetime.datetime.now(datetime.UTC))
    retries = Execution.objects.filter(trigger="retry")
    assert {retry.replay_of_id for retry in retries} == {execution.pk for execution in failed}
    assert list(StepState.objects.filter(execution__in=retries).values_list("step", flat=True)) == carried


def test_a_selection_without_eligible_executions_makes_no_operation(member: Client, make_job: MakeJob) -> None:
    ended = execution_of(make_job())
    assert "nothing to cancel" in messages_of(select(member, "cancel", [ended], confirmed=True))
    assert "has failed: nothing to retry" in messages_of(select(member, "retry", [ended], confirmed=True))
    nonsense = admin_action(member, "runs_execution", "replay", ["no id"], confirmed=True)
    assert nonsense.status_code == 404
    assert not BulkOperation.objects.exists()


def test_who_starts_an_operation_in_a_stopped_workspace_is_told_why_not(
    member: Client, workspace: Workspace, make_job: MakeJob
) -> None:
    ended = execution_of(make_job(), status="failed")
    stop_workspace(workspace)
    for kind in ("replay", "retry"):
        answer = select(member, kind, [ended], "?status=failed", confirmed=True)
        assert answer.headers["Location"] == f"{reverse(EXECUTIONS)}?status=failed"
        assert "The next month begins on" in messages_of(answer)
    assert not BulkOperation.objects.exists()


def test_a_viewer_can_not_select(viewer: Client, make_job: MakeJob) -> None:
    ended = execution_of(make_job())
    text = viewer.get(reverse(EXECUTIONS)).content.decode()
    assert str(ended.pk) in text
    assert "_selected_action" not in text
    assert 'name="action"' not in text
    assert select(viewer, "replay", [ended]).status_code == 403
    assert select(viewer, "replay", [ended], confirmed=True).status_code == 403
    assert select(viewer, "retry", [ended], confirmed=True).status_code == 403
    assert not BulkOperation.objects.exists()


def test_executions_of_other_workspaces_can_not_be_selected(make_job: MakeJob) -> None:
    ended = execution_of(make_job())
    stranger = signed_in(person("sam", workspace=create_workspace(slug="stranger", name="Stranger"), role="owner"))
    assert "No execution is selected" in messages_of(select(stranger, "replay", [ended]))
    select(stranger, "replay", [ended], confirmed=True)
    assert not BulkOperation.objects.exists()
