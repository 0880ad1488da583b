"""Admin actions in the browser: rows are selected, and nothing happens before a confirmation."""

import pytest
from playwright.sync_api import expect

from tests.support.visitor import DESKTOP, PHONE, Visitor

pytestmark = pytest.mark.edges


@pytest.mark.parametrize("width", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_jobs_are_selected_and_an_action_is_confirmed(visitor: Visitor, width: int) -> None:
    page = visitor.page
    if width == PHONE:
        visitor.turn_narrow()
    visitor.go("/admin/jobs/job/")
    counter, matching = page.locator(".action-counter"), page.get_by_role("link", name="Select all matching")
    expect(counter).to_have_text("0 of 11 selected")
    expect(matching).to_be_hidden()
    page.get_by_label("Select all objects on this page for an action").check()
    matching.click()
    expect(page.get_by_text("All matching selected")).to_be_visible()
    visitor.check_page()
    page.get_by_role("link", name="Clear selection").click()
    page.get_by_label("Select Warm the cache").check()
    expect(counter).to_have_text("1 of 11 selected")
    page.get_by_role("button", name="Pause…").click()
    expect(page.get_by_role("heading", name="Pause 1 job?")).to_be_visible()
    visitor.check_page()
    page.get_by_role("link", name="Cancel").click()
    expect(counter).to_have_text("0 of 11 selected")
