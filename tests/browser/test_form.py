"""The job form in a browser: suggestions of variables, environment overrides, errors beside fields."""

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.support.visitor import Visitor

pytestmark = pytest.mark.edges
_JOB = "SELECT id FROM jobs_job WHERE slug = 'weekly-digest'"


class TestVariableSuggestions:
    @pytest.fixture(autouse=True)
    def _new_job(self, visitor: Visitor) -> None:
        visitor.go("/admin/jobs/job/add/")

    def test_open_after_two_braces_and_accept_the_keyboard(self, visitor: Visitor) -> None:
        url, popup = visitor.page.locator("#id_url"), suggestions(visitor)
        url.press_sequentially("https://api.example.com/?id={{")
        expect(popup).to_be_visible()
        expect(url).to_have_attribute("aria-expanded", "true")
        visitor.check_page()
        url.press_sequentially("e")
        url.press("ArrowDown")
        chosen = popup.locator("[aria-selected=true]")
        expect(url).to_have_attribute("aria-activedescendant", chosen.get_attribute("id") or "")
        told = chosen.locator("code").inner_text()
        url.press("Enter")
        expect(popup).to_be_hidden()
        expect(url).to_have_value(f"https://api.example.com/?id={told}")
        url.press_sequentially("&at={{unix")
        url.press("Enter")
        expect(url).to_have_value(f"https://api.example.com/?id={told}&at={{{{unix}}}}")

    def test_stay_closed_after_escape(self, visitor: Visitor) -> None:
        body, popup = visitor.page.locator("#id_body"), suggestions(visitor)
        body.press_sequentially('{"at": "{{')
        expect(popup).to_be_visible()
        body.press("Escape")
        expect(popup).to_be_hidden()
        body.press_sequentially("ti")
        expect(popup).to_be_hidden()
        body.press("Enter")
        expect(body).to_have_value('{"at": "{{ti\n')

    def test_filter_by_the_typed_text_and_accept_the_mouse(self, visitor: Visitor) -> None:
        headers, popup = visitor.page.locator("#id_headers"), suggestions(visitor)
        headers.press_sequentially("X-Input: {{inp")
        expect(popup.get_by_role("option")).to_have_count(1)
        popup.get_by_role("option").click()
        expect(headers).to_be_focused()
        visitor.page.keyboard.type("order.id")  # replaces the selected placeholder
        expect(headers).to_have_value("X-Input: {{input.order.id}}")


def suggestions(visitor: Visitor) -> Locator:
    return visitor.page.get_by_role("listbox", name="Variables and secrets")


def test_an_environment_override_is_validated_and_saved(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go(f"/admin/jobs/job/{visitor.deployment.rows(_JOB)[0][0]}/change/")
    page.get_by_text("staging inherited", exact=True).click()
    url = page.get_by_role("combobox", name="URL in staging")
    expect(url).to_have_attribute("placeholder", "https://mail.shop.example/digests")
    url.fill("https://staging.shop.example/digests")
    page.get_by_label("Timeout, seconds in staging").fill("999")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").get_by_role("link", name="Timeout, seconds in staging").press("Enter")
    expect(page.get_by_label("Timeout, seconds in staging")).to_be_in_viewport()
    expect(url).to_have_value("https://staging.shop.example/digests")
    visitor.check_page()
    page.get_by_label("Timeout, seconds in staging").fill("20")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(re.compile("Job saved"))).to_be_visible()
    expect(page.get_by_text("https://staging.shop.example/digests").first).to_be_visible()
