"""The form's preview of a schedule while typing: the API's words, firings and warnings."""

import datetime
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Workspace
from tests.support.admin_rows import HOSTILE, person, signed_in
from tests.support.api_caller import caller
from tests.support.dashboard_pages import words_of
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(workspace: Workspace) -> Client:
    return signed_in(person("mara", workspace=workspace, role="member"))


def previewed_by_the_api(workspace: Workspace, **timing: Any) -> dict[str, Any]:
    found: dict[str, Any] = caller(workspace).ask("POST", "/schedules/preview/", {**timing, "count": 5})
    return found


@pytest.mark.parametrize(
    "timing",
    [
        {"schedule": "30 2 * * *", "timezone": "Europe/Berlin"},
        {"schedule": "30 2 * * *", "timezone": "Europe/Berlin", "dst_gap": "skip", "dst_fold": "both"},
        {"schedule": "every weekday at 9am", "timezone": "America/New_York"},
        {"schedule": "0 0 13 * 5", "timezone": "UTC", "ends_at": "2036-06-01T00:00:00Z"},
        {"schedule": "2036-03-30T02:30", "timezone": "Europe/Berlin"},
        {"schedule": "0 3 * * *", "timezone": "UTC", "starts_at": "2036-01-01T00:00:00Z"},
        {"schedule": "2020-01-01T00:00", "timezone": "UTC"},
    ],
)
def test_the_form_previews_with_the_apis_text(member: Client, workspace: Workspace, timing: dict[str, Any]) -> None:
    typed = {field: str(value).removesuffix("Z") for field, value in timing.items()}
    page = member.get(reverse("admin:jobs_job_preview"), typed).content.decode()
    told = previewed_by_the_api(workspace, **timing)
    assert told["description"] in words_of(page)
    for warning in told["warnings"]:
        # One of them contains the instant of the request.
        assert re.sub(r"T.*", "", warning) in words_of(page)
    for at in told["next"]:
        assert (
            datetime.datetime.fromisoformat(at).isoformat()
            in member.get(reverse("admin:jobs_job_preview"), typed).content.decode()
        )


def test_a_preview_of_an_interval_counts_from_the_jobs_creation(member: Client, make_job: MakeJob) -> None:
    row = make_job(schedule={"every_seconds": 86_400})
    asked = {"schedule": '{"every_seconds": 86400}', "timezone": "UTC"}
    url = reverse("admin:jobs_job_preview")
    page = member.get(url, {**asked, "job": row.job_id}).content.decode()
    assert "T12:00:00+00:00" in page  # EPOCH is at noon
    assert member.get(url, {**asked, "job": "0197f000-0000-7000-8000-000000000000"}).status_code == 404
    assert member.get(url, {**asked, "job": HOSTILE}).status_code == 404


@pytest.mark.parametrize(
    ("field", "typed", "label"),
    [
        ("timezone", "", "Time zone:"), ("timezone", "Mars/Olympus", "Time zone:"), ("schedule", HOSTILE, "Schedule:"),
        ("starts_at", "soon", "Starts:"), ("ends_at", "2020-01-01T00:00", "Ends:"),
        ("dst_gap", "leap", "the hour is skipped:"),
        ("schedule", '{"every_seconds": 0}', "Schedule:"), ("schedule", "x" * 900, "Schedule:"),
    ],
)  # fmt: skip
def test_a_preview_names_the_wrong_field(member: Client, field: str, typed: str, label: str) -> None:
    sent = {"schedule": "0 2 * * *", "timezone": "UTC", "starts_at": "2026-01-01T00:00", field: typed}
    page = member.get(reverse("admin:jobs_job_preview"), sent).content.decode()
    assert label in words_of(page)
    assert "<script>" not in page
