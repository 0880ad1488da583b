"""Take the documentation's screenshots of a dashboard with a seeded month, into docs/screenshots/.

bin/screenshots
"""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from tests.support.chromium import chromium
from tests.support.deployment import Deployment
from tests.support.project import ROOT
from tests.support.seeded_deployment import seeded_deployment
from tests.support.visitor import DESKTOP, PHONE, Scheme, Visitor, window

PICTURES = ROOT / "docs" / "screenshots"
_DAYS = 30
_HEIGHT = 1000
_COLOURS = 256
_JOB = "SELECT id FROM jobs_job WHERE slug = 'sync-orders'"
_EXECUTION = """
    SELECT execution.id FROM runs_execution AS execution JOIN jobs_job AS job ON job.id = execution.job_id
     WHERE job.slug = 'export-invoices' AND execution.status = 'failed' ORDER BY execution.id DESC LIMIT 1
"""
_ALIVE = "UPDATE runs_heartbeat SET seen_at = clock_timestamp()"


def pages(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """Yield the name of each screenshot and the path it shows."""
    yield "overview", "/admin/"
    yield "job", f"/admin/jobs/job/{deployment.rows(_JOB)[0][0]}/"
    yield "execution", f"/admin/runs/execution/{deployment.rows(_EXECUTION)[0][0]}/change/"


def take(deployment: Deployment, browser: Browser, *, width: int, scheme: Scheme, suffix: str) -> None:
    """Take a screenshot of each page in a window of this width."""
    with window(browser, width=width, scheme=scheme) as context:
        visitor = Visitor(deployment, context.new_page())
        visitor.page.set_viewport_size({"width": width, "height": _HEIGHT})
        visitor.log_in()
        for name, path in pages(deployment):
            deployment.rows(_ALIVE)
            visitor.go(path)
            visitor.page.wait_for_load_state("networkidle")
            visitor.page.evaluate("document.fonts.ready")
            keep(visitor.page.screenshot(), PICTURES / f"{name}-{suffix}.png")
        assert not visitor.problems, visitor.problems


def keep(picture: bytes, path: Path) -> None:
    """Write a screenshot with its own palette: a third of the bytes without a visible difference."""
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with (
        chromium() as browser,
        tempfile.TemporaryDirectory() as directory,
        seeded_deployment(Path(directory), days=_DAYS) as deployment,
    ):
        take(deployment, browser, width=DESKTOP, scheme="light", suffix="light")
        take(deployment, browser, width=DESKTOP, scheme="dark", suffix="dark")
        take(deployment, browser, width=PHONE, scheme="light", suffix="phone")
    for picture in sorted(PICTURES.glob("*.png")):
        print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
