"""Invitations in a browser, accepted with a new and with an existing account."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.deployment import Deployment
from tests.support.visitor import DESKTOP, PHONE, Visitor, window

pytestmark = pytest.mark.edges
PASSWORD = "a quite long password"


def invite(deployment: Deployment, name: str) -> str:
    made = deployment.call(
        "POST", "/members/", json={"username": name, "email": f"{name}@example.com", "role": "viewer"}
    )
    return str(made["invitation"]["url"]).removeprefix("http://127.0.0.1:8000")


def create_account(page: Page, username: str | None = None) -> None:
    if username is not None:
        page.get_by_label("Username").fill(username)
    page.locator("[name=new_password1]").fill(PASSWORD)
    page.locator("[name=new_password2]").fill(PASSWORD)
    page.get_by_role("button", name="Create account and join").click()


@pytest.mark.parametrize(("width", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def test_an_invitation_is_accepted_with_a_new_account(
    deployment: Deployment, browser: Browser, width: int, scheme: str
) -> None:
    with window(browser, width=width, scheme=scheme) as context:
        visitor = Visitor(deployment, context.new_page())
        page = visitor.page
        visitor.go(invite(deployment, f"nina{width}"))
        expect(page.get_by_text("You are invited to")).to_be_visible()
        assert page.url.endswith("/accept/"), "the URL still has the token"
        visitor.check_page()
        is_styled = page.get_by_role("button", name="Create account and join").evaluate(
            "one => getComputedStyle(one).backgroundColor !== 'rgba(0, 0, 0, 0)'"
        )
        assert is_styled
        create_account(page)
        page.wait_for_url("**/admin/")
        assert not visitor.problems
        member = deployment.call("GET", "/members/")["results"][0]
        assert (member["username"], member["state"]) == (f"nina{width}", "active")


def test_an_invitation_is_accepted_with_an_existing_account(deployment: Deployment, browser: Browser) -> None:
    with window(browser) as context:
        page = Visitor(deployment, context.new_page()).page
        page.goto(deployment.url + invite(deployment, "olga"))
        create_account(page, "olga-at-home")
        page.wait_for_url("**/admin/")
    first = deployment.call("GET", "/members/")["results"][0]
    deployment.call("DELETE", f"/members/{first['id']}/")
    with window(browser) as context:
        visitor = Visitor(deployment, context.new_page())
        page = visitor.page
        visitor.go(invite(deployment, "olga"))
        page.get_by_role("link", name="sign in with it").click()
        page.get_by_label("Username").fill("olga-at-home")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("button", name=re.compile("^Join as olga-at-home$")).click()
        page.wait_for_url("**/admin/")
        assert not visitor.problems
    assert deployment.call("GET", "/members/")["results"][0]["username"] == "olga-at-home"
