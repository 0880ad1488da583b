"""Charts link to the executions they count: bars and days for the mouse, tables for the keyboard."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.visitor import Visitor

pytestmark = pytest.mark.edges
_WORKSPACE = "SELECT id FROM accounts_workspace"
_BETWEEN = re.compile(r"/admin/runs/execution/\?.*from=.*to=")


def test_a_bar_segment_links_to_its_executions(visitor: Visitor) -> None:
    visitor.go("/admin/?span=7d")
    visitor.page.locator("#part-executions .hh-drawing a").last.click()
    visitor.page.wait_for_url(_BETWEEN)
    expect(visitor.page.locator("#result_list .data-row").first).to_be_visible()


def test_a_calendar_day_links_to_its_executions(visitor: Visitor) -> None:
    visitor.go("/admin/")
    visitor.page.locator("#part-calendar .hh-calendar a").last.click()
    visitor.page.wait_for_url(_BETWEEN)
    expect(visitor.page.locator("#result_list .data-row").first).to_be_visible()


def test_the_keyboard_reaches_the_links_in_the_table(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/admin/?span=7d")
    page.locator("#part-executions").get_by_text("Show as table").press("Enter")
    page.keyboard.press("Tab")  # the scrollable table
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('td') !== null")
    page.keyboard.press("Enter")
    page.wait_for_url(_BETWEEN)


def test_a_workspaces_page_shows_plan_and_usage(visitor: Visitor) -> None:
    visitor.go(f"/admin/accounts/workspace/{visitor.deployment.rows(_WORKSPACE)[0][0]}/change/")
    usage = visitor.page.get_by_role("region", name="Plan and usage")
    expect(usage).to_contain_text("No plan, so no limits.")
    expect(usage.get_by_text("Executions by day")).to_be_visible()
    visitor.check_page()
    usage.locator(".hh-key").get_by_role("link", name="Failed").click()
    visitor.page.wait_for_url(_BETWEEN)
