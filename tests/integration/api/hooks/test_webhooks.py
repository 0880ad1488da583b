"""Inbound webhooks from the request to the execution: one answer for all, and the owner sees what became of each."""

import datetime
import hashlib
import hmac
import json
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from slack_sdk.signature import SignatureVerifier

from accounts.actors import SYSTEM
from accounts.models import Environment, Scope, Workspace
from accounts.secrets import create_secret
from api.hooks import views
from core.limits.rate import Rate
from jobs.models import JobVersion
from runs.models import Execution, WebhookDelivery
from runs.webhooks.dispatch import dispatch
from tests.support.api_caller import Caller, caller

pytestmark = pytest.mark.django_db
SECRET = "correct horse battery staple"
ACCEPTED = {"status": "accepted"}
JOB = {"name": "Deploy", "request": {"url": "http://receiver.test/deploy"}}


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Sender:
    """Somebody who calls the URL of one job's webhook, and the owner of the job."""

    def __init__(self, owner: Caller, **webhook: Any) -> None:
        self.owner = owner
        self.job = owner.ask("PUT", "/jobs/deploy/", {**JOB, "webhook": {"enabled": True, **webhook}})
        self.path = self.job["webhook"]["url"].removeprefix("http://testserver")

    def post(self, body: Any = b"", *, path: str | None = None, expect: int = 202, **options: Any) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        options = {"content_type": "application/json", **options}
        response = Client(raise_request_exception=False).post(path or self.path, raw, **options)
        assert response.status_code == expect, response.content
        return response.json()

    def deliveries(self) -> list[dict[str, Any]]:
        dispatch(now())
        answer: dict[str, Any] = self.owner.ask("GET", "/jobs/deploy/webhook/deliveries/", expect=200)
        results: list[dict[str, Any]] = answer["results"]
        return results

    def last(self) -> tuple[str, str | None]:
        latest = self.deliveries()[0]
        return latest["status"], latest["reason"]


@pytest.fixture
def owner(workspace: Workspace) -> Caller:
    return caller(workspace)


@pytest.fixture
def secret(workspace: Workspace) -> str:
    create_secret(workspace=workspace, environment=None, name="HOOK", value=SECRET, actor=SYSTEM, now=now())
    return "{{secrets.HOOK}}"


def github(body: bytes, secret: str = SECRET) -> dict[str, Any]:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"headers": {"X-Hub-Signature-256": f"sha256={signature}"}}


def test_a_request_becomes_an_execution_with_its_body_as_input(owner: Caller) -> None:
    sender = Sender(owner, headers=["X-GitHub-Event"])
    assert sender.post({"ref": "main", "price": 1.10}, headers={"X-GitHub-Event": "push", "X-Other": "no"}) == ACCEPTED
    (delivery,) = sender.deliveries()
    assert (delivery["status"], delivery["environment"]) == ("accepted", "production")
    execution = owner.ask("GET", f"/executions/{delivery['execution']}/", expect=200)
    assert (execution["trigger"], execution["status"]) == ("webhook", "pending")
    assert execution["input"] == {"ref": "main", "price": 1.10}
    row = Execution.objects.get(pk=delivery["execution"])
    assert row.state == {"trigger": {"headers": {"x-github-event": "push"}, "query": {}}}
    assert [found["id"] for found in owner.ask("GET", "/executions/?trigger=webhook")["results"]] == [execution["id"]]


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b'{"a": [1]}', "application/vnd.api+json", {"a": [1]}),
        (b"a=1&b=2&b=3&c=", "application/x-www-form-urlencoded", {"a": "1", "b": ["2", "3"], "c": ""}),
        ("gr\u00fc\u00df".encode(), "text/plain", {"text": "gr\u00fc\u00df"}),
        (b'{"a": 1}', "", {"text": '{"a": 1}'}),
        (b"", "application/json", None),
    ],
)
def test_what_a_body_says(owner: Caller, body: bytes, content_type: str, expected: Any) -> None:
    sender = Sender(owner)
    sender.post(body, content_type=content_type)
    assert sender.last() == ("accepted", None)
    assert Execution.objects.get().input == expected


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"{", "application/json", "not_json"),
        (b'"\\u0000"', "application/json", "not_json"),
        (b"\xff", "text/plain", "not_text"),
        (b"\x00", "text/plain", "not_json"),
        (b"x" * (1024 * 1024 + 1), "text/plain", "too_large"),
    ],
)
def test_a_body_that_can_t_be_kept_is_refused_where_the_owner_sees_it(
    owner: Caller, body: bytes, content_type: str, reason: str
) -> None:
    sender = Sender(owner)
    assert sender.post(body, content_type=content_type) == ACCEPTED
    assert sender.last()[0] == "refused"
    assert sender.last()[1] in (reason, "not_text")
    assert WebhookDelivery.objects.get().body_bytes == len(body)


