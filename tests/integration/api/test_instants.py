"""Instants at the limits of the calendar: an answer or a reasoned refusal, never an internal error."""

import datetime
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Workspace
from accounts.quota import parse_month
from api.base.document import document
from core.instants import EARLIEST, LATEST, InvalidInstantError, instant_text, read_instant
from tests.support.admin_rows import person, signed_in
from tests.support.api_caller import Caller, caller, make_execution, make_run
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
EXTREMES = (
    "0001-01-01T00:00:00Z",
    "0001-01-01",
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00-14:00",
    "0001-01-01T23:59:59.999999+23:59",
    "1899-12-31T23:59:59.999999Z",
    "1900-01-01T00:00:00+00:01",
    "1969-12-31T23:59:59.999Z",
    "1970-01-01T00:00:00Z",
    "9998-12-31T23:59:59.999999Z",
    "9999-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.999999-14:00",
    "9999-12-31T23:59:59.999999+14:00",
    "9999-12-31",
    "9999-W52-7",
    "10000-01-01T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "0000-00-00T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-03-15T24:00:00Z",
    "2026-03-15T23:59:60Z",
    "2026-03-15T02:00:00+24:00",
    "1" * 900,
)
#: It lasts for minutes; its filters are those of lists, without times.
ENDLESS = "/api/v1/events/"


def dated_parameters() -> list[tuple[str, str]]:
    """Return path and name of each query parameter that is an instant, by the document."""
    return [
        (path, one["name"])
        for path, methods in document()["paths"].items()
        for one in methods.get("get", {}).get("parameters", [])
        if one["in"] == "query" and one["schema"].get("format") == "date-time"
    ]


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


@pytest.fixture
def paths(make_job: MakeJob) -> dict[str, str]:
    """Fill each part of a path with a job that fires and has history."""
    state = make_job(slug="report", schedule={"every_seconds": 60})
    execution = make_execution(state)
    make_run(execution)
    return {"job": "report", "execution": str(execution.pk)}


def test_every_time_parameter_is_in_the_document() -> None:
    known = dated_parameters()
    assert {name for _, name in known} == {"from", "to", "at"}
    assert {"/api/v1/stats/", "/api/v1/jobs/{job}/ledger/at/", "/api/v1/audit-log/"} <= {path for path, _ in known}
    assert len(known) >= 14


@pytest.mark.parametrize(("path", "name"), dated_parameters())
def test_every_time_in_a_query_is_accepted_or_refused(api: Caller, paths: dict[str, str], path: str, name: str) -> None:
    for extreme in EXTREMES:
        answer = api.get(path.format(**paths), {name: extreme})
        assert answer.status_code in {200, 400}, (path, name, answer.content)
        if answer.status_code == 400:
            assert {error["field"] for error in answer.json()["errors"]} <= {"from", "to", "at", "bucket"} | {None}


def test_both_ends_of_every_range_together_are_accepted_or_refused(api: Caller, paths: dict[str, str]) -> None:
    known = dated_parameters()
    spans = [path for path, name in known if name == "from" and (path, "to") in known]
    for path, (start, end) in itertools.product(spans, itertools.permutations(EXTREMES[::5], 2)):
        answer = api.get(path.format(**paths), {"from": start, "to": end})
        assert answer.status_code in {200, 400}, (path, start, end, answer.content)


def test_a_range_without_ends_contains_everything(api: Caller, paths: dict[str, str]) -> None:
    span = {"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59.999999Z"}
    for path in ("/executions/", "/runs/", "/jobs/report/executions/"):
        assert len(api.get(f"/api/v1{path}", span).json()["results"]) == 1


