"""Every dashboard page, light, dark and on a phone: no errors, no overflow, no accessibility barriers."""

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.support.deployment import Deployment
from tests.support.visitor import DESKTOP, PHONE, Visitor, window

pytestmark = pytest.mark.edges
_JOB = "SELECT id FROM jobs_job WHERE slug = 'export-invoices'"
_EXECUTION = "SELECT id FROM runs_execution WHERE status = 'failed' ORDER BY attempts DESC, id DESC LIMIT 1"
_RUN = "SELECT id FROM runs_run WHERE status = 'failed' ORDER BY id DESC LIMIT 1"
#: The most used pages. A query returns the id for the path.
PAGES = (
    ("/admin/", None),
    ("/admin/jobs/job/", None),
    ("/admin/jobs/job/add/", None),
    ("/admin/jobs/job/add/?kind=workflow", None),
    ("/admin/jobs/job/{}/", _JOB),
    ("/admin/jobs/job/{}/change/", _JOB),
    ("/admin/jobs/job/{}/delete/", _JOB),
    ("/admin/runs/execution/?status=failed", None),
    ("/admin/runs/execution/{}/change/", _EXECUTION),
    ("/admin/runs/run/?status=failed", None),
    ("/admin/runs/run/{}/change/", _RUN),
    ("/admin/accounts/auditentry/", None),
)
#: Pages of the same components: all with --full, else every third.
FURTHER_PAGES = (
    ("/admin/jobs/job/{}/history/", _JOB),
    ("/admin/jobs/job/{}/versions/", _JOB),
    ("/admin/runs/execution/run/{}/", _JOB),
    ("/admin/runs/execution/{}/edit/", _EXECUTION),
    ("/admin/runs/bulkoperation/", None),
    ("/admin/jobs/retrypolicy/", None),
    ("/admin/jobs/retrypolicy/add/", None),
    ("/admin/accounts/workspace/{}/change/", "SELECT id FROM accounts_workspace"),
    ("/admin/accounts/environment/", None),
    ("/admin/accounts/environment/add/", None),
    ("/admin/accounts/membership/", None),
    ("/admin/accounts/membership/add/", None),
    ("/admin/accounts/apikey/", None),
    ("/admin/accounts/apikey/add/", None),
    ("/admin/accounts/signingsecret/", None),
    ("/admin/accounts/secret/", None),
    ("/admin/accounts/secret/add/", None),
    ("/admin/accounts/auditentry/{}/change/", "SELECT id FROM accounts_auditentry ORDER BY id DESC LIMIT 1"),
    ("/admin/auth/user/{}/change/", "SELECT id FROM auth_user LIMIT 1"),
    ("/admin/auth/group/add/", None),
    ("/admin/django_celery_beat/periodictask/", None),
    ("/admin/django_celery_beat/periodictask/{}/change/", "SELECT id FROM django_celery_beat_periodictask LIMIT 1"),
    ("/admin/password_change/", None),
)


def open_page(visitor: Visitor, path: str, query: str | None) -> None:
    visitor.go(path.format(*visitor.deployment.rows(query)[0]) if query else path)


@pytest.mark.parametrize(("path", "query"), PAGES, ids=[path for path, _ in PAGES])
def test_a_page_is_accessible_light_dark_and_on_a_phone(visitor: Visitor, path: str, query: str | None) -> None:
    open_page(visitor, path, query)
    visitor.check_page()
    visitor.turn_dark()
    visitor.check_page(rules=["color-contrast"])
    visitor.turn_narrow()
    visitor.check_page(rules=["target-size", "scrollable-region-focusable"])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.function is test_a_page_is_accessible_and_fits_a_phone:
        pages = FURTHER_PAGES if metafunc.config.getoption("--full") else FURTHER_PAGES[::3]
        metafunc.parametrize(("path", "query"), pages, ids=[path for path, _ in pages])


def test_a_page_is_accessible_and_fits_a_phone(visitor: Visitor, path: str, query: str | None) -> None:
    open_page(visitor, path, query)
    visitor.check_page()
    visitor.turn_narrow()
    visitor.check_fits()


@pytest.mark.parametrize("path", ["jobs/job/", "runs/execution/", "runs/run/"])
def test_a_list_shows_all_of_its_columns(visitor: Visitor, path: str) -> None:
    visitor.go(f"/admin/{path}")
    visitor.check_columns_fit()
    visitor.turn_narrow()
    visitor.check_columns_fit()


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_the_login_form_is_accessible(deployment: Deployment, browser: Browser, width: int) -> None:
    with window(browser, width=width, scheme="dark" if width == PHONE else "light") as context:
        visitor = Visitor(deployment, context.new_page())
        visitor.go("/admin/login/")
        visitor.check_page()


def test_the_api_reference_works(visitor: Visitor) -> None:
    visitor.go("/api/docs/")
    page, asked = visitor.page, set[str]()
    page.on("request", lambda request: asked.add(request.url))
    page.reload()
    expect(page.get_by_role("heading", name="Hourhand API")).to_be_visible()
    assert all(url.startswith((visitor.deployment.url, "data:")) for url in asked), "another host was contacted"
    # In Swagger UI the header of each operation is a button that contains another, to copy the path.
    visitor.check_page(without=["nested-interactive"])
    visitor.turn_narrow()
    visitor.check_fits()
    page.locator(".opblock-summary-control").first.click()
    expect(page.get_by_role("button", name="Try it out").first).to_be_visible()
    assert not visitor.problems


class TestKeyboard:
    def test_skips_to_the_page_and_operates_the_menu(self, visitor: Visitor) -> None:
        page = visitor.page
        visitor.go("/admin/jobs/job/")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#content")).to_be_focused()

        expect(page.get_by_role("link", name="Executions", exact=True)).to_be_visible()
        menu = page.get_by_role("button", name="Menu")
        menu.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name="Executions", exact=True)).to_be_hidden()
        page.keyboard.press("Space")
        expect(page.get_by_role("link", name="Executions", exact=True)).to_be_visible()

    def test_logs_out(self, visitor: Visitor) -> None:
        visitor.go("/admin/")
        visitor.page.get_by_role("button", name=re.compile("admin")).press("Enter")
        expect(visitor.page.get_by_role("button", name="Log out")).to_be_visible()

    def test_chooses_dark(self, visitor: Visitor) -> None:
        visitor.go("/admin/")
        visitor.page.get_by_role("button", name=re.compile("admin")).press("Enter")
        visitor.page.get_by_role("button", name="Dark").press("Enter")
        expect(visitor.page.locator("html")).to_have_class("dark")


def test_nothing_moves_with_reduced_motion(visitor: Visitor) -> None:
    """The test window prefers reduced motion."""
    visitor.go("/admin/")
    moving = """() => document.getAnimations({subtree: true})
        .filter(one => one.playState === "running" && one.effect.getComputedTiming().iterations === Infinity).length"""
    assert visitor.page.evaluate(moving) == 0
