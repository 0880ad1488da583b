"""Secrets: stored encrypted, used by requests, and shown nowhere."""

import datetime
import json
import random
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from accounts.actors import SYSTEM
from accounts.encryption import Cipher, new_encryption_key
from accounts.models import Environment, Secret, SigningSecret, Workspace
from accounts.secrets import change_secret, create_secret
from accounts.services import change_settings, create_workspace
from runs.attempts.reaping import reap_expired
from runs.executions import services
from runs.models import Execution, Run
from tests.support.admin_rows import person, signed_in
from tests.support.api_caller import caller
from tests.support.engine import LOOPBACK_ALLOWED, eventually
from tests.support.jobs import MakeJob
from tests.support.receiver import Exchange, Receiver
from workers.connections import Link
from workers.worker import rendering, visible_headers
from workers.worker.claim import Claimer
from workers.worker.service import DeliveryService

pytestmark = pytest.mark.django_db(transaction=True)

CANARY = 'canary/+"\\é &v4lue'
NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
KEY = new_encryption_key()


@pytest.fixture(autouse=True)
def encryption_key(settings):
    settings.ENCRYPTION_KEYS = [KEY]


@pytest.fixture
def link():
    made = Link("test")
    yield made
    made.close()


@pytest.fixture
def uncached_headers(monkeypatch):
    """A new service reads the allowed headers again for every batch."""
    monkeypatch.setattr(visible_headers, "TTL_SECONDS", 0.0)


@pytest.fixture
def service():
    made = DeliveryService(
        name="worker@test",
        owner="worker@test/1",
        policy=LOOPBACK_ALLOWED,
        max_in_flight=10,
        max_per_host=10,
        max_per_workspace=10,
        lease_seconds=60,
        user_agent="Hourhand/test",
    )
    made.start()
    yield made
    made.stop(grace_seconds=1)


def secret(workspace: Workspace, value: str = CANARY, *, name: str = "CANARY", environment=None) -> Secret:
    return create_secret(workspace=workspace, environment=environment, name=name, value=value, now=NOW, actor=SYSTEM)


def run(row, **options) -> Execution:
    return services.run_now(job_environment=row, now=datetime.datetime.now(datetime.UTC), actor=SYSTEM, **options)


def delivered(service: DeliveryService, execution: Execution) -> Run:
    service.submit([str(execution.pk)])
    eventually(Run.objects.filter(execution=execution).exists, seconds=10)
    return Run.objects.get(execution=execution)


