"""An execution's page: reason, waterfall, request and answer, and replays."""

import datetime
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Environment, Workspace
from jobs.models import JobEnvironment
from jobs.services.save import pause, save_job
from runs.clock.fire import fire_due
from runs.models import Execution
from tests.support.admin_rows import HOSTILE, execution_of, person, run_of, signed_in
from tests.support.browser_form import submitted_values
from tests.support.dashboard_pages import words_of
from tests.support.jobs import EPOCH, MakeJob, job_config

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(workspace: Workspace) -> Client:
    return signed_in(person("mara", workspace=workspace, role="member"))


def page_of(client: Client, execution: Execution) -> str:
    answer = client.get(reverse("admin:runs_execution_change", args=[execution.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def edit_url(execution: Execution, query: str = "") -> str:
    return reverse("admin:runs_execution_edit", args=[execution.pk]) + query


def staging_of(row: JobEnvironment, *, enabled: bool = True) -> Environment:
    staging = Environment.objects.create(workspace=row.job.workspace, slug="staging", name="Staging")
    JobEnvironment.objects.create(workspace=row.job.workspace, job=row.job, environment=staging, enabled=enabled)
    return staging


def messages_of(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


# -- what it shows ----------------------------------------------------------------------------------------------------


def test_attempts_and_waits_are_on_one_axis_with_their_numbers(member: Client, make_job: MakeJob) -> None:
    execution = execution_of(make_job(), status="failed", attempts=2)
    run_of(execution, status="failed", response_status=503)
    start = execution.created_at + datetime.timedelta(seconds=70)
    run_of(execution, number=2, started_at=start, finished_at=start + datetime.timedelta(milliseconds=142))
    page = page_of(member, execution)
    words = words_of(page)
    assert "Waited to retry 142 ms" in words
    assert "1 min 9 s" in words
    for phase in ("queued", "DNS", "connect", "TLS", "first byte", "body"):
        assert phase in words
    assert 'class="hh-phase-tls" x="' in page
    assert " style=" not in page[page.index("Timeline") : page.index("Request</h4>")]


def test_a_pending_execution_shows_its_next_attempt(member: Client, make_job: MakeJob) -> None:
    soon = timezone.now() + datetime.timedelta(minutes=10)
    execution = execution_of(make_job(), status="pending", attempts=1, next_attempt_at=soon)
    run_of(execution, status="failed", failure_reason="timeout")
    words = words_of(page_of(member, execution))
    assert "Next attempt (2 of 3) in 9 min" in words
    assert "Until the next attempt" in words


def test_it_explains_lateness(member: Client, make_job: MakeJob) -> None:
    row, at = make_job(schedule="0 2 * * *"), timezone.now() - datetime.timedelta(minutes=5)
    execution = execution_of(
        row, trigger="schedule", scheduled_for=at, created_at=at + datetime.timedelta(seconds=30),
        started_at=at + datetime.timedelta(seconds=95), finished_at=at + datetime.timedelta(seconds=96),
    )  # fmt: skip
    words = words_of(page_of(member, execution))
    assert "The clock processed it 30 s after its time" in words
    assert "It waited 1 min 5 s for a worker" in words
    Execution.objects.filter(pk=execution.pk).update(concurrency=2)
    assert "at most 2 of this job's executions run at once" in words_of(page_of(member, execution))


def test_it_explains_a_skip(member: Client, make_job: MakeJob) -> None:
    row = make_job(schedule="0 12 * * *")
    pause(
        job_environments=[row], until=None, note="Moving house", now=EPOCH + datetime.timedelta(hours=1), actor=SYSTEM
    )
    fire_due(EPOCH + datetime.timedelta(days=1, hours=1))
    at = EPOCH + datetime.timedelta(days=3)
    execution = execution_of(
        row, status="skipped", skip_reason="paused", trigger="schedule", scheduled_for=at, created_at=at
    )
    assert "the job was paused at 2026-03-01 13:00:00 UTC (Moving house)" in words_of(page_of(member, execution))


def test_redaction_and_truncation_are_marked_and_curl_has_placeholders(member: Client, make_job: MakeJob) -> None:
    execution = execution_of(make_job())
    run_of(execution, body_truncated=True, body_bytes=900_000, response_body="[redacted] [redacted]")
    page = page_of(member, execution)
    words = words_of(page)
    assert "1 header value hidden" in words
    assert "2 header values hidden" in words
    assert "Truncated: the whole body is at least 878.9 KiB" in words
    assert "'authorization: <authorization>'" in words
    assert "data-copies" in page


def test_a_replay_and_its_source_link_to_each_other(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    staging_of(row)
    source = execution_of(row, status="failed")
    member.post(reverse("admin:runs_execution_retry", args=[source.pk]))
    member.post(reverse("admin:runs_execution_replay", args=[source.pk]), {"environment": "staging"})
    made = {one.trigger: one for one in Execution.objects.exclude(pk=source.pk)}
    page = page_of(member, source)
    for one in made.values():
        assert reverse("admin:runs_execution_change", args=[one.pk]) in page
        assert reverse("admin:runs_execution_change", args=[source.pk]) in page_of(member, one)
    assert "Retry of" in page_of(member, made["retry"])
    assert made["replay"].environment.slug == "staging"
    assert "in staging" in words_of(page)


def test_deleted_objects_are_marked(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    source = execution_of(row)
    again = execution_of(row, trigger="replay", replay_of=source)
    Execution.objects.filter(pk=source.pk)._raw_delete("default")  # type: ignore[attr-defined]
    assert "a deleted execution" in words_of(page_of(member, again))


def test_the_page_takes_the_same_queries_for_any_execution(member: Client, make_job: MakeJob) -> None:
    def queries(execution: Execution) -> int:
        page_of(member, execution)
        with CaptureQueriesContext(connection) as captured:
            page_of(member, execution)
        return len(captured)

    quiet, busy = execution_of(make_job()), execution_of(make_job(slug="busy"))
    run_of(quiet)
    execution_of(quiet.job_environment, trigger="replay", replay_of=quiet)
    for number in range(1, 6):
        run_of(busy, number=number)
        execution_of(busy.job_environment, trigger="replay", replay_of=busy)
    assert queries(quiet) == queries(busy) <= 10


# -- what can be done -------------------------------------------------------------------------------------------------


def test_replay_elsewhere_needs_an_enabled_environment(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    staging_of(row, enabled=False)
    source = execution_of(row)
    assert 'value="staging"' not in page_of(member, source)
    url = reverse("admin:runs_execution_replay", args=[source.pk])
    assert "not enabled in" in messages_of(member.post(url, {"environment": "staging"}))
    assert "Environment nowhere does not exist" in messages_of(member.post(url, {"environment": "nowhere"}))
    assert Execution.objects.count() == 1


def filled(client: Client, execution: Execution, query: str = "") -> dict[str, Any]:
    page = client.get(edit_url(execution, query)).content.decode()
    return submitted_values(page, form_id="edit-form")


def test_the_edit_form_has_the_request_and_changes_one_execution_only(member: Client, make_job: MakeJob) -> None:
    row = make_job(request={"url": "https://api.example.com/", "method": "POST", "headers": {"X-A": "b"}, "body": "x"})
    source = execution_of(row, status="failed", input={"a": 1})
    values = filled(member, source)
    assert (values["url"], values["headers"], values["body"]) == ("https://api.example.com/", "X-A: b", "x")
    assert '"a": 1' in values["input"]
    answer: Any = member.post(edit_url(source), {**values, "body": "line\r\ntwo", "input": '{"a": 2}'})
    made = Execution.objects.select_related("job_version").get(trigger="replay")
    assert answer.headers["Location"] == reverse("admin:runs_execution_change", args=[made.pk])
    assert made.replay_of_id == source.pk
    assert made.input == {"a": 2}
    request = made.job_version.config["request"]
    assert (request["body"], request["headers"], made.job_version.edited) == ("line\ntwo", {"X-A": "b"}, True)
    assert row.job.current_version.config["request"]["body"] == "x"
    assert "with an edited request" in words_of(page_of(member, made))


def test_an_unchanged_form_makes_a_plain_replay(member: Client, make_job: MakeJob) -> None:
    source = execution_of(make_job(), input={"a": 1})
    member.post(edit_url(source), filled(member, source))
    made = Execution.objects.select_related("job_version").get(trigger="replay")
    assert (made.job_version_id, made.job_version.edited, made.input) == (source.job_version_id, False, {"a": 1})


def test_the_form_starts_from_the_current_or_original_version(
    member: Client, make_job: MakeJob, workspace: Workspace
) -> None:
    row = make_job(request={"url": "https://old.example.com/"})
    source = execution_of(row)
    config = job_config(request={"url": "https://new.example.com/"})
    save_job(workspace=workspace, job=row.job, slug=None, config=config, environments=None, now=EPOCH, actor=SYSTEM)
    assert filled(member, source)["url"] == "https://new.example.com/"
    old = filled(member, source, "?config=original")
    assert old["url"] == "https://old.example.com/"
    member.post(edit_url(source, "?config=original"), {**old, "method": "PUT"})
    request = Execution.objects.get(trigger="replay").job_version.config["request"]
    assert (request["url"], request["method"]) == ("https://old.example.com/", "PUT")


def test_an_execution_of_a_deleted_job_is_replayed_in_its_version(member: Client, make_job: MakeJob) -> None:
    row = make_job()
    source = execution_of(row)
    member.post(reverse("admin:runs_execution_delete_job", args=[row.job_id]))
    page = page_of(member, source)
    assert "Replay original" in page
    assert "Replay as…" not in page
    assert member.get(edit_url(source)).status_code == 200


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("url", "ftp://example.com/", ""), ("url", "http://127.0.0.1/", "may not call this"),
        ("headers", "no colon", "must have the form"), ("headers", "Host: x", ""), ("input", "{bad", "Invalid JSON"),
        ("timeout_seconds", "0", ""), ("timeout_seconds", "", "required"), ("body", "{{nonsense}}", ""),
        ("environment", "nowhere", "Select a valid choice"), ("ca_cert", "nope", ""),
    ],
)  # fmt: skip
def test_an_error_is_beside_its_field_and_nothing_is_sent(
    member: Client, make_job: MakeJob, field: str, value: str, expected: str
) -> None:
    source = execution_of(make_job())
    answer: Any = member.post(edit_url(source), {**filled(member, source), field: value})
    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert expected in " ".join(answer.context["form"].errors[field])
    assert Execution.objects.count() == 1


def test_hostile_values_in_the_form_are_escaped(member: Client, make_job: MakeJob) -> None:
    source = execution_of(make_job(), input={"a": HOSTILE})
    answer = member.post(edit_url(source), {**filled(member, source), "body": HOSTILE, "url": f"http://{HOSTILE}"})
    assert HOSTILE not in answer.content.decode()


def test_only_writers_edit_and_replay(workspace: Workspace, make_job: MakeJob) -> None:
    source = execution_of(make_job())
    viewer = signed_in(person("vera", workspace=workspace, role="viewer"))
    stranger = signed_in(person("nobody"))
    for client, status in ((viewer, 403), (stranger, 404)):
        assert client.get(edit_url(source)).status_code == status
        assert client.post(edit_url(source), {"url": "https://api.example.com/"}).status_code == status
    writer = person("mona", workspace=workspace, role="member")
    assert signed_in(writer, checks_csrf=True).post(edit_url(source), {}).status_code == 403
    assert Execution.objects.count() == 1
