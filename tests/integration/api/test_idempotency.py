"""`Idempotency-Key`: a repeated request is executed once, under concurrency too."""

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope, SigningSecret, Workspace
from accounts.services import create_workspace
from api.jobs.views import JobViewSet
from core.models import KEPT_FOR, KeptAnswer
from jobs.models import Job
from ops.tasks import prune_doors
from scheduler_project.celery import app
from tests.support.api_caller import JOB, Caller, caller
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def send(api: Caller, key: str, path: str = "/jobs/", body: Any = JOB) -> Any:
    return api.post(f"/api/v1{path}", body, HTTP_IDEMPOTENCY_KEY=key)


def test_the_first_answer_is_repeated(api: Caller) -> None:
    first, second = send(api, "a"), send(api, "a")
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.content == first.content
    assert second["Content-Type"] == first["Content-Type"]
    assert second["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert Job.objects.count() == 1


def test_whitespace_and_key_order_do_not_change_a_body(api: Caller) -> None:
    bodies = (
        b'{"name": "A", "request": {"url": "http://receiver.test/"}}',
        b'{"request":{"url":"http://receiver.test/"},"name":"A"}',
    )
    answers = [
        api.generic("POST", "/api/v1/jobs/", body, content_type="application/json", HTTP_IDEMPOTENCY_KEY="a")
        for body in bodies
    ]
    assert answers[1].content == answers[0].content


def test_another_body_or_path_is_a_conflict(api: Caller) -> None:
    send(api, "a")
    for path, body in (("/jobs/", {**JOB, "name": "Other"}), ("/jobs/nightly-report/pause/", JOB)):
        answer = send(api, "a", path, body)
        assert answer.status_code == 409
        assert answer.json()["code"] == "idempotency_key_reused"
    assert Job.objects.count() == 1


def test_an_error_is_repeated_even_if_it_would_succeed_now(api: Caller, make_job: MakeJob) -> None:
    refused = send(api, "a", "/jobs/later/pause/", {})
    make_job(slug="later")
    again = send(api, "a", "/jobs/later/pause/", {})
    assert (refused.status_code, again.status_code) == (404, 404)
    assert again["Content-Type"] == "application/problem+json"
    assert again.content == refused.content


def test_keys_are_separate_for_each_caller(api: Caller, workspace: Workspace) -> None:
    elsewhere = caller(create_workspace(slug="other", name="Other"))
    made = [send(client, "a").json()["id"] for client in (api, caller(workspace), elsewhere)]
    assert len(set(made)) == 3


def test_permission_is_checked_before_the_stored_answer(workspace: Workspace) -> None:
    reader = caller(workspace, scopes=[Scope.JOBS_READ])
    assert send(reader, "a").status_code == 403
    assert not KeptAnswer.objects.exists()


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "caf\u00e9"])
def test_an_invalid_key_is_refused(api: Caller, key: str) -> None:
    answer = send(api, key)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
    assert not Job.objects.exists()


def test_other_methods_ignore_it(api: Caller) -> None:
    for _ in range(2):
        assert api.get("/api/v1/jobs/", HTTP_IDEMPOTENCY_KEY="a").status_code == 200
    assert not KeptAnswer.objects.exists()


def test_a_secret_shown_once_is_stored_encrypted(api: Caller, settings: Any) -> None:
    first = send(api, "rotation-key", "/signing-secrets/rotate/", {})
    assert first.status_code == 201
    [columns] = KeptAnswer.objects.values_list()
    row = b"".join(bytes(value) if isinstance(value, memoryview) else str(value).encode() for value in columns)
    assert first.json()["secret"].encode() not in row
    assert b"rotation-key" not in row
    assert send(api, "rotation-key", "/signing-secrets/rotate/", {}).json() == first.json()
    assert SigningSecret.objects.count() == 2, "the workspace's first, and one more"
    settings.SECRET_KEY = "another"
    assert send(api, "rotation-key", "/signing-secrets/rotate/", {}).status_code == 409


class BrokenError(APIException):
    status_code = 503


@pytest.mark.parametrize("error", [RuntimeError("bad luck"), BrokenError()])
def test_an_internal_error_is_not_stored(api: Caller, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    working = JobViewSet.create

    def broken(view: JobViewSet, request: Request) -> Response:
        working(view, request)
        raise error

    monkeypatch.setattr(JobViewSet, "create", broken)
    assert send(api, "a").status_code >= 500
    assert not Job.objects.exists()
    monkeypatch.setattr(JobViewSet, "create", working)
    assert send(api, "a").status_code == 201


def test_an_answer_is_kept_for_a_day(api: Caller) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        first = send(api, "a").json()
        clock.shift(KEPT_FOR - datetime.timedelta(seconds=1))
        assert send(api, "a").json() == first
        clock.shift(datetime.timedelta(seconds=1))
        assert send(api, "a").json()["id"] != first["id"]


def test_the_maintenance_task_deletes_old_answers_only(api: Caller) -> None:
    send(api, "a")
    prune_doors()
    assert KeptAnswer.objects.count() == 1
    with time_machine.travel(timezone.now() + KEPT_FOR):
        prune_doors()
    assert not KeptAnswer.objects.exists()


def test_the_maintenance_task_is_registered() -> None:
    app.loader.import_default_modules()
    chore = PeriodicTask.objects.get(task="chores.prune_doors")
    assert chore.enabled
    assert chore.task in app.tasks


@pytest.mark.parametrize("waits_for_others", [False, True])
@pytest.mark.django_db(transaction=True)
def test_of_concurrent_requests_one_runs_and_the_others_are_told_to_wait(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, waits_for_others: bool
) -> None:
    threads = 4
    started, go_on = threading.Event(), threading.Event()
    working = JobViewSet.create

    def slow(view: JobViewSet, request: Request) -> Response:
        started.set()
        assert go_on.wait(30)
        return working(view, request)

    monkeypatch.setattr(JobViewSet, "create", slow)
    monkeypatch.setattr(JobViewSet, "waits_for_others", waits_for_others)
    issued = caller(workspace)

    def ask(_number: int) -> Any:
        client = Caller()
        client.credentials(**issued._credentials)
        try:
            return send(client, "a")
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        first = pool.submit(ask, 0)
        assert started.wait(30)
        others = list(pool.map(ask, range(threads - 1)))
        go_on.set()
        done = first.result()
    assert done.status_code == 201
    for other in others:
        assert (other.status_code, other["Retry-After"]) == (409, "1")
        assert other.json()["code"] == "idempotency_key_in_use"
    assert ask(0).content == done.content
    assert Job.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_concurrent_retries_run_once(workspace: Workspace) -> None:
    issued = caller(workspace)

    def retry_until_answered(_number: int) -> Any:
        client = Caller()
        client.credentials(**issued._credentials)
        try:
            for _ in range(200):
                answer = send(client, "a")
                if answer.status_code != 409:
                    return answer
            raise AssertionError("never answered")
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(retry_until_answered, range(12)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer for answer in answers) == 1
    assert Job.objects.count() == 1
