"""Every filter of the history, alone and combined, in every order and on every page, against a plain scan."""

import datetime
import random
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

import pytest

from accounts.models import Environment, Workspace
from accounts.services import create_workspace
from api.runs.filters import ExecutionFields
from jobs.models import Job, JobEnvironment
from runs.models import Execution
from tests.support.api_caller import NOW, Caller, caller, make_execution
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
_TERMINAL = ("succeeded", "failed", "canceled", "skipped")
_CHOICES: dict[str, list[str]] = {
    "status": ["failed", "succeeded", "pending", "running", "failed,canceled", "pending,succeeded", "skipped"],
    "trigger": ["schedule", "manual", "manual,replay", "retry"],
    "environment": ["production", "staging", "production,staging", "nowhere"],
    "failure_reason": ["timeout", "ssl_error", "dns_error"],
    "job": ["job-1", "job-4"],
    "job_name": ["report", "REPORT 1", "none"],
    "tag": ["billing", "rare", "none"],
    "search": ["timed OUT", "receiver.test/1", "100%", "none"],
    "from": ["2026-03-01T12:00:40Z"],
    "to": ["2026-03-01T12:01:30Z"],
    "last_only": ["true"],
}


@pytest.fixture
def history(workspace: Workspace, make_job: MakeJob) -> list[Execution]:
    """200 executions of a few jobs, in random order, many at the same instant."""
    rng = random.Random(5)
    staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    states = []
    for number in range(6):
        tags = ["billing"] if number % 2 else ["billing", "rare"] if number == 2 else []
        state = make_job(
            slug=f"job-{number}", name=f"Report {number}", tags=tags, request={"url": f"http://receiver.test/{number}"}
        )
        states.append(state)
        if number < 3:
            states.append(JobEnvironment.objects.create(workspace=workspace, job=state.job, environment=staging))
    return [_some_execution(rng.choice(states), rng) for _ in range(200)]


def _some_execution(state: JobEnvironment, rng: random.Random) -> Execution:
    status = rng.choice([*_TERMINAL, "succeeded", "succeeded", "pending", "running"])
    at = NOW + datetime.timedelta(seconds=rng.randrange(120))
    live = status not in _TERMINAL
    reason = rng.choice(["timeout", "timeout", "ssl_error"]) if status == "failed" else ""
    return make_execution(
        state,
        status=status,
        trigger=rng.choice(["manual", "replay", "retry"]),
        created_at=at,
        started_at=None if status in ("skipped", "pending") else at,
        finished_at=None if live else at + datetime.timedelta(milliseconds=rng.randrange(50)),
        skip_reason="missed" if status == "skipped" else "",
        failure_reason=reason,
        error={"timeout": "timed out after 30 s", "ssl_error": "100% expired"}.get(reason, ""),
        next_attempt_at=at if live else None,
        lease_owner="worker" if status == "running" else None,
        lease_expires_at=at if status == "running" else None,
    )


def _read_plainly(query: dict[str, str]) -> list[Execution]:
    """Apply a query row by row, as the documentation defines it."""
    rows = [row for row in Execution.objects.select_related("job", "environment") if _matches(row, query)]
    rows.sort(key=lambda row: (row.due_at, row.pk))
    if "last_only" in query:
        rows = list({row.job_environment_id: row for row in rows if row.status in _TERMINAL}.values())
    match query.get("sort"):
        case "created_at":
            rows.sort(key=lambda row: row.pk)
        case "duration":
            descending = query.get("order") != "asc"
            rows.sort(key=lambda row: (_took(row, -1 if descending else 1e9), row.pk))
        case _:
            rows.sort(key=lambda row: (row.due_at, row.pk))
    return rows if query.get("order") == "asc" else rows[::-1]


def _took(row: Execution, never: float) -> float:
    return (row.finished_at - row.started_at).total_seconds() if row.started_at and row.finished_at else never


