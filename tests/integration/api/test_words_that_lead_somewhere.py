"""Document, filters and menus offer exactly the values that can occur."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from accounts.models import Workspace
from api.base.document import document
from runs import failures, states
from runs.failures import FailureReason
from tests.support.admin_rows import person, signed_in
from tests.support.api_caller import Caller, caller, make_execution, make_run
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
#: Values of later releases.
TO_COME = {"command", "heartbeat", "nonzero_exit", "agent_lost"}


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def choices(node: Any, path: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Yield every enumeration in the document, by its path."""
    if isinstance(node, dict):
        if isinstance(node.get("enum"), list):
            yield path, node["enum"]
        for name, inner in node.items():
            yield from choices(inner, f"{path}/{name}")
    elif isinstance(node, list):
        for place, inner in enumerate(node):
            yield from choices(inner, f"{path}/{place}")


def test_the_document_offers_no_unimplemented_value() -> None:
    known = list(choices(document()))
    assert len(known) > 20
    offered = {path: TO_COME & {value for value in values if isinstance(value, str)} for path, values in known}
    assert not {path: values for path, values in offered.items() if values}


def test_a_run_is_never_documented_as_running() -> None:
    schemas = document()["components"]["schemas"]
    assert schemas["RunStatusEnum"]["enum"] == ["succeeded", "failed", "canceled"]
    assert "running" in schemas["ExecutionStatusEnum"]["enum"]


@pytest.mark.parametrize(
    ("path", "name", "values"),
    [
        ("/runs/", "status", ["running", "waiting", "pending", "skipped"]),
        ("/runs/", "trigger", ["agent"]),
        ("/runs/", "failure_reason", ["nonzero_exit", "agent_lost", "overlap"]),
        ("/executions/", "status", ["queued", "succeeded,queued"]),
        ("/executions/", "trigger", ["agent", "manual,agent"]),
        ("/executions/", "failure_reason", ["nonzero_exit", "agent_lost"]),
        ("/jobs/", "kind", ["command", "heartbeat"]),
    ],
)
def test_a_filter_for_an_impossible_value_is_refused(api: Caller, path: str, name: str, values: list[str]) -> None:
    for value in values:
        problem = api.ask("GET", f"{path}?{name}={value}", expect=400)
        [error] = problem["errors"]
        assert (error["field"], error["code"]) == (name, "invalid_choice")
        assert not [word for word in TO_COME if word in error["detail"]]


def test_a_filter_for_a_possible_value_matches_it(api: Caller, make_job: MakeJob) -> None:
    state = make_job(slug="report")
    for status, _ in states.OCCURRING_STATUSES:
        api.ask("GET", f"/executions/?status={status}", expect=200)
    for trigger, _ in states.OCCURRING_TRIGGERS:
        make_execution(state, trigger=trigger)
        assert len(api.ask("GET", f"/executions/?trigger={trigger}", expect=200)["results"]) == 1
    for status, _ in states.OCCURRING_RUN_STATUSES:
        reason = "timeout" if status == "failed" else ""
        execution = make_execution(state, trigger="manual", status=status, failure_reason=reason)
        make_run(execution, status=status, failure_reason=reason)
        assert len(api.ask("GET", f"/runs/?status={status}", expect=200)["results"]) == 1


def test_every_reason_is_possible_or_planned() -> None:
    assert {reason.value for reason in FailureReason} - {reason.value for reason in failures.OCCURRING} <= TO_COME


@pytest.mark.parametrize("page", ["jobs/job/", "runs/execution/", "runs/run/"])
def test_menus_and_chips_offer_possible_values_only(workspace: Workspace, make_job: MakeJob, page: str) -> None:
    make_run(make_execution(make_job()))
    client: Client = signed_in(person("olga", workspace=workspace))
    text = client.get(f"/admin/{page}").content.decode()
    for word in TO_COME | ({"running"} if page == "runs/run/" else set()):
        assert f'value="{word}"' not in text, word
        assert f"status={word}" not in text, word
