"""A workflow built on a phone: its cards, the check while typing, YAML and back, and its execution."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.deployment import Deployment
from tests.support.recording_receiver import Receiver
from tests.support.visitor import PHONE, Visitor, window
from tests.support.waiting import wait_for

pytestmark = pytest.mark.edges
_ADD = "/admin/jobs/job/add/?kind=workflow"


@pytest.fixture
def working_deployment(deployment: Deployment) -> Iterator[Deployment]:
    """The deployment with a worker, and without other work."""
    deployment.rows("DELETE FROM runs_execution WHERE finished_at IS NULL")
    deployment.rows("UPDATE jobs_jobenvironment SET next_fire_at = NULL, enabled = FALSE")
    deployment.start("beat")
    deployment.start("worker")
    yield deployment
    deployment.kill("beat", 15)
    deployment.kill("worker", 15)


def card(page: Page, step_id: str) -> Locator:
    return page.get_by_role("group", name=f"Step {step_id}", exact=True)


def add(page: Page, kind: str, step_id: str) -> Locator:
    """Add a step to the list of steps, and return its card."""
    page.locator(f"[data-list=steps][data-adds-step={kind}]").click()
    page.keyboard.type(step_id)  # replaces the proposed id, which is selected
    return card(page, step_id)


def order(page: Page) -> list[str]:
    return page.locator("[data-steps=steps] [data-step-name]").all_inner_texts()


def test_a_user_builds_a_workflow_on_a_phone_and_runs_it(
    working_deployment: Deployment, receiver: Receiver, browser: Browser, state: str
) -> None:
    with window(browser, width=PHONE, state=state) as context:
        visitor = Visitor(working_deployment, context.new_page())
        page = visitor.page
        visitor.go("/admin/jobs/job/add/")
        page.get_by_role("radio", name=re.compile("^Workflow")).check()
        page.get_by_label("Name").first.fill("Refund by phone")

        first = add(page, "http", "fetch")
        first.get_by_label("URL").fill("ftp://nowhere")
        live = page.get_by_role("status")
        expect(live.get_by_role("link", name="Step fetch: URL")).to_be_visible()
        visitor.check_page()
        first.get_by_label("URL").fill(f"{receiver.url}/first")
        expect(live.get_by_text("No errors.")).to_be_visible()

        last = add(page, "http", "pay")
        last.get_by_label("URL").press_sequentially(f"{receiver.url}/pay?fetched={{{{steps.fetch.st")
        page.keyboard.press("Enter")
        expect(last.get_by_label("URL")).to_have_value(f"{receiver.url}/pay?fetched={{{{steps.fetch.status}}}}")

        approval = add(page, "approval", "ok")
        approval.get_by_label("Message").fill("Pay?")
        page.get_by_role("button", name="Move up ok").click()
        assert order(page) == ["fetch", "ok", "pay"]
        visitor.check_page()
        page.get_by_role("button", name="Create job").click()

        expect(page.get_by_role("heading", name="Refund by phone").first).to_be_visible()
        expect(page.get_by_text("asks Pay?")).to_be_visible()
        page.get_by_role("button", name="Run now in production").click()
        waiting = wait_for(lambda: working_deployment.call("GET", "/approvals/")["results"], "the approval")
        execution = waiting[0]["execution"]
        working_deployment.call("POST", f"/executions/{execution}/approve/")
        status = "SELECT status FROM runs_execution WHERE id = %s"
        wait_for(lambda: working_deployment.rows(status, execution)[0][0] == "succeeded", "its success")
        assert [request["path"] for request in receiver.seen] == ["/first", "/pay?fetched=200"]


def test_steps_are_duplicated_removed_and_restored(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go(_ADD)
    first = add(page, "http", "one")
    first.get_by_label("Method").select_option("PUT")
    first.get_by_label("URL").fill("https://api.example.com/one")
    first.get_by_role("button", name="Add assertion").first.click()
    assertion = first.get_by_role("group", name="Assertion", exact=True)
    assertion.get_by_role("combobox", name="Assertion").select_option("status_equals")
    assertion.get_by_label("Value").fill("204")
    page.get_by_role("button", name="Duplicate one").click()
    copy = card(page, "one_copy")
    expect(copy.get_by_label("Method")).to_have_value("PUT")
    expect(copy.get_by_role("group", name="Assertion", exact=True).get_by_label("Value")).to_have_value("204")
    copy.get_by_label("URL").fill("https://api.example.com/two")
    page.get_by_role("button", name="Remove one", exact=True).click()
    assert order(page) == ["one_copy"]
    page.get_by_role("button", name="Undo").click()
    assert order(page) == ["one", "one_copy"]

    page.get_by_text("YAML", exact=True).click()
    text = page.get_by_label("Workflow as YAML")
    expect(text).to_have_value(
        re.compile("id: one_copy\n  type: http\n  request:\n    url: https://api.example.com/two")
    )
    visitor.check_page()
    text.fill("steps:\n- id: nap\n  type: delay\n  seconds: 60\n")
    page.get_by_text("Steps", exact=True).first.click()
    expect(card(page, "nap").get_by_label("Seconds")).to_have_value("60")
    assert order(page) == ["nap"]
    visitor.check_page()


def test_text_that_cards_cannot_show_stays_yaml(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go(_ADD)
    page.get_by_text("YAML", exact=True).click()
    text = page.get_by_label("Workflow as YAML")
    text.fill("steps:\n- id: nap\n  type: rocket\n")
    page.get_by_text("Steps", exact=True).first.click()
    expect(page.get_by_role("status")).to_contain_text("steps.0.type")
    expect(text).to_be_visible()
