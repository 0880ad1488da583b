"""Foundations of the benchmarks: a target that records arrivals, and a database without foreign data."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from bench import stage


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with stage.target() as port:
        yield f"http://127.0.0.1:{port}"


def test_arrivals_are_reported_once_with_their_scheduled_instant(url: str) -> None:
    before = time.time()
    for planned in ("2026-03-15T02:00:00.000Z", "2026-03-15T02:00:01.010Z"):
        requests.get(f"{url}/on-time", headers={"X-Hourhand-Scheduled-For": planned}, timeout=5).raise_for_status()
    arrivals = requests.get(f"{url}/arrivals", timeout=5).json()
    assert [planned for planned, _ in arrivals] == ["2026-03-15T02:00:00.000Z", "2026-03-15T02:00:01.010Z"]
    assert before <= arrivals[0][1] <= arrivals[1][1] <= time.time()
    assert requests.get(f"{url}/arrivals", timeout=5).json() == []


def test_unexpected_calls_are_only_counted(url: str) -> None:
    before = requests.get(f"{url}/count", timeout=5).json()["requests"]
    requests.get(f"{url}/on-time", timeout=5)
    requests.post(f"{url}/", data=b"x" * 100, timeout=5)
    assert requests.get(f"{url}/count", timeout=5).json()["requests"] == before + 2
    assert requests.get(f"{url}/arrivals", timeout=5).json() == []


@pytest.mark.django_db
def test_a_benchmark_refuses_a_database_that_holds_jobs(make_job: Any) -> None:
    make_job()
    with pytest.raises(SystemExit, match="holds jobs"):
        stage.set_up()