def all_rows() -> str:
    """Every column of every table, as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [row[0] for row in cursor.fetchall()]
        found = []
        for table in tables:
            cursor.execute(f'SELECT "{table}"::text FROM "{table}"')  # noqa: S608
            found += [row[0] for row in cursor.fetchall()]
    return "\n".join(found)


def echo(exchange: Exchange) -> None:
    """Echo the request in body and headers."""
    token = dict(exchange.headers)["x-token"]
    head = f"X-Echo: {token}\r\nX-Path: {exchange.path}\r\n"
    exchange.answer("500 Oh", exchange.path.encode() + b" " + exchange.body + b" " + token.encode("latin-1"), head)


def test_a_secret_is_sent_and_shown_nowhere(workspace: Workspace, make_job: MakeJob, service, caplog):
    receiver = Receiver(echo)
    kept = secret(workspace)
    row = make_job(
        request={
            "url": f"http://127.0.0.1:{receiver.port}/{{{{secrets.CANARY}}}}?t={{{{secrets.CANARY}}}}",
            "headers": {"X-Token": "{{secrets.CANARY}}", "User-Agent": "a {{secrets.CANARY}}"},
            "body": '{"token":"{{secrets.CANARY}}","whole":{{secrets.CANARY}},"id":"{{execution_id}}"}',
        },
        retry={"max_attempts": 1},
    )
    execution = run(row)
    ran = delivered(service, execution)
    (seen,) = receiver.exchanges
    assert json.loads(seen.body) == {"token": CANARY, "whole": CANARY, "id": str(execution.pk)}
    assert dict(seen.headers)["x-token"].encode("latin-1").decode() == CANARY
    assert ran.request_url.endswith("/[redacted]?t=[redacted]")
    assert json.loads(ran.request_body)["token"] == "[redacted]"
    assert ran.response_headers["x-echo"] == "[redacted]"
    assert "[redacted]" in ran.response_body
    admin = signed_in(person("root", superuser=True))
    api = caller(workspace)
    shown = [
        all_rows(),
        caplog.text,
        *(json.dumps(api.ask("GET", path), ensure_ascii=False) for path in (
            f"/executions/{execution.pk}/", "/executions/", f"/runs/{ran.pk}/", "/runs/", "/secrets/",
            f"/secrets/{kept.pk}/", f"/jobs/{row.job.slug}/", f"/jobs/{row.job.slug}/versions/",
        )),
        *(admin.get(path).content.decode() for path in (
            reverse("admin:runs_execution_change", args=[execution.pk]),
            reverse("admin:runs_run_change", args=[ran.pk]),
            reverse("admin:jobs_job_page", args=[row.job_id]),
            reverse("admin:accounts_secret_changelist"),
            reverse("admin:accounts_secret_change", args=[kept.pk]),
        )),
    ]  # fmt: skip
    for text in shown:
        assert "canary/" not in text.lower()
        assert "v4lue" not in text.lower()


def test_a_retry_sends_the_same_text(workspace: Workspace, make_job: MakeJob, link):
    row = make_job(request={"body": "{{uuid}} {{timestamp}} {{unix}} {{input.n}} {{environment}}"})
    execution = run(row, input={"n": 7})
    claimer = Claimer(owner="w", lease_seconds=60, user_agent="Hourhand/test")
    (first,) = claimer.claim(link, [str(execution.pk)], limit=1)
    assert claimer.give_back(link, [first]) == {first.attempt.key}
    (second,) = claimer.claim(link, [str(execution.pk)], limit=1)
    assert first.request.body == second.request.body == first.sent.body
    assert first.request.body.endswith(b" 7 production")


def test_an_environments_secret_overrides_the_workspaces(workspace: Workspace, make_job: MakeJob, link, monkeypatch):
    monkeypatch.setattr(rendering, "TTL_SECONDS", 0.0)
    other = create_workspace(slug="other", name="Other")
    secret(other, "of-another-workspace")
    secret(workspace, "of-all")
    row = make_job(request={"body": "{{secrets.CANARY}}"})
    claimer = Claimer(owner="w", lease_seconds=60, user_agent="Hourhand/test")

    def sent() -> bytes | None:
        (claimed,) = claimer.claim(link, [str(run(row).pk)], limit=1)
        assert "of-" not in repr(claimed)
        return claimed.request.body

    assert sent() == b"of-all"
    own = secret(workspace, "of-production", environment=row.environment)
    assert sent() == b"of-production"
    change_secret(secret=own, value="of-production-2", now=NOW, actor=SYSTEM)
    assert sent() == b"of-production-2"


def test_a_request_without_variables_needs_no_further_query(make_job: MakeJob, link, monkeypatch):
    monkeypatch.setattr(rendering.Renderer, "renderings", None)
    claimer = Claimer(owner="w", lease_seconds=60, user_agent="Hourhand/test")
    (claimed,) = claimer.claim(link, [str(run(make_job()).pk)], limit=1)
    assert (claimed.secrets, claimed.refusal) == ((), None)


def test_an_undecryptable_secret_has_no_fallback(workspace: Workspace, make_job: MakeJob, link, settings):
    secret(workspace, "of-all")
    settings.ENCRYPTION_KEYS = [new_encryption_key()]
    row = make_job(request={"body": "{{secrets.CANARY}}"})
    secret(workspace, "of-staging", environment=Environment.objects.create(workspace=workspace, slug="staging"))
    claimer = Claimer(owner="w", lease_seconds=60, user_agent="Hourhand/test")
    (claimed,) = claimer.claim(link, [str(run(row).pk)], limit=1)
    assert claimed.refusal is not None
    assert "the secret CANARY is missing" in claimed.refusal.error


def test_a_failed_rendering_is_a_failed_unsent_run(make_job: MakeJob, service):
    receiver = Receiver(echo)
    row = make_job(request={"url": f"http://127.0.0.1:{receiver.port}/", "headers": {"X-Token": "{{input.token}}"}})
    execution = run(row, input={"token": "a\r\nEvil: 1"})
    ran = delivered(service, execution)
    execution.refresh_from_db()
    assert (execution.status, execution.failure_reason, execution.attempts) == ("failed", "template_error", 1)
    assert ran.error == execution.error
    assert ran.error.startswith("The header X-Token can't be rendered: {{input.token}} has a line break")
    assert receiver.exchanges == []


def test_a_rendered_url_that_is_too_long_fails_unsent(make_job: MakeJob, service):
    row = make_job(request={"url": "http://127.0.0.1/{{input.x}}"})
    assert delivered(service, run(row, input={"x": "é" * 2000})).failure_reason == "template_error"


def test_a_reaped_run_shows_the_template(workspace: Workspace, make_job: MakeJob, link):
    secret(workspace)
    row = make_job(request={"body": "{{secrets.CANARY}}", "url": "http://receiver.test/{{secrets.CANARY}}"})
    execution = run(row)
    Claimer(owner="dead", lease_seconds=60, user_agent="Hourhand/test").claim(link, [str(execution.pk)], limit=1)
    Execution.objects.update(lease_expires_at=NOW - datetime.timedelta(days=1))
    assert reap_expired(user_agent="Hourhand/test", rng=random.Random(1)) == 1
    assert Run.objects.get().request_body == "{{secrets.CANARY}}"
    assert Run.objects.get().request_url == "http://receiver.test/{{secrets.CANARY}}"


def test_allowed_headers_are_shown_with_their_secrets_redacted(
    workspace: Workspace, make_job: MakeJob, uncached_headers, service
):
    receiver = Receiver(lambda exchange: exchange.answer("200 OK"))
    secret(workspace)
    url = f"http://127.0.0.1:{receiver.port}/"
    headers = {"X-Request-Id": "42", "X-Token": "a {{secrets.CANARY}}", "Cookie": "c", "X-Other": "o"}
    row = make_job(request={"url": url, "headers": headers})
    before = delivered(service, run(row))
    change_settings(
        workspace=workspace, changes={"redact_allow_headers": ["X-Request-ID", "x-token"]}, now=NOW, actor=SYSTEM
    )
    after = delivered(service, run(row))
    plain = make_job(slug="plain", request={"url": url, "headers": {"X-Request-Id": "43", "X-Other": "o"}})
    hidden = {"x-request-id": "[redacted]", "x-token": "[redacted]", "cookie": "[redacted]", "x-other": "[redacted]"}
    assert hidden.items() <= before.request_headers.items()
    shown = {**hidden, "x-request-id": "42", "x-token": "a [redacted]"}
    assert shown.items() <= after.request_headers.items()
    assert delivered(service, run(plain)).request_headers["x-request-id"] == "43"


def test_a_reaped_run_shows_the_headers_that_its_workspace_allows(workspace: Workspace, make_job: MakeJob, link):
    change_settings(workspace=workspace, changes={"redact_allow_headers": ["X-Request-Id"]}, now=NOW, actor=SYSTEM)
    execution = run(make_job(request={"headers": {"X-Request-Id": "42", "X-Other": "o"}}))
    Claimer(owner="dead", lease_seconds=60, user_agent="Hourhand/test").claim(link, [str(execution.pk)], limit=1)
    Execution.objects.update(lease_expires_at=NOW - datetime.timedelta(days=1))
    assert reap_expired(user_agent="Hourhand/test", rng=random.Random(1)) == 1
    kept = Run.objects.get().request_headers
    assert (kept["x-request-id"], kept["x-other"]) == ("42", "[redacted]")


def test_keys_are_rotated(workspace: Workspace, settings):
    kept, new = secret(workspace), new_encryption_key()
    settings.ENCRYPTION_KEYS = [new, KEY]
    call_command("rotate_encryption_keys", stdout=StringIO())
    kept.refresh_from_db()
    assert Cipher([new]).decrypt(bytes(kept.encrypted)) == CANARY
    signing = SigningSecret.objects.get(workspace=workspace)
    assert Cipher([new]).decrypt(bytes(signing.value)).startswith("whsec_")
    settings.ENCRYPTION_KEYS = [KEY]
    with pytest.raises(CommandError, match="HOURHAND_ENCRYPTION_KEYS"):
        call_command("rotate_encryption_keys", stdout=StringIO())


def test_the_api_keeps_changes_and_deletes_secrets(workspace: Workspace):
    api = caller(workspace)
    made = api.ask("POST", "/secrets/", {"name": "TOKEN", "value": CANARY}, expect=201)
    assert set(made) == {"id", "name", "environment", "created_at", "updated_at"}
    own = {"name": "TOKEN", "value": "other-value", "environment": "production"}
    assert api.ask("POST", "/secrets/", own, expect=201)["environment"] == "production"
    assert [item["environment"] for item in api.ask("GET", "/secrets/")["results"]] == ["production", None]
    path = f"/secrets/{made['id']}/"
    api.ask("PATCH", path, {"value": "new-value"}, expect=200)
    assert Cipher([KEY]).decrypt(bytes(Secret.objects.get(pk=made["id"]).encrypted)) == "new-value"
    assert api.refused("PATCH", path, {"name": "OTHER", "value": "new-value"}) == {"name": "unknown_field"}
    api.ask("DELETE", path, expect=204)
    api.ask("GET", path, expect=404)


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"name": "lower", "value": "value"}, "name", "invalid"),
        ({"name": "A" * 65, "value": "value"}, "name", "max_length"),
        ({"name": "TOKEN", "value": "abc"}, "value", "min_length"),
        ({"name": "TOKEN", "value": "     "}, "value", "invalid"),
        ({"name": "TOKEN", "value": "a    b"}, None, None),
        ({"name": "TOKEN", "value": "value", "environment": "nowhere"}, "environment", "environment_unknown"),
        ({"name": "TOKEN"}, "value", "required"),
    ],
)
def test_a_wrong_secret_is_refused(workspace: Workspace, body, field, code):
    if field is None:
        caller(workspace).ask("POST", "/secrets/", body, expect=201)
    else:
        assert caller(workspace).refused("POST", "/secrets/", body) == {field: code}


def test_a_second_secret_of_a_name_is_refused(workspace: Workspace):
    secret(workspace)
    body = {"name": "CANARY", "value": "another"}
    assert caller(workspace).refused("POST", "/secrets/", body, expect=409) == {"name": "secret_exists"}


def test_without_an_encryption_key_no_secret_is_stored(workspace: Workspace, settings):
    settings.ENCRYPTION_KEYS = []
    problem = caller(workspace).ask("POST", "/secrets/", {"name": "TOKEN", "value": "value"}, expect=409)
    assert problem["code"] == "no_encryption_key"
    assert "HOURHAND_ENCRYPTION_KEYS" in problem["detail"]


def test_a_secret_in_use_can_not_be_deleted(workspace: Workspace):
    api, kept = caller(workspace), secret(workspace)
    wanted = {"name": "Nightly", "request": {"url": "http://receiver.test/", "body": {"t": "{{ secrets.CANARY }}"}}}
    api.ask("POST", "/jobs/", wanted, expect=201)
    path = f"/secrets/{kept.pk}/"
    problem = api.ask("DELETE", path, expect=409)
    assert (problem["code"], "nightly" in problem["detail"]) == ("secret_in_use", True)
    own = secret(workspace, environment=workspace.environments.get())
    api.ask("DELETE", f"/secrets/{own.pk}/", expect=204)
    api.ask("DELETE", "/jobs/nightly/", expect=204)
    api.ask("DELETE", path, expect=204)


def test_only_administrators_and_their_own_workspace_reach_secrets(workspace: Workspace):
    kept = secret(workspace)
    caller(workspace, scopes=["jobs:read", "jobs:write"]).ask("GET", "/secrets/", expect=403)
    caller(create_workspace(slug="other", name="Other")).ask("GET", f"/secrets/{kept.pk}/", expect=404)
    bound = caller(workspace, environments=[workspace.environments.get()])
    bound.ask("GET", f"/secrets/{kept.pk}/", expect=404)
    bound.ask("POST", "/secrets/", {"name": "TOKEN", "value": "value"}, expect=403)
    bound.ask("POST", "/secrets/", {"name": "TOKEN", "value": "value", "environment": "production"}, expect=201)


def test_the_dashboard_keeps_changes_and_deletes_secrets(workspace: Workspace, make_job: MakeJob):
    owner = signed_in(person("olga", workspace=workspace, role="owner"))
    add = reverse("admin:accounts_secret_add")
    wrong = owner.post(add, {"workspace": workspace.pk, "name": "lower", "value": CANARY})
    assert wrong.status_code == 200
    assert "v4lue" not in wrong.content.decode()
    assert owner.post(add, {"workspace": workspace.pk, "name": "CANARY", "value": CANARY}).status_code == 302
    kept = Secret.objects.get()
    change = reverse("admin:accounts_secret_change", args=[kept.pk])
    assert owner.post(change, {"value": "another"}).status_code == 302
    kept.refresh_from_db()
    assert Cipher([KEY]).decrypt(bytes(kept.encrypted)) == "another"
    make_job(request={"body": "{{secrets.CANARY}}"})
    delete = reverse("admin:accounts_secret_delete", args=[kept.pk])
    assert "is used by the jobs nightly-report" in owner.post(delete, {"post": "yes"}, follow=True).content.decode()
    assert Secret.objects.exists()
    member = signed_in(person("mara", workspace=workspace, role="member"))
    assert member.post(change, {"value": "mine"}).status_code == 403
    assert member.post(delete, {"post": "yes"}).status_code == 403
