"""What all tests share: a workspace, and jobs made through the same verbs as everybody's."""

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as examples
from whitenoise.middleware import WhiteNoiseMiddleware

from accounts.actors import SYSTEM
from accounts.models import Workspace
from accounts.services import create_workspace
from jobs.models import Job, JobEnvironment
from jobs.services.save import save_job
from tests.support.jobs import EPOCH, MakeJob, job_config

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
    settings.API_RATE = settings.HOOK_RATE = None


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """Passwords cost half a second each where they are real; what tests make of them is the same."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True, scope="session")
def static_files_found_once() -> Iterator[None]:
    """WhiteNoise lists all static files whenever a test's client loads the middleware: a tenth of a second each."""
    list_files = WhiteNoiseMiddleware.add_files_from_finders
    found: dict[str, Any] = {}

    def list_once(middleware: WhiteNoiseMiddleware) -> None:
        if not found:
            list_files(middleware)
            found.update(middleware.files)
        middleware.files.update(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", list_once)
        yield


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
            actor=SYSTEM,
        )
        return JobEnvironment.objects.select_related("job__current_version", "environment").get(job=job)

    return make