def test_whatever_is_wrong_the_sender_gets_the_same_answer(owner: Caller, secret: str) -> None:
    sender = Sender(owner, verify={"preset": "github", "secret": secret})
    body = b'{"ref": "main"}'
    unknown = sender.path[:-1] + ("A" if sender.path[-1] != "A" else "B")
    answers = [
        sender.post(body, **github(body)),
        sender.post(body, **github(body, "another secret")),
        sender.post(body),
        sender.post(body, path=unknown),
        sender.post(body, path="/hooks/x"),
        sender.post(body, path="/hooks/a/b/c"),
        sender.post(body, path=f"{sender.path}/"),
    ]
    assert answers == [ACCEPTED] * len(answers)
    assert sorted((one["status"], one["reason"]) for one in sender.deliveries()) == [
        ("accepted", None),
        ("refused", "bad_signature"),
        ("refused", "missing_signature"),
        ("refused", "missing_signature"),
    ]
    assert Execution.objects.count() == 1


def test_only_post_is_taken_wherever_it_leads(owner: Caller) -> None:
    sender = Sender(owner)
    for path in (sender.path, "/hooks/unknown"):
        for method in ("get", "put", "delete", "patch"):
            assert getattr(Client(), method)(path).status_code == 405
    assert not WebhookDelivery.objects.exists()


def test_a_secret_of_the_environment_goes_before_that_of_the_workspace(
    owner: Caller, secret: str, workspace: Workspace
) -> None:
    production = Environment.objects.get(workspace=workspace)
    create_secret(
        workspace=workspace, environment=production, name="HOOK", value="of production", actor=SYSTEM, now=now()
    )
    sender = Sender(owner, verify={"preset": "github", "secret": secret})
    sender.post(b"{}", **github(b"{}", "of production"))
    assert sender.last() == ("accepted", None)
    sender.post(b"{}", **github(b"{}"))
    assert sender.last() == ("refused", "bad_signature")


def test_a_deleted_secret_refuses_all(owner: Caller, secret: str, workspace: Workspace) -> None:
    sender = Sender(owner, verify={"preset": "header", "secret": secret, "header": "X-Token"})
    workspace.secrets.all().delete()
    sender.post({}, headers={"X-Token": SECRET})
    assert sender.last() == ("refused", "secret_unusable")


def test_the_same_delivery_sent_again_fires_once(owner: Caller) -> None:
    sender = Sender(owner)
    for _ in range(3):
        sender.post({"n": 1}, headers={"X-GitHub-Delivery": "72d3162e"})
    sender.post({"n": 1}, headers={"X-GitHub-Delivery": "another"})
    sender.post({"n": 1})
    assert sorted(one["status"] for one in sender.deliveries()) == ["accepted"] * 3 + ["duplicate"] * 2
    duplicates = {one["execution"] for one in sender.deliveries() if one["status"] == "duplicate"}
    assert len(duplicates) == 1
    assert Execution.objects.count() == 3
    WebhookDelivery.objects.update(received_at=now() - datetime.timedelta(hours=25))
    sender.post({"n": 1}, headers={"X-GitHub-Delivery": "72d3162e"})
    assert sender.last() == ("accepted", None)


def test_conditions_decide_what_fires(owner: Caller) -> None:
    conditions = [
        {"value": "{{trigger.headers.X-GitHub-Event}}", "op": "equals", "to": "push"},
        {"value": "{{input.ref}}", "op": "in", "to": ["refs/heads/main"]},
        {"value": "{{trigger.query.dry}}", "op": "not_exists"},
    ]
    sender = Sender(owner, headers=["x-github-event"], **{"if": conditions})
    push, main = {"headers": {"X-GitHub-Event": "push"}}, {"ref": "refs/heads/main"}
    sender.post(main, **push)
    assert sender.last() == ("accepted", None)
    sender.post({"ref": "refs/heads/x"}, **push)
    assert sender.last() == ("ignored", "condition")
    assert "{{input.ref}} in" in sender.deliveries()[0]["detail"]
    sender.post(main)
    assert sender.last() == ("ignored", "condition")
    sender.post(main, path=f"{sender.path}?dry=1", **push)
    assert sender.last() == ("ignored", "condition")


