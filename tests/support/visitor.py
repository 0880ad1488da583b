"""A person's window on a deployment, which notes all that goes wrong in it, and what each page must have."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response

from tests.support.deployment import Deployment

DESKTOP, PHONE = 1280, 390
Scheme = Literal["light", "dark"]
_GRAVE = {"serious", "critical"}
_PATIENCE_MS = 15_000
_OVERHANG = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
#: Tables that can be moved sideways, because they have more columns than room.
_TOO_WIDE_TABLES = """
    () => [...document.querySelectorAll("#content :has(> table)")]
        .filter(one => one.scrollWidth > one.clientWidth + 1)
        .map(one => one.querySelector("table").className + " by " + (one.scrollWidth - one.clientWidth))
"""
_OVERHANGING = """
    () => [...document.querySelectorAll("body *")]
        .filter(one => one.getClientRects().length && one.getBoundingClientRect().right > innerWidth + 1)
        .map(one => one.tagName + "." + one.className).slice(-5)
"""


@dataclass
class Visitor:
    """A page in a window of its own. `complaints` are console errors, failed requests and answers of 400 and more."""

    deployment: Deployment
    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._note_message)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("requestfailed", self._note_failure)
        self.page.on("response", self._note_answer)

    def log_in(self) -> None:
        """By the form, as the administrator that the first run made."""
        told = json.loads((self.deployment.directory / "first-run.json").read_text())
        self.go("/admin/")
        self.page.get_by_label("Username").fill(told["admin_username"])
        self.page.get_by_label("Password").fill(told["admin_password"])
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url("**/admin/")

    def go(self, path: str) -> None:
        self.page.goto(f"{self.deployment.url}{path}")

    def turn_dark(self) -> None:
        """As the theme does when the system turns dark and the page is opened again."""
        self.page.emulate_media(color_scheme="dark")
        self.page.evaluate("document.documentElement.classList.add('dark')")

    def turn_narrow(self) -> None:
        """As a phone shows it."""
        self.page.set_viewport_size({"width": PHONE, "height": 844})

    def must_fit(self) -> None:
        """Nothing hangs over the edge of the window."""
        overhang = self.page.evaluate(_OVERHANG)
        assert not overhang, f"{self._where} is {overhang} pixels too wide: {self.page.evaluate(_OVERHANGING)}"

    def must_show_all_columns(self) -> None:
        """No table has to be moved sideways to be read."""
        assert not (tables := self.page.evaluate(_TOO_WIDE_TABLES)), f"{self._where}: {tables}"

    def must_find_it_sound(self, *, rules: Sequence[str] | None = None, without: Sequence[str] = ()) -> None:
        """What every page has: nothing went wrong, nothing hangs over the edge, nothing that keeps anybody out.

        By these rules of axe, or by all, but for those `without`.
        """
        self.page.wait_for_load_state("networkidle")
        assert not self.complaints, f"{self._where}: {self.complaints}"
        self.must_fit()
        assert not (barriers := self.barriers(rules, without)), f"{self._where}: " + "\n".join(barriers)

    def barriers(self, rules: Sequence[str] | None = None, without: Sequence[str] = ()) -> Sequence[str]:
        """What axe finds serious or critical, a line for each place."""
        options = {
            "resultTypes": ["violations"],
            "preload": False,
            "rules": {rule: {"enabled": False} for rule in without},
            **({"runOnly": rules} if rules else {}),
        }
        found = Axe().run(self.page, options=options).response["violations"]
        return [_told(finding, node) for finding in found if finding["impact"] in _GRAVE for node in finding["nodes"]]

    @property
    def _where(self) -> str:
        return self.page.url.removeprefix(self.deployment.url)

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _note_failure(self, request: Request) -> None:
        # Whoever follows a link does not wait for what the page before it still asked for.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"{request.url}: {request.failure}")

    def _note_answer(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.url}: {response.status}")


def window(
    browser: Browser, *, width: int = DESKTOP, scheme: Scheme = "light", state: str | None = None
) -> BrowserContext:
    """A window as wide as a desktop's or a phone's. `state` holds somebody's cookies."""
    is_phone = width == PHONE
    context = browser.new_context(
        viewport={"width": width, "height": 844 if is_phone else 900},
        is_mobile=is_phone,
        has_touch=is_phone,
        color_scheme=scheme,
        reduced_motion="reduce",
        storage_state=state,
    )
    context.set_default_timeout(_PATIENCE_MS)
    return context


def _told(finding: dict[str, Any], node: dict[str, Any]) -> str:
    reasons = "; ".join(check["message"] for kind in ("any", "all", "none") for check in node[kind])
    place = " ".join(map(str, node["target"]))
    return f"{finding['id']} ({finding['impact']}) at {place}: {reasons} in {node['html'][:300]}"
