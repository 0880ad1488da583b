"""The dashboard's buttons and forms, which use the API's services and validator."""

import datetime
import re
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.keys import digest_of
from accounts.models import ApiKey, Environment, Workspace
from jobs.models import Job, JobEnvironment, JobVersion
from jobs.services.save import save_job
from runs.models import Execution
from tests.support.admin_rows import admin_action, execution_of, person, signed_in
from tests.support.job_forms import FORM, form_of
from tests.support.jobs import EPOCH, MakeJob, job_config

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(workspace: Workspace) -> Client:
    return signed_in(person("mara", workspace=workspace, role="owner"))


def messages_of(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def test_run_now_creates_a_manual_execution_and_shows_it(member: Client, make_job: MakeJob) -> None:
    row = make_job(schedule="0 2 * * *")
    answer: Any = member.post(reverse("admin:runs_execution_run_now", args=[row.pk]))
    made = Execution.objects.get()
    assert (made.trigger, made.status, made.job_environment_id) == ("manual", "pending", row.pk)
    assert answer.headers["Location"] == reverse("admin:runs_execution_change", args=[made.pk])


def test_run_now_explains_a_refusal(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    JobEnvironment.objects.filter(pk=row.pk).update(enabled=False)
    answer = member.post(reverse("admin:runs_execution_run_now", args=[row.pk]))
    assert "not enabled" in messages_of(answer)
    assert not Execution.objects.exists()


@pytest.mark.parametrize(("config", "number"), [("current", 2), ("original", 1)])
def test_replay_creates_a_new_execution(
    member: Client, make_job: MakeJob, workspace: Workspace, config: str, number: int
) -> None:
    row = make_job()
    old = execution_of(row, status="failed")
    save_job(
        workspace=workspace, job=row.job, slug=None, config=job_config(name="Newer"), environments=None,
        now=EPOCH, actor=SYSTEM,
    )  # fmt: skip
    member.post(reverse("admin:runs_execution_replay", args=[old.pk]), {"config": config})
    made = Execution.objects.get(trigger="replay")
    assert made.replay_of_id == old.pk
    assert made.job_version.number == number
    old.refresh_from_db()
    assert old.status == "failed"
    assert str(made.pk) in member.get(reverse("admin:runs_execution_change", args=[old.pk])).content.decode()


def test_retry_creates_an_execution_for_a_failed_one_only(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    failed, ended = execution_of(row, status="failed"), execution_of(row, status="succeeded")
    page = member.get(reverse("admin:runs_execution_change", args=[failed.pk])).content.decode()
    assert reverse("admin:runs_execution_retry", args=[failed.pk]) in page
    answer: Any = member.post(reverse("admin:runs_execution_retry", args=[failed.pk]))
    made = Execution.objects.get(trigger="retry")
    assert (made.replay_of_id, made.status) == (failed.pk, "pending")
    assert answer.headers["Location"] == reverse("admin:runs_execution_change", args=[made.pk])
    member.get(reverse("admin:index"))
    assert "succeeded" in messages_of(member.post(reverse("admin:runs_execution_retry", args=[ended.pk])))
    page = member.get(reverse("admin:runs_execution_change", args=[ended.pk])).content.decode()
    assert reverse("admin:runs_execution_retry", args=[ended.pk]) not in page


def test_cancel_ends_live_executions_only(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    waiting, ended = execution_of(row, status="pending"), execution_of(row, status="succeeded")
    assert "Execution canceled." in messages_of(member.post(reverse("admin:runs_execution_cancel", args=[waiting.pk])))
    member.get(reverse("admin:index"))
    assert "succeeded" in messages_of(member.post(reverse("admin:runs_execution_cancel", args=[ended.pk])))
    waiting.refresh_from_db()
    ended.refresh_from_db()
    assert (waiting.status, ended.status) == ("canceled", "succeeded")
    in_flight = execution_of(row, status="running")
    member.get(reverse("admin:index"))
    assert "Cancel…" in member.get(reverse("admin:runs_execution_change", args=[in_flight.pk])).content.decode()
    assert "may have arrived" in messages_of(member.post(reverse("admin:runs_execution_cancel", args=[in_flight.pk])))
    assert in_flight.runs.get().status == "canceled"


def test_pause_and_resume(member: Client, make_job: MakeJob) -> None:
    row = make_job(schedule="0 2 * * *")
    until = (timezone.now() + datetime.timedelta(days=3)).replace(second=0, microsecond=0)
    wanted = {"environment": "production", "until": f"{until:%Y-%m-%dT%H:%M}", "note": "Moving"}
    member.post(reverse("admin:jobs_job_pause", args=[row.job_id]), wanted)
    row.refresh_from_db()
    assert row.paused_at is not None
    assert (row.paused_until, row.pause_note) == (until, "Moving")
    member.post(reverse("admin:jobs_job_resume", args=[row.job_id]), {"environment": "production"})
    row.refresh_from_db()
    assert row.paused_at is None
    assert row.next_fire_at is not None


@pytest.mark.parametrize(
    ("until", "expected"), [("2020-01-01T00:00", "should be in the future"), ("soon", "Should be a date and a time")]
)
def test_a_pause_needs_an_end_in_the_future(member: Client, make_job: MakeJob, until: str, expected: str) -> None:
    row = make_job(schedule="0 2 * * *")
    wanted = {"environment": "production", "until": until, "note": "Kept <b>as it was"}
    page = member.post(reverse("admin:jobs_job_pause", args=[row.job_id]), wanted).content.decode()
    form = page.partition('<details class="hh-drop" open>')[2].partition("</details>")[0]
    assert expected in form.partition('id="id_pause_production_until_error"')[2]
    assert 'value="Kept &lt;b&gt;as it was"' in form
    row.refresh_from_db()
    assert row.paused_at is None


def test_buttons_refuse_get_and_a_missing_csrf_token(workspace: Workspace, make_job: MakeJob) -> None:
    user = person("mara", workspace=workspace, role="owner")
    row = make_job(schedule="0 2 * * *")
    execution = execution_of(row, status="pending")
    key = ApiKey.objects.create(workspace=workspace, name="k", prefix="hh_x", digest="d", scopes=[])
    buttons = [
        reverse("admin:runs_execution_run_now", args=[row.pk]),
        reverse("admin:runs_execution_replay", args=[execution.pk]),
        reverse("admin:runs_execution_retry", args=[execution.pk]),
        reverse("admin:runs_execution_cancel", args=[execution.pk]),
        reverse("admin:jobs_job_pause", args=[row.job_id]),
        reverse("admin:jobs_job_resume", args=[row.job_id]),
        reverse("admin:accounts_apikey_revoke", args=[key.pk]),
        reverse("admin:runs_execution_delete_job", args=[row.job_id]),
        reverse("admin:jobs_job_restore", args=[row.job_id, 1]),
    ]
    for url in buttons:
        assert signed_in(user).get(url).status_code == 405, url
        assert signed_in(user, checks_csrf=True).post(url).status_code == 403, url
    for changelist in ("jobs_job", "runs_execution"):
        action = admin_action(signed_in(user, checks_csrf=True), changelist, "cancel", [execution.pk], confirmed=True)
        assert action.status_code == 403
    delete = reverse("admin:jobs_job_delete", args=[row.job_id])
    assert signed_in(user).get(delete).status_code == 200  # only asks
    assert signed_in(user, checks_csrf=True).post(delete).status_code == 403
    assert Execution.objects.get().status == "pending"
    assert Job.objects.live().exists()


def test_a_job_is_created_by_the_form(member: Client) -> None:
    answer: Any = member.post(reverse("admin:jobs_job_add"), FORM)
    job = Job.objects.get()
    assert answer.headers["Location"] == reverse("admin:jobs_job_page", args=[job.pk])
    assert job.current_version is not None
    config = job.current_version.config
    assert (job.slug, config["schedule"], config["timezone"], config["tags"]) == (
        "ping", "*/5 * * * *", "Europe/Berlin", ["a", "b"],
    )  # fmt: skip
    assert config["request"]["headers"] == {"X-One": "1", "X-Two": "a: b"}
    assert (config["request"]["body"], config["request"]["timeout_seconds"]) == ("line\nline", 12.5)
    assert config["success"]["statuses"] == ["2xx", "304"]
    assert config["retry"]["max_attempts"] == 4
    assert config["retry"]["jitter"] is False
    assert config["retry"]["max_delay_ms"] == 10_800_000  # left empty: the API's default
    assert job.current_version.created_by is not None
    assert JobEnvironment.objects.get().next_fire_at is not None


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("schedule", "every blue moon", "expected a day of the week"),
        ("schedule", "{bad", "Should be like"),
        ("timezone", "Mars/Olympus", "not an IANA time zone"),
        ("url", "ftp://example.com/", ""),
        ("url", "http://127.0.0.1/", "may not call this"),
        ("headers", "no colon", "must have the form"),
        ("headers", "Host: x", ""),
        ("success_statuses", "9xx", "Should be a status code"),
        ("on_statuses", "many", "whole numbers"),
        ("max_attempts", "21", ""),
        ("timeout_seconds", "0", ""),
        ("slug", "Not A Slug", ""),
        ("delays_ms", "1,2", "Only allowed for the backoff"),
    ],
)
def test_the_form_shows_errors_beside_their_fields(member: Client, field: str, value: str, expected: str) -> None:
    answer: Any = member.post(reverse("admin:jobs_job_add"), {**FORM, field: value})
    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert expected in " ".join(answer.context["form"].errors[field])
    assert not Job.objects.exists()


def test_saving_the_form_unchanged_changes_nothing(member: Client, make_job: MakeJob) -> None:
    row = make_job(
        schedule={"every_seconds": 90},
        request={"url": "https://api.example.com/", "headers": {"X-A": "b"}, "body": "x"},
    )
    values = form_of(member, row.job)
    assert values["schedule"] == '{"every_seconds": 90}'
    answer = member.post(reverse("admin:jobs_job_change", args=[row.job_id]), values)
    assert answer.status_code == 302
    assert JobVersion.objects.count() == 1


def test_an_edit_keeps_fields_that_the_form_does_not_show(
    member: Client, make_job: MakeJob, workspace: Workspace
) -> None:
    Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    row = make_job(
        schedule="0 2 * * *", misfire_grace_seconds=7, retry={"except_statuses": [500], "on_worker_lost": False},
        request={"url": "https://api.example.com/"}, success={"assertions": [{"type": "status_equals", "value": 200}]},
    )  # fmt: skip
    values = {**form_of(member, row.job), "name": "Renamed", "environments": ["staging"]}
    member.post(reverse("admin:jobs_job_change", args=[row.job_id]), values)
    job = Job.objects.select_related("current_version").get()
    assert job.current_version is not None
    assert (job.name, job.current_version.number) == ("Renamed", 2)
    config = job.current_version.config
    assert config["misfire_grace_seconds"] == 7
    assert config["success"]["assertions"] == [{"type": "status_equals", "value": 200}]
    assert (config["retry"]["except_statuses"], config["retry"]["on_worker_lost"]) == ([500], False)
    enabled = dict(JobEnvironment.objects.values_list("environment__slug", "enabled"))
    assert enabled == {"production": False, "staging": True}


def test_a_duplicate_slug_is_reported_beside_its_field(member: Client, make_job: MakeJob) -> None:
    make_job(slug="taken")
    answer: Any = member.post(reverse("admin:jobs_job_add"), {**FORM, "slug": "taken"})
    assert "Another job has the slug taken" in " ".join(answer.context["form"].errors["slug"])


@pytest.mark.parametrize(
    ("schedule", "zone", "expected"),
    [
        ("0 2 * * *", "Europe/Berlin", "At 02:00"),
        ('{"every_seconds": 90}', "UTC", "Every 90 seconds"),
        ("now", "UTC", "Counted from the time of saving"),
        ("", "UTC", "Manual"),
        ("<b>nonsense", "UTC", "&lt;b&gt;nonsense"),
        ("{", "UTC", "{"),
        ("9999-12-31T23:59:59-14:00", "UTC", ""),
        ("0 2 * * *", "Nowhere", "not an IANA time zone"),
    ],
)
def test_the_form_previews_a_schedule(member: Client, schedule: str, zone: str, expected: str) -> None:
    answer = member.get(reverse("admin:jobs_job_preview"), {"schedule": schedule, "timezone": zone})
    assert answer.status_code == 200
    assert expected in answer.content.decode()


def test_delete_asks_then_deletes_softly(member: Client, make_job: MakeJob) -> None:
    row = make_job(schedule="0 2 * * *")
    execution_of(row)
    assert "history" in member.get(reverse("admin:jobs_job_delete", args=[row.job_id])).content.decode()
    member.post(reverse("admin:runs_execution_delete_job", args=[row.job_id]))
    assert Job.objects.get().deleted_at is not None
    assert Execution.objects.count() == 1


def test_a_key_is_shown_once_and_can_be_revoked(member: Client, workspace: Workspace) -> None:
    wanted = {"workspace": workspace.pk, "name": "Pipeline", "scopes": ["jobs:read"]}
    page = member.post(reverse("admin:accounts_apikey_add"), wanted, follow=True).content.decode()
    key = ApiKey.objects.get()
    [shown] = re.findall(r'<code id="shown-once">(\S+)</code>', page)
    assert digest_of(shown) == key.digest
    detail = reverse("admin:accounts_apikey_change", args=[key.pk])
    again = member.get(detail).content.decode()
    assert shown not in again
    assert key.digest not in again
    assert member.post(detail, {"name": "Other", "scopes": ["jobs:read"], "digest": "0"}).status_code == 302
    assert ApiKey.objects.get().digest == key.digest
    member.post(reverse("admin:accounts_apikey_revoke", args=[key.pk]))
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert "Revoke this key" not in member.get(detail).content.decode()


def test_a_superuser_creates_a_workspace_with_its_first_environment() -> None:
    root = signed_in(person("root", superuser=True))
    root.post(reverse("admin:accounts_workspace_add"), {"name": "Beta", "slug": "beta"})
    assert [row.slug for row in Workspace.objects.get().environments.all()] == ["production"]
