"""Debian's Chromium, driven by playwright: no browser is downloaded."""

import contextlib
import subprocess
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

from tests.support.project import ROOT

#: It runs as root in containers, and asks nobody but the deployment.
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--disable-quic",
)  # fmt: skip


class NoBrowserError(Exception):
    """There is none on this machine. Says what to install."""


def chromium_path() -> str:
    """Where this machine's Chromium is. Raises NoBrowserError."""
    found = subprocess.run([ROOT / "bin" / "browser", "--find"], capture_output=True, text=True, check=False)
    if found.returncode:
        raise NoBrowserError(found.stderr.strip())
    return found.stdout.strip()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser. Raises NoBrowserError."""
    path = chromium_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()
