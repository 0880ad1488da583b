"""The callback on an execution's page, and the button that sends it again."""

import datetime
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.actors import SYSTEM
from accounts.models import AuditEntry, Workspace
from jobs.definition.callback import default_callback
from runs.executions import services
from runs.executions.cancel import cancel_live
from runs.models import Callback, CallbackAttempt, Execution
from tests.support.admin_rows import person, signed_in
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@pytest.fixture
def callback(make_job: MakeJob) -> Callback:
    """The callback of a canceled execution, which has failed."""
    job_environment = make_job(callback=default_callback("https://example.com/"))
    services.run_now(job_environment=job_environment, now=now(), actor=SYSTEM)
    cancel_live(Execution.objects.all(), now=now())
    Callback.objects.update(
        status="failed",
        attempts=5,
        finished_at=now(),
        next_attempt_at=None,
        last_error="HTTP 503",
        last_status_code=503,
    )
    callback: Callback = Callback.objects.get()
    CallbackAttempt.objects.create(
        callback=callback, number=5, started_at=now(), duration_ms=12, status_code=503, error="HTTP 503",
        response_body="<b>busy</b>", worker="worker-1@host",
    )  # fmt: skip
    return callback


def page_of(client: Client, execution_id: Any) -> str:
    return client.get(reverse("admin:runs_execution_change", args=[execution_id])).content.decode()


def test_the_page_shows_the_attempts_and_escapes_responses(workspace: Workspace, callback: Callback) -> None:
    page = page_of(signed_in(person("mara", workspace=workspace)), callback.execution_id)
    assert f'id="callback-{callback.pk}"' in page
    assert "HTTP 503" in page
    assert "&lt;b&gt;busy&lt;/b&gt;" in page
    assert "Send again" in page


def test_it_is_sent_again_by_a_button(workspace: Workspace, callback: Callback) -> None:
    member = signed_in(person("mara", workspace=workspace))
    address = reverse("admin:runs_execution_redeliver", args=[callback.pk])
    answer: Any = member.post(address)
    assert answer.headers["Location"] == reverse("admin:runs_execution_change", args=[callback.execution_id])
    callback.refresh_from_db()
    assert (callback.status, callback.attempt_limit) == ("pending", 10)
    assert AuditEntry.objects.get(action="callback.redelivered").actor_label == "mara"
    assert "Send again" not in page_of(member, callback.execution_id)
    again = member.post(address)
    assert "pending" in " ".join(str(message) for message in get_messages(again.wsgi_request))


def test_who_may_only_read_gets_no_button(workspace: Workspace, callback: Callback) -> None:
    viewer = signed_in(person("vera", workspace=workspace, role="viewer"))
    assert "Send again" not in page_of(viewer, callback.execution_id)
    assert viewer.post(reverse("admin:runs_execution_redeliver", args=[callback.pk])).status_code == 403
    stranger = signed_in(person("eve", workspace=Workspace.objects.create(slug="other", name="Other")))
    assert stranger.post(reverse("admin:runs_execution_redeliver", args=[callback.pk])).status_code == 404


def test_an_execution_without_a_callback_shows_none(workspace: Workspace, make_job: MakeJob) -> None:
    execution = services.run_now(job_environment=make_job(), now=now(), actor=SYSTEM)
    assert 'id="callback-' not in page_of(signed_in(person("mara", workspace=workspace)), execution.pk)
