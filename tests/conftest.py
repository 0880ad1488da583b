"""What all tests share: a workspace, and jobs made through the same verbs as everybody's."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as examples

from accounts.models import Workspace
from accounts.services import create_workspace
from jobs.models import Job, JobEnvironment
from jobs.services import save_job

# How fast a shared machine makes examples is nothing that a test asserts.
examples.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
examples.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the acceptance tests at their full length")


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--full"))


@pytest.fixture(autouse=True)
def unlimited(settings: Any) -> None:
    """Tests ask faster than any customer; those of the rate limit set one."""
    settings.API_RATE = None


EPOCH = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)


def job_config(**changes: Any) -> dict[str, Any]:
    """A complete, valid definition of a manual job, with these fields changed; nested ones by dictionaries."""
    config: dict[str, Any] = {
        "name": "Nightly report",
        "description": "",
        "tags": [],
        "kind": "http",
        "schedule": None,
        "timezone": "UTC",
        "starts_at": None,
        "ends_at": None,
        "jitter_seconds": 0,
        "dst_gap": "shift",
        "dst_fold": "first",
        "overlap": "allow",
        "misfire": "fire_once",
        "misfire_grace_seconds": 3600,
        "request": {
            "url": "http://receiver.test/ok",
            "method": "POST",
            "headers": {},
            "body": None,
            "timeout_seconds": 30,
            "tls_verify": True,
            "ca_cert": None,
            "client_cert": None,
        },
        "success": {"statuses": ["2xx"], "assertions": []},
        "retry": {
            "policy": None,
            "max_attempts": 3,
            "backoff": "exponential",
            "delay_ms": 250,
            "max_delay_ms": 10_800_000,
            "delays_ms": None,
            "jitter": True,
            "on_statuses": [429, 500, 502, 503, 504],
            "except_statuses": [],
            "on_timeout": True,
            "on_connection_error": True,
            "on_assertion": False,
            "on_worker_lost": True,
            "honor_retry_after": True,
        },
        "callback_url": None,
        "concurrency": None,
        "command": None,
        "workflow": None,
        "retention": {"keep_last": 100, "keep_days": None},
    }
    for field, value in changes.items():
        config[field] = {**config[field], **value} if isinstance(value, dict) and field != "schedule" else value
    return config


MakeJob = Callable[..., JobEnvironment]


@pytest.fixture
def fresh_tables(db: None) -> None:
    """Tables as new: rows that other tests rolled back fill pages, and what the planner believes of them is theirs."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE accounts_workspace, runs_digest, runs_endedslip CASCADE")


@pytest.fixture
def workspace(db: None) -> Workspace:
    return create_workspace(slug="acme", name="Acme")


@pytest.fixture
def make_job(workspace: Workspace) -> MakeJob:
    """Make a job by its definition's changes; answers with its state in `production`."""

    def make(*, slug: str | None = None, now: datetime.datetime = EPOCH, **changes: Any) -> JobEnvironment:
        job: Job = save_job(
            workspace=workspace,
            job=None,
            slug=slug,
            config=job_config(**changes),
            environments=None,
            now=now,
        )
        return JobEnvironment.objects.select_related("job__current_version", "environment").get(job=job)

    return make
