"""A person approves a workflow on a phone, and a worker goes on with it."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.deployment import Deployment
from tests.support.recording_receiver import Receiver
from tests.support.visitor import PHONE, Visitor, window
from tests.support.waiting import wait_for

pytestmark = pytest.mark.edges
_SECONDS = 30
_FORM = [
    {"name": "amount", "type": "number", "required": True},
    {"name": "speed", "type": "choice", "options": ["slow", "fast"]},
]


@pytest.fixture
def working_deployment(deployment: Deployment) -> Iterator[Deployment]:
    """The deployment with a worker, and without the seeded month's pending executions and schedules."""
    deployment.rows("DELETE FROM runs_execution WHERE finished_at IS NULL")
    deployment.rows("UPDATE jobs_jobenvironment SET next_fire_at = NULL, enabled = FALSE")
    deployment.start("worker")
    yield deployment
    deployment.kill("worker", 15)


def test_a_workflow_is_approved_on_a_phone(
    working_deployment: Deployment, receiver: Receiver, browser: Browser, state: str
) -> None:
    deployment = working_deployment
    call = {"request": {"url": f"{receiver.url}/status/200"}}
    approval = {"message": "Refund {{input.order}}?", "form": _FORM}
    steps = [
        {"id": "look", "type": "http", **call}, {"id": "ok", "type": "approval", **approval},
        {"id": "pay", "type": "http", **call},
    ]  # fmt: skip
    deployment.make_job("refund", kind="workflow", workflow={"steps": steps})
    execution = deployment.call("POST", "/jobs/refund/run/", json={"input": {"order": "A-17"}})["id"]
    status = "SELECT status FROM runs_execution WHERE id = %s"
    wait_for(lambda: deployment.rows(status, execution)[0][0] == "waiting", "the approval", seconds=_SECONDS)

    with window(browser, width=PHONE, state=state) as context:
        visitor = Visitor(deployment, context.new_page())
        page = visitor.page
        visitor.go("/admin/")
        page.get_by_role("link", name=re.compile("^Decide on ok")).click()
        expect(page.get_by_text("Refund A-17?")).to_be_visible()
        visitor.check_page()
        page.get_by_role("button", name="Approve").click()
        assert page.get_by_label("Amount").evaluate("one => !one.validity.valid"), "a required field may be empty"
        page.get_by_label("Amount").fill("12.5")
        page.get_by_label("Speed").select_option("fast")
        page.get_by_label("Note").fill("fine by me")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_text("fine by me")).to_be_visible()
        expect(page.get_by_role("button", name="Approve")).to_have_count(0)
        visitor.check_page()
        wait_for(lambda: deployment.rows(status, execution)[0][0] == "succeeded", "its end", seconds=_SECONDS)
        page.get_by_role("link", name="open execution").click()
        expect(page.get_by_role("heading", name="Steps")).to_be_visible()
        visitor.check_page()
