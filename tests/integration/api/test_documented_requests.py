"""Send each curl command of the documentation to the API: it must be accepted."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from accounts.models import Environment, Workspace
from accounts.services import create_workspace
from jobs.egress import EgressPolicy
from tests.support.api_caller import caller, make_execution
from tests.support.jobs import MakeJob
from tests.support.project import ROOT

BASE = "http://127.0.0.1:8000/api/v1"
PAGES = [page for page in sorted((ROOT / "docs").rglob("*.md")) if f"{BASE}/" in page.read_text()]
#: Quoted texts, and the text outside them up to the end of a command.
COMMAND = re.compile(r"""(?:'[^']*'|"(?:[^"\\]|\\.)*"|[^'"\n|>)])+""")
#: These need a worker, a listener or an owner: other tests send them.
ELSEWHERE = ("/test/", "/events/", "/wipe/")


@dataclass(frozen=True)
class Shown:
    """A request as a page shows it."""

    method: str
    path: str
    body: Any


@pytest.fixture
def workspace(db: None) -> Workspace:
    """Create what the first start creates."""
    return create_workspace(slug="default", name="Default")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_request_of_a_page_is_accepted(
    page: Path, workspace: Workspace, make_job: MakeJob, settings: Any
) -> None:
    settings.OUTBOUND_POLICY = EgressPolicy.parse(allow="127.0.0.0/8", ports="*")
    make_execution(make_job(slug="nightly-report", schedule="0 2 * * *"), status="failed", failure_reason="timeout")
    shown = requests_of(page.read_text())
    if not any(one.path == "/environments/" for one in shown):
        Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    api = caller(workspace)
    for one in shown:
        answer = api.generic(one.method, f"/api/v1{one.path}", one.body, content_type="application/json")
        assert answer.status_code < 400, (one, answer.content)


def requests_of(text: str) -> list[Shown]:
    """Return a page's requests in order, except those that a shell must complete first."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    commands = [found for block in blocks for found in COMMAND.findall(block.replace("\\\n", " "))]
    asked = [shlex.split(command[command.index("curl ") :]) for command in commands if "curl " in command]
    return [one for words in asked if (one := shown_by(words)) is not None]


def shown_by(words: list[str]) -> Shown | None:
    url = next((word for word in words if word.startswith(BASE)), None)
    body = words[words.index("-d") + 1] if "-d" in words else None
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if body else "GET"
    if url is None or "$" in url or url.partition("?")[0].endswith(ELSEWHERE) or (body and body.startswith(("$", "@"))):
        return None
    if body is not None:
        json.loads(body)
    return Shown(method, url.removeprefix(BASE), body or "")