#: Bodies with an instant, by its field.
DATED = {
    "starts_at": ("POST", "/jobs/", {"name": "x", "schedule": "@daily", "request": {"url": "http://receiver.test/"}}),
    "ends_at": ("POST", "/jobs/", {"name": "x", "schedule": "@daily", "request": {"url": "http://receiver.test/"}}),
    "schedule": ("POST", "/jobs/", {"name": "x", "request": {"url": "http://receiver.test/"}}),
    "until": ("POST", "/jobs/report/pause/", {}),
    "expires_at": ("POST", "/keys/", {"name": "x", "scopes": ["jobs:read"]}),
    "from": ("POST", "/schedules/preview/", {"schedule": {"every_seconds": 90}, "timezone": "Pacific/Kiritimati"}),
    "ends_at in a preview": (
        "POST",
        "/schedules/preview/",
        {"schedule": "0 0 * * *", "timezone": "Pacific/Kiritimati"},
    ),
    "starts_at in a preview": ("POST", "/schedules/preview/", {"schedule": "0 0 29 2 *", "timezone": "Asia/Tokyo"}),
    "schedule in a preview": ("POST", "/schedules/preview/", {"timezone": "Pacific/Pago_Pago"}),
}


@pytest.mark.parametrize("field", DATED)
def test_every_time_in_a_body_is_accepted_or_refused(api: Caller, paths: dict[str, str], field: str) -> None:
    for extreme in EXTREMES:
        ask_with(api, field, extreme)
    # An accepted instant is shown.
    for shown in ("/jobs/", "/stats/"):
        assert api.get(f"/api/v1{shown}").status_code == 200, shown


def ask_with(api: Caller, field: str, extreme: str) -> None:
    method, path, body = DATED[field]
    name = field.partition(" ")[0]
    answer = api.generic(method, f"/api/v1{path}", as_json({**body, name: extreme}), content_type="application/json")
    assert answer.status_code in {200, 201, 400}, answer.content
    if answer.status_code == 400:
        assert {name, "schedule"} & {error["field"] for error in answer.json()["errors"]}


def as_json(body: Any) -> bytes:
    return json.dumps(body).encode()


def test_times_in_bulk_filters_are_accepted_or_refused(api: Caller) -> None:
    for name, extreme in itertools.product(("from", "to"), EXTREMES):
        body = {"filter": {name: extreme}, "dry_run": True}
        answer = api.generic("POST", "/api/v1/executions/cancel/", as_json(body), content_type="application/json")
        assert answer.status_code in {200, 400}, answer.content


@pytest.mark.parametrize("extreme", EXTREMES[1::4])
def test_dashboard_pages_accept_any_time(workspace: Workspace, make_job: MakeJob, extreme: str) -> None:
    client = signed_in(person("olga", workspace=workspace))
    job = make_job(schedule={"every_seconds": 60}, timezone="Pacific/Kiritimati").job
    for page in (f"jobs/job/{job.pk}/change/?at={extreme}", f"runs/execution/?from={extreme}&to={extreme}"):
        assert client.get(f"/admin/{page}").status_code == 200, page


@pytest.mark.parametrize(
    "period",
    ["0000-01", "0001-01", "1899-12", "9999-12", "9998-12", "1900-01", "10000-01", "2026-13", "2026-00"],
)
def test_a_month_at_the_ends_of_the_calendar_is_accepted_or_refused(api: Caller, period: str) -> None:
    answer = api.get("/api/v1/usage/", {"period": period})
    month = parse_month(period)
    assert answer.status_code == (400 if month is None else 200), answer.content
    if month is not None:
        assert answer.json()["period"] == period


@given(st.datetimes(timezones=st.timezones()) | st.datetimes(timezones=st.just(datetime.UTC)))
def test_a_formatted_instant_parses_to_itself(at: datetime.datetime) -> None:
    text = at.isoformat()
    try:
        found = read_instant(text)
    except InvalidInstantError:
        assert at.year < EARLIEST.year + 1 or at.year >= LATEST.year
        return
    assert EARLIEST <= found <= LATEST
    assert read_instant(instant_text(found)) == found.replace(microsecond=found.microsecond // 1000 * 1000)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for zone in (None, datetime.UTC):
        try:
            found = read_instant(text, zone=zone)
        except InvalidInstantError:
            continue
        assert found.tzinfo is datetime.UTC
