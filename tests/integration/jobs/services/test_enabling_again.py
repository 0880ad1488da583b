"""A job without future occurrences can't be enabled, and its export describes it."""

import datetime
import json
from typing import Any

import pytest

from accounts.models import Environment, Workspace
from accounts.services import create_workspace
from jobs.models import JobEnvironment
from runs.clock.fire import fire_due
from tests.support.api_caller import JOB, Caller, caller
from tests.support.jobs import EPOCH, MakeJob

pytestmark = pytest.mark.django_db
#: Schedules that have ended by now, created while they were in the future.
ENDED: dict[str, dict[str, Any]] = {
    "a one-off": {"schedule": "2026-03-01T12:00:05Z"},
    "a local time": {"schedule": "2026-03-01T13:00:05", "timezone": "Europe/Berlin"},
    "a delay": {"schedule": "2026-03-01T12:10:00.500Z"},
    "a recurring one with an end": {"schedule": {"every_seconds": 60}, "ends_at": "2026-03-01T12:05:00.000Z"},
    "a cron expression with an end": {"schedule": "*/5 * * * *", "ends_at": "2026-03-01T12:07:00.000Z"},
}


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


@pytest.fixture(params=ENDED.values(), ids=ENDED)
def ended(request: pytest.FixtureRequest, make_job: MakeJob) -> JobEnvironment:
    """A job that has fired all its occurrences."""
    row = make_job(slug="once", **request.param)
    for _ in range(3):
        fire_due(EPOCH + datetime.timedelta(minutes=20))
    row.refresh_from_db()
    assert (row.enabled, row.next_fire_at) == (False, None)
    return row


def exported(api: Caller) -> dict[str, Any]:
    return json.loads(api.get("/api/v1/jobs/export/").content)


def imported(api: Caller, content: Any) -> dict[str, Any]:
    return api.ask("POST", "/jobs/import/", {"format": "json", "content": content}, expect=200)


def test_a_job_without_future_occurrences_can_not_be_enabled(api: Caller, ended: JobEnvironment) -> None:
    on = {"environments": {"production": {"enabled": True}}}
    definition = {
        **JOB,
        **{name: ended.job.current_version.config[name] for name in ("schedule", "timezone", "ends_at")},
    }
    for method, body in (("PATCH", on), ("PATCH", {**on, "name": "Other"}), ("PUT", {**definition, **on})):
        named = api.refused(method, "/jobs/once/", body)
        assert named.keys() <= {"schedule", "ends_at"}, named
    ended.refresh_from_db()
    assert not ended.enabled


def test_a_job_without_future_occurrences_can_be_edited(api: Caller, ended: JobEnvironment) -> None:
    api.ask("PATCH", "/jobs/once/", {"name": "Other", "environments": {"production": {"enabled": False}}}, expect=200)
    assert api.ask("PATCH", "/jobs/once/", {"description": "It was."}, expect=200)["version"] == 3
    shown = api.ask("GET", "/jobs/once/", expect=200)
    assert not shown["environments"]["production"]["enabled"]


def test_a_job_without_future_occurrences_is_enabled_by_a_new_time(api: Caller, ended: JobEnvironment) -> None:
    body = {"schedule": "@daily", "ends_at": None, "environments": {"production": {"enabled": True}}}
    shown = api.ask("PATCH", "/jobs/once/", body, expect=200)
    assert shown["environments"]["production"]["next_fire_at"] is not None


def test_its_export_imports_back_and_changes_nothing(api: Caller, ended: JobEnvironment) -> None:
    file = exported(api)
    assert imported(api, file)["unchanged"] == 1
    assert exported(api) == file
    elsewhere = caller(create_workspace(slug="elsewhere", name="Elsewhere"))
    assert imported(elsewhere, file)["created"] == 1
    assert exported(elsewhere) == file
    assert imported(elsewhere, file)["unchanged"] == 1


def test_an_environment_with_its_own_schedule_is_checked_by_that(
    api: Caller, workspace: Workspace, ended: JobEnvironment
) -> None:
    for slug in ("weekly", "past"):
        Environment.objects.create(workspace=workspace, slug=slug, name=slug)
    own = {"schedule": "@weekly", "ends_at": None}
    body: Any = {"environments": {"weekly": {"enabled": True, "overrides": own}}}
    shown = api.ask("PATCH", "/jobs/once/", body, expect=200)
    assert shown["environments"]["weekly"]["next_fire_at"] is not None
    for enabled in (False, True):
        api.ask("PATCH", "/jobs/once/", {"environments": {"weekly": {"enabled": enabled}}}, expect=200)
    body = {"environments": {"past": {"enabled": True, "overrides": {"request": {"method": "GET"}}}}}
    assert api.refused("PATCH", "/jobs/once/", body).keys() & {"schedule", "ends_at"}
    past = {"schedule": "2020-01-01T00:00:00Z", "ends_at": None}
    body = {"environments": {"past": {"enabled": True, "overrides": past}}}
    assert api.refused("PATCH", "/jobs/once/", body).keys() == {"environments.past.overrides.schedule"}
    shown = api.ask(
        "PATCH", "/jobs/once/", {"environments": {"past": {"enabled": False, "overrides": past}}}, expect=200
    )
    named = api.refused("PATCH", "/jobs/once/", {"environments": {"past": {"enabled": True}}})
    assert named.keys() == {"environments.past.overrides.schedule"}
