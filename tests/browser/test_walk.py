"""A user's path through the dashboard of a running deployment: create, fail, pause, replay and fix a job."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.deployment import Deployment
from tests.support.recording_receiver import Receiver
from tests.support.visitor import DESKTOP, PHONE, Visitor, window
from tests.support.waiting import wait_for

pytestmark = pytest.mark.edges
_SECONDS = 30


@pytest.fixture
def firing_deployment(deployment: Deployment) -> Iterator[Deployment]:
    """The deployment with a beat and a worker, and without the seeded month's pending executions and schedules."""
    deployment.rows("DELETE FROM runs_execution WHERE finished_at IS NULL")
    deployment.rows("UPDATE jobs_jobenvironment SET next_fire_at = NULL, enabled = FALSE")
    deployment.start("beat")
    deployment.start("worker")
    yield deployment
    deployment.kill("beat", 15)
    deployment.kill("worker", 15)


@pytest.mark.parametrize(("width", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def test_a_user_creates_a_job_sees_it_fail_pauses_replays_and_fixes_it(
    firing_deployment: Deployment, receiver: Receiver, browser: Browser, width: int, scheme: str
) -> None:
    with window(browser, width=width, scheme=scheme) as context:
        visitor = Visitor(firing_deployment, context.new_page())
        page = visitor.page
        name = f"Walked at {width}"

        visitor.log_in()
        visitor.check_fits()
        follow(page, "Jobs")
        page.get_by_role("link", name=re.compile("^(Add|New) job")).first.click()
        page.get_by_label("Name", exact=False).first.fill(name)
        page.get_by_label("URL").first.fill(f"{receiver.url}/status/503")
        page.get_by_role("textbox", name="Schedule").first.fill("every 2 seconds")
        expect(page.get_by_text(re.compile("Every 2 seconds", re.IGNORECASE)).first).to_be_visible()
        visitor.check_fits()
        page.get_by_role("button", name="Create job").click()

        # It fires and fails.
        expect(page.get_by_role("heading", name=name).first).to_be_visible()
        job = page.url
        failed = page.get_by_role("row").filter(has_text="Failed").first
        reload_until(page, lambda: failed.count() > 0, "a failed execution")
        visitor.check_fits()
        failed.get_by_role("link").first.click()
        expect(page.get_by_text("HTTP 503").first).to_be_visible()
        expect(page.get_by_text("the endpoint answered with a 5xx status").first).to_be_visible()
        visitor.check_fits()

        # A paused job shows the note.
        page.goto(job)
        page.get_by_label("Pause in production").click()
        page.get_by_label("Note").fill("The ledger is down")
        page.get_by_role("button", name="Pause in production").click()
        expect(page.get_by_text("The ledger is down").first).to_be_visible()
        visitor.check_fits()

        replay_with_url(page, to=f"{receiver.url}/status/200")
        reload_until(page, lambda: page.get_by_text("Succeeded").count() > 0, "the replay to succeed")
        visitor.check_fits()
        assert any(request["path"] == "/status/200" for request in receiver.seen)

        change_url(page, job=job, to=f"{receiver.url}/status/200")
        page.get_by_role("button", name="Resume in production").click()
        expect(page.get_by_label("Pause in production")).to_be_visible()
        succeeded = page.get_by_role("row").filter(has_text="Succeeded").filter(has_text="Schedule").first
        reload_until(page, lambda: succeeded.count() > 0, "it to fire again")
        visitor.check_page()


def follow(page: Page, name: str) -> None:
    """Follow a link of the sidebar, which phones hide behind the menu."""
    link = page.get_by_role("link", name=name, exact=True).first
    if not link.is_visible():
        page.get_by_role("button", name="Menu").first.click()
    link.click()


def replay_with_url(page: Page, *, to: str) -> None:
    """From a job's page, replay its failed execution once with another URL."""
    page.get_by_role("row").filter(has_text="Failed").first.get_by_role("link").first.click()
    page.get_by_role("link", name="Edit and replay").click()
    page.get_by_label("URL").fill(to)
    page.get_by_role("button", name="Replay with changes").click()
    expect(page.get_by_text("Replay of")).to_be_visible()


def change_url(page: Page, *, job: str, to: str) -> None:
    """Change the job's URL permanently."""
    page.goto(job)
    page.get_by_role("link", name="Edit").first.click()
    page.get_by_label("URL").first.fill(to)
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(job)


def reload_until(page: Page, condition: Callable[[], bool], what: str) -> None:
    def looked() -> bool:
        page.reload()
        return condition()

    wait_for(looked, what, seconds=_SECONDS)
