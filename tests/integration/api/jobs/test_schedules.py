"""POST /schedules/preview/: explain a schedule without creating a job."""

import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Scope, Workspace
from jobs.models import Job
from tests.support.api_caller import JOB, Caller, caller

pytestmark = pytest.mark.django_db
PATH = "/schedules/preview/"
FROM = "2027-03-26T12:00:00.000Z"


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace, scopes=[Scope.JOBS_READ])


def test_shows_normal_form_words_firings_and_dst_changes(api: Caller) -> None:
    asked = {"schedule": "every day at 2:30", "timezone": "Europe/Berlin", "count": 3, "from": FROM}
    assert api.ask("POST", PATH, asked, expect=200) == {
        "normalized": "30 2 * * *",
        "description": "At 02:30",
        "type": "recurring",
        "next": ["2027-03-27T01:30:00.000Z", "2027-03-28T01:00:00.000Z", "2027-03-29T00:30:00.000Z"],
        "warnings": [
            "On 2027-03-28 in Europe/Berlin 02:30 does not exist: it fires at 03:00 instead.",
            "On 2027-10-31 in Europe/Berlin 02:30 happens twice: it fires the first time only.",
        ],
    }


def test_respects_gap_fold_and_dates(api: Caller) -> None:
    asked = {
        "schedule": "30 2 * * *",
        "timezone": "Europe/Berlin",
        "dst_gap": "skip",
        "starts_at": "2027-03-28T00:00:00Z",
        "ends_at": "2027-03-30T00:30:00Z",
        "from": FROM,
    }
    found = api.ask("POST", PATH, asked, expect=200)
    assert found["next"] == ["2027-03-29T00:30:00.000Z", "2027-03-30T00:30:00.000Z"]
    assert found["warnings"] == ["On 2027-03-28 in Europe/Berlin 02:30 does not exist: it is skipped."]


@pytest.mark.parametrize(
    ("spelled", "kind", "first"),
    [
        ("now", "one_off", [FROM]),
        ("in 10 minutes", "one_off", ["2027-03-26T12:10:00.000Z"]),
        ("2027-04-01T09:00:00", "one_off", ["2027-04-01T09:00:00.000Z"]),
        ({"every_seconds": 90}, "recurring", ["2027-03-26T12:01:30.000Z"]),
        ("0 12 * * *", "recurring", ["2027-03-27T12:00:00.000Z"]),
        (None, "manual", []),
    ],
)
def test_every_kind_of_schedule(api: Caller, spelled: Any, kind: str, first: list[str]) -> None:
    found = api.ask("POST", PATH, {"schedule": spelled, "from": FROM, "count": 1}, expect=200)
    assert (found["type"], found["next"]) == (kind, first)
    again = api.ask("POST", PATH, {"schedule": found["normalized"], "from": FROM, "count": 1}, expect=200)
    assert again == found


def test_reports_a_schedule_that_never_fires_again(api: Caller) -> None:
    found = api.ask("POST", PATH, {"schedule": "2026-01-01T00:00:00Z", "from": FROM}, expect=200)
    assert (found["next"], found["warnings"]) == ([], [f"It does not fire after {FROM}."])


@pytest.mark.parametrize(
    ("asked", "field", "code"),
    [
        ({}, "schedule", "required"),
        ({"schedule": "whenever"}, "schedule", "invalid"),
        ({"schedule": "0 0 31 2 *"}, "schedule", "invalid"),
        ({"schedule": "0 " * 300}, "schedule", "invalid"),
        ({"schedule": {"every_seconds": 0}}, "schedule", "invalid"),
        ({"schedule": "in 9 weeks", "from": "9999-12-31T00:00:00Z"}, "from", "invalid"),
        ({"schedule": "@daily", "timezone": "Berlin"}, "timezone", "invalid"),
        ({"schedule": "@daily", "dst_gap": "jump"}, "dst_gap", "invalid_choice"),
        ({"schedule": "@daily", "dst_fold": None}, "dst_fold", "null"),
        ({"schedule": "@daily", "count": 101}, "count", "max_value"),
        ({"schedule": "@daily", "count": 0}, "count", "min_value"),
        ({"schedule": "@daily", "from": "2027-03-26T12:00:00"}, "from", "no_offset"),
        ({"schedule": "@daily", "starts_at": FROM, "ends_at": FROM}, "ends_at", "invalid"),
        ({"schedule": "@daily", "colour": "red"}, "colour", "unknown_field"),
    ],
)
def test_an_error_is_named(api: Caller, asked: dict[str, Any], field: str, code: str) -> None:
    assert api.refused("POST", PATH, asked) == {field: code}


def test_writes_nothing(api: Caller) -> None:
    api.ask("POST", PATH, {"schedule": "@daily"}, expect=200)
    with CaptureQueriesContext(connection) as queries:
        api.ask("POST", PATH, {"schedule": "* * * * * *", "count": 100}, expect=200)
    written = [query["sql"] for query in queries if not query["sql"].startswith("SELECT")]
    assert all(sql.startswith('UPDATE "accounts_apikey"') for sql in written), "only when the key was used"
    assert not Job.objects.exists()


def test_a_job_stores_the_instant_of_a_delay(workspace: Workspace) -> None:
    client = caller(workspace)
    made = client.ask("POST", "/jobs/", {**JOB, "schedule": "in 10 minutes"}, expect=201)
    at = datetime.datetime.fromisoformat(made["schedule"])
    assert at - datetime.datetime.fromisoformat(made["created_at"]) == datetime.timedelta(minutes=10)
    assert made["environments"]["production"]["next_fire_at"] == made["schedule"] == made["schedule_normalized"]
    again = client.ask("PATCH", "/jobs/nightly-report/", {"name": "Later"}, expect=200)
    assert again["schedule"] == made["schedule"]


def test_a_job_returns_its_words_and_follows_its_gap(workspace: Workspace) -> None:
    client = caller(workspace)
    body = {**JOB, "schedule": "every day at 9:00 and 17:30", "dst_gap": "skip", "dst_fold": "both"}
    made = client.ask("POST", "/jobs/", body, expect=201)
    assert made["schedule"] == "every day at 9:00 and 17:30"
    assert made["schedule_normalized"] == "every day at 09:00 and 17:30"
    assert made["schedule_description"] == "At 09:00 and 17:30"
    assert (made["dst_gap"], made["dst_fold"]) == ("skip", "both")
    changed = client.ask("PATCH", "/jobs/nightly-report/", {"dst_gap": "shift"}, expect=200)
    assert changed["version"] == 2
