"""Peers of the benchmarks: pinned exactly, from no particular host, and reported if missing."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.peers import graphile

HOME = Path(graphile.__file__).parent / "graphile_worker"


@pytest.fixture(autouse=True)
def forget_what_is_installed() -> None:
    graphile._installed.cache_clear()


def test_what_npm_installs_is_pinned_and_names_no_registry() -> None:
    wanted = json.loads((HOME / "package.json").read_text())["dependencies"]
    packages = json.loads((HOME / "package-lock.json").read_text())["packages"]
    for name, version in wanted.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert packages[f"node_modules/{name}"]["version"] == version
    assert all("resolved" not in package for package in packages.values())
    assert all("integrity" in package for path, package in packages.items() if path)


def test_a_missing_npm_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program: None if program == "npm" else f"/usr/bin/{program}")
    assert graphile.missing() == "npm is not installed"


def test_a_failed_installation_is_reported_by_its_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def failed(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "npm error network is down\nnpm error more\n")

    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr("subprocess.run", failed)
    assert graphile.missing() == "npm could not install it: npm error network is down"
