"""A client generated from the served document: it type-checks, and runs a session against the live server."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.actors import SYSTEM
from accounts.models import Scope, Workspace
from accounts.services import issue_key
from jobs.egress import EgressPolicy
from tests.support.project import ROOT

SESSION = ROOT / "tests" / "support" / "client_session.py"
PACKAGE = "hourhand_client"


def run(*command: Any, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture
def generated(db: None, tmp_path: Path) -> Path:
    """The directory that holds the client's package."""
    (tmp_path / "openapi.json").write_bytes(Client().get("/api/schema/?format=json").content)
    (tmp_path / "config.yaml").write_text("post_hooks: []\n")
    told = run(
        *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--config", "config.yaml"),
        *("--path", "openapi.json", "--output-path", PACKAGE),
        cwd=tmp_path,
    )
    assert "warning" not in told.lower(), told
    return tmp_path


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_generated_client_works(
    live_server: Any, workspace: Workspace, generated: Path, full: bool, settings: Any
) -> None:
    settings.OUTBOUND_POLICY = EgressPolicy.parse("", "*")
    key = issue_key(
        workspace=workspace, name="client", scopes=list(Scope), environments=None, expires_at=None, actor=SYSTEM
    ).key
    run(sys.executable, SESSION, live_server.url, key, cwd=generated, PYTHONPATH=str(generated))
    # Type-check strictly what the session uses; with --full the whole client.
    checked = [SESSION, *([generated / PACKAGE] if full else [])]
    options = ("--no-incremental", "--cache-dir", os.devnull, "--config-file", os.devnull, "--python-version", "3.11")
    # The generator writes a parser for a field that is always null, and uses its result.
    strict = ("--disallow-untyped-defs", "--warn-unreachable", "--strict-equality")
    options = (*options, "--disable-error-code", "func-returns-value")
    run(sys.executable, "-m", "mypy", *options, *strict, *checked, cwd=generated, MYPYPATH=str(generated))