def _matches(row: Execution, query: dict[str, str]) -> bool:
    text = query.get("search", "").lower()
    holds = {
        "status": lambda value: row.status in value.split(","),
        "trigger": lambda value: row.trigger in value.split(","),
        "environment": lambda value: row.environment.slug in value.split(","),
        "failure_reason": lambda value: row.failure_reason == value,
        "job": lambda value: row.job.slug == value,
        "job_name": lambda value: value.lower() in row.job.name.lower(),
        "tag": lambda value: value in row.job.tags,
        "search": lambda _: text in row.error.lower() or text in row.job.url.lower(),
        "from": lambda value: row.due_at >= datetime.datetime.fromisoformat(value),
        "to": lambda value: row.due_at < datetime.datetime.fromisoformat(value),
    }
    return all(holds[name](value) for name, value in query.items() if name in holds)


def _all_pages(api: Caller, query: dict[str, str], limit: int) -> Iterable[str]:
    """Return the ids of all pages; paging back must give the same pages."""
    pages = [api.ask("GET", f"/executions/?{urlencode({**query, 'limit': str(limit)})}", expect=200)]
    while pages[-1]["next"]:
        pages.append(_follow(api, pages[-1]["next"]))
    page = pages[-1]
    for earlier in reversed(pages[:-1]):
        page = _follow(api, page["previous"])
        assert page["results"] == earlier["results"]
    return [row["id"] for page in pages for row in page["results"]]


def _follow(api: Caller, link: str) -> Any:
    return api.ask("GET", link.partition("/api/v1")[2], expect=200)


def _queries(count: int) -> Iterable[dict[str, str]]:
    """Yield each filter alone, then some combinations, in some order."""
    yield {}
    for name, values in _CHOICES.items():
        yield from ({name: value} for value in values)
    rng = random.Random(7)
    for _ in range(count):
        names = rng.sample(sorted(_CHOICES), rng.randrange(1, 4))
        query = {name: rng.choice(_CHOICES[name]) for name in names}
        sort = rng.choice(["scheduled_for", "created_at", "duration"])
        yield {**query, "sort": sort, "order": rng.choice(["asc", "desc"])}


@pytest.mark.usefixtures("history")
def test_every_filter_has_values_here() -> None:
    assert set(_CHOICES) == set(ExecutionFields().fields)


def test_each_query_agrees_with_a_plain_scan_on_every_page(workspace: Workspace) -> None:
    api = caller(workspace)
    for query in _queries(40):
        wanted = [str(row.pk) for row in _read_plainly(query)]
        found = list(_all_pages(api, query, 37))
        assert found == wanted, query


@pytest.mark.usefixtures("history")
def test_offset_counts_from_the_first_row_of_any_filter(workspace: Workspace) -> None:
    api = caller(workspace)
    for query in ({}, {"status": "failed"}, {"tag": "billing"}, {"search": "timed"}, {"last_only": "true"}):
        whole = [str(row.pk) for row in _read_plainly(query)]
        page = api.ask("GET", f"/executions/?{urlencode({**query, 'limit': '5', 'offset': '4'})}", expect=200)
        assert [row["id"] for row in page["results"]] == whole[4:9], query


@pytest.mark.usefixtures("history")
def test_a_key_bound_to_an_environment_finds_only_what_is_there(workspace: Workspace) -> None:
    staging = workspace.environments.get(slug="staging")
    api = caller(workspace, environments=[staging])
    for query in _queries(10):
        wanted = [str(row.pk) for row in _read_plainly(query) if row.environment_id == staging.pk]
        if "last_only" not in query:
            assert list(_all_pages(api, query, 100)) == wanted, query
    everything = api.ask("GET", "/executions/?last_only=true")["results"]
    assert {row["environment"] for row in everything} == {"staging"}
    assert len(everything) == 3


@pytest.mark.usefixtures("history")
def test_nothing_of_another_workspace_is_found() -> None:
    other = caller(create_workspace(slug="other", name="Other"))
    for query in _queries(10):
        assert other.ask("GET", f"/executions/?{urlencode(query)}", expect=200)["results"] == []
    assert other.ask("GET", f"/executions/?job={Job.objects.all()[0].pk}", expect=200)["results"] == []
