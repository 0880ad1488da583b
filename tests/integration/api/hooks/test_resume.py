"""The URLs of waiting workflows: a POST continues one, once; whatever opens a link decides nothing."""

import logging
import re
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from structlog.stdlib import ProcessorFormatter as Structured

from accounts import tokens
from accounts.actors import SYSTEM
from api.hooks import views
from core.limits.rate import Rate
from runs.executions import services
from runs.models import Execution, StepState
from runs.workflows.resume_urls import resume_url
from tests.support.jobs import EPOCH
from tests.support.workflows import pass_time, step, wake

pytestmark = pytest.mark.django_db(transaction=True)
ACCEPTED = {"status": "accepted"}
BROWSER = {"HTTP_ACCEPT": "text/html,application/xhtml+xml"}


def path_of(execution: Execution, position: int) -> str:
    return "/hooks/resume/" + resume_url(execution.pk, position).rpartition("/")[2]


def post(path: str, body: Any = b'{"paid": true}', *, expect: int = 202, **options: Any) -> Any:
    client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    answer = client.post(path, body, **{"content_type": "application/json", **options})
    assert answer.status_code == expect, answer.content
    return answer


def status(execution: Execution) -> str:
    execution.refresh_from_db()
    return execution.status


@pytest.fixture
def paid(start: Any) -> Execution:
    return start(step("ask"), step("paid", "webhook"), step("ship", request={"body": "{{steps.paid.body}}"}))


def test_a_post_continues_the_workflow(paid, worker):
    worker.run()
    assert post(path_of(paid, 1)).json() == ACCEPTED
    assert worker.run() == ["ship"]
    assert worker.calls[-1].request.body == b'{"paid": true}'
    assert status(paid) == "succeeded"


def test_an_early_post_is_kept_for_its_step(paid, worker):
    post(path_of(paid, 1))
    assert StepState.objects.get().status == "pending"
    assert worker.run() == ["ask", "ship"]
    assert StepState.objects.get(step="paid").resolved_how == "early"


def test_a_second_post_gets_the_same_answer_and_does_nothing(paid, worker):
    worker.run()
    answers = [post(path_of(paid, 1)), post(path_of(paid, 1), b'{"paid": false}')]
    assert worker.run() == ["ship"]
    answers.append(post(path_of(paid, 1), b'{"paid": false}'))
    assert worker.run() == []
    assert worker.calls[-1].request.body == b'{"paid": true}'
    assert [answer.json() for answer in answers] == [ACCEPTED] * 3


@pytest.mark.parametrize("woken", [False, True])
def test_a_post_after_the_expiry_gets_the_same_answer_and_does_nothing(paid, worker, woken):
    worker.run()
    pass_time(hours=2)
    if woken:
        wake()
    assert post(path_of(paid, 1)).json() == ACCEPTED
    wake()
    assert worker.run() == []
    assert (status(paid), paid.failure_reason) == ("failed", "wait_expired")


def test_a_post_after_a_cancel_does_nothing(paid, worker):
    worker.run()
    services.cancel(workspace=paid.workspace, execution_id=paid.pk, now=EPOCH, actor=SYSTEM)
    assert post(path_of(paid, 1)).json() == ACCEPTED
    assert worker.run() == []
    assert status(paid) == "canceled"


def test_whatever_is_wrong_the_sender_gets_the_same_answer(start, worker):
    verify = {"preset": "header", "secret": "{{secrets.HOOK}}", "header": "X-Token"}
    execution = start(step("paid", "webhook", verify=verify), step("ship"))
    worker.run()
    right = path_of(execution, 0)
    wrong = right[:-1] + ("A" if right[-1] != "A" else "B")
    paths = [
        right,
        wrong,
        path_of(execution, 1),
        path_of(execution, 40),
        "/hooks/resume/x",
        "/hooks/resume/a/b",
        "/hooks/resume/",
    ]
    answers = [post(path) for path in paths] + [post(right, b"x" * (1024 * 1024 + 1))]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, b'{"status": "accepted"}')}
    assert status(execution) == "waiting"