def test_a_paused_disabled_or_deleted_job_fires_nothing(owner: Caller) -> None:
    sender = Sender(owner)
    owner.ask("POST", "/jobs/deploy/pause/", {}, expect=200)
    sender.post({})
    assert sender.last() == ("ignored", "paused")
    owner.ask("POST", "/jobs/deploy/resume/", {}, expect=200)
    owner.ask("PATCH", "/jobs/deploy/", {"webhook": {"enabled": False}}, expect=200)
    sender.post({})
    assert sender.last() == ("refused", "disabled")
    again = owner.ask("PATCH", "/jobs/deploy/", {"webhook": {"enabled": True}}, expect=200)
    assert again["webhook"]["url"] == sender.job["webhook"]["url"]
    owner.ask("DELETE", "/jobs/deploy/", expect=204)
    assert sender.post({}) == ACCEPTED
    assert not Execution.objects.exists()


def test_the_environment_is_the_one_named_or_the_only_one(owner: Caller) -> None:
    owner.ask("POST", "/environments/", {"slug": "staging", "name": "Staging"}, expect=201)
    sender = Sender(owner)
    sender.post({}, path=f"{sender.path}?environment=staging")
    assert sender.last() == ("refused", "not_enabled")
    owner.ask("PATCH", "/jobs/deploy/", {"environments": {"staging": {"enabled": True}}}, expect=200)
    sender.post({})
    assert sender.last() == ("refused", "ambiguous_environment")
    sender.post({}, path=f"{sender.path}?environment=staging")
    assert sender.last() == ("accepted", None)
    assert Execution.objects.get().environment.slug == "staging"


def test_rotating_keeps_the_url_until_now_alive_for_the_overlap(owner: Caller) -> None:
    sender = Sender(owner)
    job = owner.ask("POST", "/jobs/deploy/webhook/rotate/", {}, expect=200)
    new = job["webhook"]["url"].removeprefix("http://testserver")
    assert new != sender.path
    for path in (sender.path, new):
        sender.post({}, path=path)
    assert [one["status"] for one in sender.deliveries()] == ["accepted"] * 2
    owner.ask("POST", "/jobs/deploy/webhook/rotate/", {"overlap_seconds": 0}, expect=200)
    for path in (sender.path, new):
        assert sender.post({}, path=path) == ACCEPTED
    assert len(sender.deliveries()) == 2
    entry = owner.ask("GET", "/audit-log/?action=job.webhook_rotated", expect=200)["results"][0]
    assert entry["changes"] == {"overlap_seconds": [None, 0]}


def test_the_url_is_shown_to_who_may_change_the_job_alone(owner: Caller, workspace: Workspace) -> None:
    sender = Sender(owner)
    reader = caller(workspace, [Scope.JOBS_READ])
    shown = reader.ask("GET", "/jobs/deploy/", expect=200)["webhook"]
    assert (shown["url"], shown["url_set"]) == (None, True)
    token = sender.path.rpartition("/")[2]
    assert token not in json.dumps([reader.ask("GET", path) for path in ("/jobs/", "/jobs/export/", "/audit-log/")])
    assert token not in json.dumps(list(WebhookDelivery.objects.values()), default=str)


def test_what_came_stays_within_its_workspace_and_environments(owner: Caller, workspace: Workspace) -> None:
    sender = Sender(owner)
    sender.post({})
    dispatch(now())
    elsewhere = workspace.environments.create(slug="staging", name="Staging")
    bound = caller(workspace, environments=[elsewhere])
    bound.ask("GET", "/jobs/deploy/webhook/deliveries/", expect=404)


def test_slack_gets_its_challenge_back_if_it_signed(owner: Caller, secret: str) -> None:
    sender = Sender(owner, verify={"preset": "slack", "secret": secret})
    body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1a"}).encode()
    seconds = str(int(now().timestamp()))
    signature = SignatureVerifier(SECRET).generate_signature(timestamp=seconds, body=body)
    signed = {"headers": {"X-Slack-Request-Timestamp": seconds, "X-Slack-Signature": str(signature)}}
    assert sender.post(body, expect=200, **signed) == {"challenge": "3eZbrw1a"}
    assert sender.post(body) == ACCEPTED


def test_a_chain_of_webhooks_ends(owner: Caller) -> None:
    sender = Sender(owner)
    sender.post({}, headers={"X-Hourhand-Depth": "4"})
    assert sender.last() == ("accepted", None)
    assert Execution.objects.get().depth == 4
    sender.post({}, headers={"X-Hourhand-Depth": "5"})
    assert sender.last() == ("ignored", "loop")


