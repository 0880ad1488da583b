"""Debian's Chromium, driven by playwright: no browser is downloaded."""

import contextlib
import subprocess
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

from tests.support.project import ROOT

#: Chromium runs as root in containers, and must send no requests of its own.
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--disable-quic",
)  # fmt: skip


class NoBrowserError(Exception):
    """This machine has no Chromium. The message says what to install."""


def chromium_path() -> str:
    """Return the path of this machine's Chromium. Raises NoBrowserError."""
    found = subprocess.run([ROOT / "bin" / "browser", "--find"], capture_output=True, text=True, check=False)
    if found.returncode:
        raise NoBrowserError(found.stderr.strip())
    return found.stdout.strip()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a headless browser. Raises NoBrowserError."""
    path = chromium_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()