@pytest.mark.parametrize("method", ["get", "head", "options", "put", "patch", "delete", "trace"])
def test_only_post_decides(paid, worker, method):
    early, late = path_of(paid, 1), path_of(paid, 1)
    answer = getattr(Client(), method)(early)
    assert not StepState.objects.exists()
    worker.run()
    answer = getattr(Client(), method)(late, **BROWSER)
    assert answer.status_code == (200 if method in {"get", "head"} else 405)
    assert worker.run() == []
    assert status(paid) == "waiting"
    assert StepState.objects.get(step="paid").error == ""


def test_the_page_is_the_same_for_every_token_and_its_button_posts(paid, worker):
    worker.run()
    right = path_of(paid, 1)
    pages = [Client().get(path, **BROWSER) for path in (right, "/hooks/resume/unknown", path_of(paid, 0))]
    assert len({page.content for page in pages}) == 1
    text = pages[0].content.decode()
    assert re.search(r'<form method="post">\s*<button', text)
    assert "script" not in text
    assert "<title>Continue a workflow - Hourhand</title>" in text
    assert "<h1>Continue a workflow</h1>" in text
    for page in pages:
        assert page["Referrer-Policy"] == "no-referrer"
        assert "no-store" in page["Cache-Control"]
        assert page["X-Robots-Tag"] == "noindex"
        assert page["Content-Security-Policy"] == (
            "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
    form = {"content_type": "application/x-www-form-urlencoded", **BROWSER}
    answer = post(right, b"", **form)
    assert "Request received" in answer.content.decode()
    assert post("/hooks/resume/unknown", b"", **form).content == answer.content
    assert worker.run() == ["ship"]


def test_the_url_of_an_approval_leads_to_people_who_sign_in(start, worker):
    execution = start(step("sign_off", "approval"), step("send"))
    worker.run()
    path = path_of(execution, 0)
    answer = Client().get(path, **BROWSER)
    assert answer.status_code == 302
    assert answer["Location"] == reverse("admin:approval", args=[execution.pk, "sign_off"])
    assert answer["Referrer-Policy"] == "no-referrer"
    assert path.rpartition("/")[2] not in answer["Location"]
    assert post(path).json() == ACCEPTED
    assert worker.run() == []
    assert status(execution) == "waiting"


def test_a_flood_of_one_url_is_answered_429(paid, settings, monkeypatch):
    settings.HOOK_RATE = Rate(2, 60, burst=2)
    taken: dict[str, int] = {}

    class Buckets:
        def take(self, subject: str, rate: Rate) -> Any:
            taken[subject] = taken.get(subject, 0) + 1
            return type("Verdict", (), {"allowed": taken[subject] <= rate.burst, "retry_seconds": 30})

    monkeypatch.setattr(views, "buckets", Buckets)
    path = path_of(paid, 1)
    for _ in range(2):
        post(path)
    answer = post(path, expect=429)
    assert (answer.json()["code"], answer["Retry-After"]) == ("rate_limited", "30")
    assert Client().get(path).status_code == 429
    post("/hooks/resume/unknown")


@pytest.mark.parametrize("method", ["get", "post"])
def test_what_can_t_be_kept_is_not_confirmed(monkeypatch, method):
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(views, "resume", away)
    monkeypatch.setattr(views, "approval_of", away)
    answer = getattr(Client(), method)("/hooks/resume/unknown")
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")


def test_without_encryption_keys_nothing_is_confirmed(paid, settings):
    path = path_of(paid, 1)
    settings.ENCRYPTION_KEYS = []
    tokens._keys.clear()
    post(path, expect=503)


def test_no_log_and_no_error_has_the_token(paid, worker, caplog, monkeypatch):
    def broken(*_: Any) -> None:
        raise RuntimeError

    worker.run()
    token = path_of(paid, 1).rpartition("/")[2]
    post(path_of(paid, 1), b"x" * (1024 * 1024 + 1))
    monkeypatch.setattr(views, "resume", broken)
    assert token not in post(path_of(paid, 1), expect=500).content.decode()
    formatter = next(
        other.formatter for other in logging.getLogger().handlers if isinstance(other.formatter, Structured)
    )
    logged = "\n".join(map(formatter.format, caplog.records))
    assert "resume_refused" in logged
    assert "RuntimeError" in logged
    assert token not in logged