def test_a_flood_of_one_url_is_answered_429(owner: Caller, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.HOOK_RATE = Rate(2, 60, burst=2)
    taken: dict[str, int] = {}

    class Buckets:
        def take(self, subject: str, rate: Rate) -> Any:
            taken[subject] = taken.get(subject, 0) + 1
            allowed = taken[subject] <= rate.burst
            return type("Verdict", (), {"allowed": allowed, "retry_seconds": 30})

    monkeypatch.setattr(views, "buckets", Buckets)
    sender = Sender(owner)
    for _ in range(2):
        sender.post({})
    assert sender.post({}, expect=429)["code"] == "rate_limited"
    assert sender.post({}, path="/hooks/unknown") == ACCEPTED


def test_a_query_with_what_no_text_holds_is_kept_without_it(owner: Caller) -> None:
    sender = Sender(owner)
    assert sender.post({}, path=f"{sender.path}?a%00b=c%00d&e=%ff") == ACCEPTED
    assert sender.last() == ("accepted", None)


def test_without_encryption_keys_the_job_is_shown_without_its_url(owner: Caller, settings: Any) -> None:
    Sender(owner)
    settings.ENCRYPTION_KEYS = []
    assert owner.ask("GET", "/jobs/deploy/", expect=200)["webhook"]["url"] is None


def test_what_can_t_be_kept_is_not_confirmed(owner: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError

    sender = Sender(owner)
    monkeypatch.setattr(views, "receive", away)
    assert sender.post({}, expect=503)["code"] == "unavailable"


@pytest.mark.parametrize(
    ("webhook", "refused"),
    [
        ({"verify": {"preset": "github"}}, {"webhook.verify.secret": "required"}),
        ({"verify": {"preset": "github", "secret": "in clear"}}, {"webhook.verify.secret": "not_a_secret"}),
        ({"verify": {"preset": "github", "secret": "{{secrets.NONE}}"}}, {"webhook.verify.secret": "unknown_secret"}),
        ({"verify": {"secret": "{{secrets.HOOK}}"}}, {"webhook.verify.secret": "conflicting"}),
        ({"verify": {"preset": "header", "secret": "{{secrets.HOOK}}"}}, {"webhook.verify.header": "required"}),
        ({"verify": {"header": "X-Token"}}, {"webhook.verify.header": "conflicting"}),
        ({"verify": {"preset": "gitlab"}}, {"webhook.verify.preset": "invalid_choice"}),
        ({"headers": ["Authorization"]}, {"webhook.headers": "invalid"}),
        ({"headers": ["a b"]}, {"webhook.headers": "invalid"}),
        ({"if": [{"value": "{{input.a}}", "op": "equals"}]}, {"webhook.if.0.to": "required"}),
        ({"if": [{"value": "{{trigger.headers.x}}", "op": "exists"}]}, {"webhook.if.0.value": "unknown_variable"}),
        ({"if": [{"value": "{{secrets.HOOK}}", "op": "exists"}]}, {"webhook.if.0.value": "unknown_variable"}),
        ({"if": [{"value": "{{input.a}}", "op": "exists"}] * 11}, {"webhook.if": "max_length"}),
    ],
)
def test_what_can_t_be_saved_is_refused_by_field(
    owner: Caller, secret: str, webhook: dict[str, Any], refused: dict[str, str]
) -> None:
    assert secret
    assert owner.refused("PUT", "/jobs/deploy/", {**JOB, "webhook": {"enabled": True, **webhook}}) == refused


def test_an_exported_webhook_imports_without_a_change(owner: Caller, secret: str) -> None:
    sender = Sender(owner, verify={"preset": "github", "secret": secret}, headers=["X-GitHub-Event"])
    exported = owner.ask("GET", "/jobs/export/", expect=200)
    assert exported["jobs"][0]["webhook"] == {
        "enabled": True,
        "verify": {"preset": "github", "secret": secret, "header": None},
        "headers": ["X-GitHub-Event"],
    }
    imported = owner.ask("POST", "/jobs/import/", {"format": "json", "content": exported}, expect=200)
    assert imported["unchanged"] == 1
    assert owner.ask("GET", "/jobs/deploy/")["webhook"]["url"] == sender.job["webhook"]["url"]


def test_a_job_without_a_webhook_keeps_nothing_that_an_older_release_can_t_read(owner: Caller) -> None:
    job = owner.ask("PUT", "/jobs/deploy/", {**JOB, "webhook": {"enabled": False}}, expect=201)
    assert job["webhook"]["url_set"] is False
    assert owner.ask("PUT", "/jobs/deploy/", JOB, expect=200)["version"] == 1
    assert "webhook" not in JobVersion.objects.get().config
