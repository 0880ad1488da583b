"""The dashboard's test call: its result is on the job's page, or without scripts on its own page."""

import html
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry, Workspace
from jobs.models import JobEnvironment
from runs.models import Execution
from tests.support.admin_rows import HOSTILE, person, signed_in
from tests.support.jobs import MakeJob
from tests.support.receiver import Receiver, receiving
from tests.support.testcall_workers import RemoteControl, announce_in_process, service

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> RemoteControl:
    return announce_in_process(monkeypatch)


@pytest.fixture
def hostile(told: RemoteControl) -> Iterator[Receiver]:
    """An endpoint whose answer needs escaping, and a worker to call it."""
    worker = service()
    worker.start()
    told.workers.append(worker)
    with receiving(lambda exchange: exchange.answer(body=HOSTILE.encode(), headers=f"X-Odd: {HOSTILE}\r\n")) as made:
        yield made
    worker.stop(grace_seconds=0)


@pytest.fixture
def member(workspace: Workspace) -> Client:
    return signed_in(person("mara", workspace=workspace))


def path(row: JobEnvironment) -> str:
    return reverse("admin:runs_execution_test_call", args=[row.pk])


@pytest.mark.parametrize("scripted", [True, False])
def test_the_run_is_shown_escaped(member: Client, make_job: MakeJob, hostile: Receiver, scripted: bool) -> None:
    row = make_job(name=HOSTILE, request={"url": hostile.url("/report")})
    answer = member.post(path(row), headers={"HX-Request": "true"} if scripted else {})
    text = answer.content.decode()
    assert answer.status_code == 200
    assert HOSTILE not in text
    assert html.escape(HOSTILE) in text
    assert "/report" in text
    assert "HTTP 200" in text
    assert ("<html" in text) is not scripted
    assert len(hostile.exchanges) == 1
    assert not Execution.objects.exists()
    assert AuditEntry.objects.get(action="job.tested").actor_label == "mara"


def test_a_refused_test_call_shows_the_reason(member: Client, make_job: MakeJob, told: RemoteControl) -> None:
    row = make_job()
    text = member.post(path(row), headers={"HX-Request": "true"}).content.decode()
    assert "No worker took the call" in text
    JobEnvironment.objects.filter(pk=row.pk).update(enabled=False)
    assert "is not enabled in production" in member.post(path(row)).content.decode()


def test_a_viewer_sees_no_button_and_can_not_post(workspace: Workspace, make_job: MakeJob, told: RemoteControl) -> None:
    row = make_job()
    viewer = signed_in(person("vera", workspace=workspace, role="viewer"))
    assert viewer.post(path(row)).status_code == 403
    page: Any = reverse("admin:jobs_job_page", args=[row.job_id])
    assert "Test call" not in viewer.get(page).content.decode()
    assert viewer.get(path(row)).status_code == 405
    assert told.calls == []


def test_the_button_is_on_the_jobs_page_and_needs_a_csrf_token(workspace: Workspace, make_job: MakeJob) -> None:
    row = make_job()
    member = signed_in(person("mara", workspace=workspace), checks_csrf=True)
    text = member.get(reverse("admin:jobs_job_page", args=[row.job_id])).content.decode()
    assert f'hx-post="{path(row)}"' in text
    assert 'id="test-call"' in text
    assert member.post(path(row)).status_code == 403
