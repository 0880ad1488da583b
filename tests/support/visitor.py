"""A user in a browser window, who records errors and checks pages."""

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
_PATIENCE_MS = 60_000
_OVERHANG = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
#: Tables that scroll sideways.
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
    """A page in its own window. `problems` are console errors, failed requests and responses of 400 or more."""

    deployment: Deployment
    page: Page
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._note_message)
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("requestfailed", self._note_failure)
        self.page.on("response", self._note_answer)

    def log_in(self) -> None:
        """Log in with the form, as the administrator of the first run."""
        told = json.loads((self.deployment.directory / "first-run.json").read_text())
        self.go("/admin/")
        self.page.get_by_label("Username").fill(told["admin_username"])
        self.page.get_by_label("Password").fill(told["admin_password"])
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url("**/admin/")

    def go(self, path: str) -> None:
        self.page.goto(f"{self.deployment.url}{path}")

    def turn_dark(self) -> None:
        """Switch to the dark theme, as after a change of the system's theme."""
        self.page.emulate_media(color_scheme="dark")
        self.page.evaluate("document.documentElement.classList.add('dark')")

    def turn_narrow(self) -> None:
        """Shrink the window to a phone's size."""
        self.page.set_viewport_size({"width": PHONE, "height": 844})

    def check_fits(self) -> None:
        """Check that nothing extends beyond the window."""
        overhang = self.page.evaluate(_OVERHANG)
        assert not overhang, f"{self._where} is {overhang} pixels too wide: {self.page.evaluate(_OVERHANGING)}"

    def check_columns_fit(self) -> None:
        """Check that no table scrolls sideways."""
        assert not (tables := self.page.evaluate(_TOO_WIDE_TABLES)), f"{self._where}: {tables}"

    def check_page(self, *, rules: Sequence[str] | None = None, without: Sequence[str] = ()) -> None:
        """Check that the page has no errors, no overflow and no accessibility barriers.

        `rules` are those of axe (None: all); `without` excludes some.
        """
        self.page.wait_for_load_state("networkidle")
        assert not self.problems, f"{self._where}: {self.problems}"
        self.check_fits()
        assert not (barriers := self.barriers(rules, without)), f"{self._where}: " + "\n".join(barriers)

    def barriers(self, rules: Sequence[str] | None = None, without: Sequence[str] = ()) -> Sequence[str]:
        """Return the serious and critical findings of axe, one line per element."""
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
            self.problems.append(f"{message.type}: {message.text}")

    def _note_failure(self, request: Request) -> None:
        # Following a link aborts the pending requests of the previous page.
        if request.failure != "net::ERR_ABORTED":
            self.problems.append(f"{request.url}: {request.failure}")

    def _note_answer(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.url}: {response.status}")


def window(
    browser: Browser, *, width: int = DESKTOP, scheme: Scheme = "light", state: str | None = None
) -> BrowserContext:
    """Open a window of a desktop's or a phone's width. `state` are cookies."""
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
