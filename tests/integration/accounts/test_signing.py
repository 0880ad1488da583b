"""Signing secrets from rotation to the wire: which secrets sign, who sees them, and what verifies."""

import datetime
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from accounts.actors import SYSTEM
from accounts.encryption import Cipher, new_encryption_key
from accounts.models import Environment, Scope, SigningSecret, Workspace
from accounts.services import create_workspace
from accounts.signing import MAX_OVERLAP_SECONDS, new_signing_secret, rotate_signing_secret
from runs.attempts.reaping import reap_expired
from runs.executions import services
from runs.models import Execution, Run
from tests.support.admin_rows import person, signed_in
from tests.support.api_caller import Caller, caller
from tests.support.engine import Running
from tests.support.jobs import MakeJob
from tests.support.receiver import receiving
from workers.connections import Link
from workers.delivery.signing import Signature
from workers.worker import keyring
from workers.worker.claim import Claimer
from workers.worker.claimed import Claimed
from workers.worker.evaluate import evaluate

HOUR = datetime.timedelta(hours=1)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@pytest.fixture
def link() -> Iterator[Link]:
    made = Link("test")
    yield made
    made.close()


@pytest.fixture
def no_key_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the keys again for every batch."""
    monkeypatch.setattr(keyring, "TTL_SECONDS", 0.0)


def new_claimer() -> Claimer:
    return Claimer(owner="worker", lease_seconds=60, user_agent="Hourhand/test")


def claimed_of(state: Any, link: Link, claimer: Claimer | None = None) -> Claimed:
    execution = services.run_now(job_environment=state, now=now(), actor=SYSTEM)
    (claimed,) = (claimer or new_claimer()).claim(link, [str(execution.pk)], limit=1)
    return claimed


def verifies(secret: str, claimed: Claimed) -> bool:
    try:
        Webhook(secret).verify(claimed.request.body or b"", dict(claimed.request.headers))
    except WebhookVerificationError:
        return False
    return True


def rotated(workspace: Workspace, **options: Any) -> str:
    return rotate_signing_secret(workspace=workspace, now=now(), actor=SYSTEM, **options).secret


@pytest.mark.django_db(transaction=True)
class TestSending:
    @pytest.fixture
    def state(self, make_job: MakeJob) -> Any:
        return make_job(request={"body": '{"at":"nön-ascii","n":[1,2.5]}', "headers": {"Content-Type": "text/plain"}})

    def test_a_request_verifies_with_its_workspaces_secret_only(
        self, state: Any, workspace: Workspace, link: Link
    ) -> None:
        other = create_workspace(slug="other", name="Other")
        mine, theirs = rotated(workspace), rotated(other)
        claimed = claimed_of(state, link)
        assert verifies(mine, claimed)
        assert not verifies(theirs, claimed)

    def test_both_secrets_sign_during_the_overlap_and_only_the_newest_afterwards(
        self, state: Any, workspace: Workspace, link: Link, no_key_cache: None
    ) -> None:
        claimer = new_claimer()
        old = rotated(workspace, overlap_seconds=0)
        assert verifies(old, claimed_of(state, link, claimer))
        new = rotated(workspace, overlap_seconds=3600)
        during = claimed_of(state, link, claimer)
        assert (verifies(new, during), verifies(old, during)) == (True, True)
        signature = dict(during.request.headers)["webhook-signature"]
        assert len(signature.split(" ")) == 2
        SigningSecret.objects.filter(retires_at__isnull=False).update(retires_at=now() - HOUR)
        after = claimed_of(state, link, claimer)
        assert (verifies(new, after), verifies(old, after)) == (True, False)

    def test_every_attempt_carries_the_same_id_and_its_own_timestamp(
        self, state: Any, workspace: Workspace, link: Link
    ) -> None:
        claimer = new_claimer()
        first = claimed_of(state, link, claimer)
        claimer.give_back(link, [first])
        (second,) = claimer.claim(link, [first.attempt.execution_id], limit=1)
        told = [dict(item.request.headers) for item in (first, second)]
        assert {item["webhook-id"] for item in told} == {f"msg_{first.attempt.execution_id}"}
        for item, claimed in zip(told, (first, second), strict=True):
            assert int(item["webhook-timestamp"]) == int(claimed.claimed_at.timestamp())

    def test_history_keeps_id_and_timestamp_and_redacts_the_signature(self, state: Any, link: Link) -> None:
        claimed = claimed_of(state, link)
        sent, kept = dict(claimed.request.headers), json.loads(claimed.sent.headers)
        assert kept["webhook-id"] == sent["webhook-id"]
        assert kept["webhook-timestamp"] == sent["webhook-timestamp"]
        assert kept["webhook-signature"] == "[redacted]"

    def test_a_lost_workers_run_has_no_signature(self, state: Any, link: Link) -> None:
        claimed_of(state, link)
        Execution.objects.update(lease_expires_at=now() - HOUR)
        assert reap_expired(user_agent="Hourhand/test", rng=random.Random(1)) == 1
        assert not [name for name in Run.objects.get().request_headers if name.startswith("webhook-")]

    @pytest.mark.parametrize("keys", [[], ["malformed"], [new_encryption_key()]], ids=["none", "malformed", "another"])
    def test_without_a_usable_secret_requests_are_unsigned(
        self, state: Any, workspace: Workspace, link: Link, settings: Any, keys: list[str]
    ) -> None:
        rotated(workspace)
        settings.ENCRYPTION_KEYS = keys
        claimed = claimed_of(state, link)
        assert not [name for name, _ in claimed.request.headers if name.startswith("webhook-")]
        assert not [name for name in json.loads(claimed.sent.headers) if name.startswith("webhook-")]

    def test_a_workspace_without_a_secret_is_unsigned_until_it_rotates(
        self, state: Any, workspace: Workspace, link: Link, no_key_cache: None
    ) -> None:
        SigningSecret.objects.all().delete()
        claimer = new_claimer()
        assert "webhook-id" not in dict(claimed_of(state, link, claimer).request.headers)
        secret = rotated(workspace)
        assert verifies(secret, claimed_of(state, link, claimer))

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_a_receiver_verifies_real_requests(
        self, make_job: MakeJob, workspace: Workspace, link: Link, method: str
    ) -> None:
        secret = rotated(workspace)
        body = '{"at":"nön-ascii"}' if method == "POST" else None
        with receiving() as receiver:
            state = make_job(request={"url": receiver.url("/hook"), "method": method, "body": body})
            running = Running()
            try:
                running.engine.submit([claimed_of(state, link).request])
                (result,) = running.wait(1)
            finally:
                running.engine.stop(grace_seconds=1)
            assert result.succeeded
            (seen,) = receiver.exchanges
        verifier = Webhook(secret)
        headers = dict(seen.headers)
        at = datetime.datetime.fromtimestamp(int(headers["webhook-timestamp"]), datetime.UTC)
        signatures = headers["webhook-signature"].split(" ")
        assert verifier.sign(headers["webhook-id"], at, seen.body.decode()) in signatures
        if method == "POST":
            assert verifier.verify(seen.body, headers) == {"at": "nön-ascii"}

    @pytest.mark.django_db(transaction=True)
    def test_a_request_that_waited_has_a_fresh_timestamp(
        self, workspace: Workspace, make_job: MakeJob, link: Link
    ) -> None:
        """Move the claim into the past instead of waiting."""
        secret = rotated(workspace)
        with receiving() as receiver:
            state = make_job(request={"url": receiver.url("/hook"), "body": '{"a":1}'})
            claimed = claimed_of(state, link)
            signature = claimed.request.signature
            assert signature is not None
            waited = signature._replace(monotonic=signature.monotonic - 400)
            running = Running()
            try:
                running.engine.submit([claimed.request._replace(signature=waited)])
                (result,) = running.wait(1)
            finally:
                running.engine.stop(grace_seconds=1)
            (seen,) = receiver.exchanges
        headers = dict(seen.headers)
        sent_at = int(headers["webhook-timestamp"])
        assert 395 < sent_at - int(claimed.claimed_at.timestamp()) < 500
        at = datetime.datetime.fromtimestamp(sent_at, datetime.UTC)
        assert Webhook(secret).sign(headers["webhook-id"], at, '{"a":1}') in headers["webhook-signature"].split(" ")
        shown = json.loads(evaluate(claimed, result, worker="w", rng=random.Random(1)).sent.headers)
        assert (shown["webhook-timestamp"], shown["webhook-signature"]) == (str(sent_at), "[redacted]")
        assert json.loads(claimed.sent.headers)["webhook-timestamp"] != str(sent_at)


class Rows:
    """A cursor that answers every statement with these rows, and counts the statements."""

    def __init__(self, *rows: tuple[str, bytes, datetime.datetime | None]) -> None:
        self.rows = rows
        self.asked: list[list[str]] = []

    def execute(self, _: str, parameters: list[list[str]]) -> None:
        self.asked.append(sorted(parameters[0]))

    def fetchall(self) -> list[Any]:
        return list(self.rows)


class TestCache:
    def test_one_query_serves_a_batch_and_the_next_few_seconds(self) -> None:
        cursor, keys = Rows(), keyring.Keyring([new_encryption_key()])
        for _ in range(3):
            keys.keys_of(cursor, {"one", "two"})
        keys.keys_of(cursor, {"one", "four"})
        assert cursor.asked == [["one", "two"], ["four"]]

    def test_a_cached_secret_does_not_outlive_its_expiry(self) -> None:
        encryption_key, at = new_encryption_key(), now()
        value = Cipher([encryption_key]).encrypt(new_signing_secret())
        cursor = Rows(("one", value, None), ("one", value, at + HOUR))
        keys = keyring.Keyring([encryption_key]).keys_of(cursor, {"one"})["one"]
        for instant, count in ((at, 2), (at + HOUR, 1)):
            headers = dict(Signature.create(keys, message_id="1", body=None, at=instant, monotonic=0.0).headers)
            assert len(headers["webhook-signature"].split(" ")) == count


@pytest.mark.django_db
class TestStorage:
    def test_a_new_workspace_has_an_encrypted_secret(self, workspace: Workspace, settings: Any) -> None:
        row = SigningSecret.objects.get(workspace=workspace)
        secret = Cipher(settings.ENCRYPTION_KEYS).decrypt(bytes(row.value))
        assert secret.startswith(row.prefix)
        assert secret.encode() not in bytes(row.value)
        assert row.retires_at is None

    def test_without_encryption_keys_a_workspace_has_none(self, db: None, settings: Any) -> None:
        settings.ENCRYPTION_KEYS = []
        create_workspace(slug="bare", name="Bare")
        assert not SigningSecret.objects.exists()

    def test_the_schema_allows_one_newest_and_one_retiring(self, workspace: Workspace) -> None:
        with pytest.raises(IntegrityError):
            SigningSecret.objects.create(workspace=workspace, prefix="whsec_", value=b"x")

    def test_a_third_rotation_ends_the_first_secret_at_once(self, workspace: Workspace) -> None:
        prefixes = [rotated(workspace)[:12] for _ in range(3)]
        live = SigningSecret.objects.filter(workspace=workspace).live(now()).order_by("-created_at")
        assert [row.prefix for row in live] == prefixes[:0:-1]
        assert SigningSecret.objects.filter(workspace=workspace).count() == 2

    def test_other_workspaces_secrets_are_unaffected(self, workspace: Workspace) -> None:
        other = create_workspace(slug="other", name="Other")
        before = list(SigningSecret.objects.filter(workspace=other).values())
        rotated(workspace)
        rotated(workspace)
        assert list(SigningSecret.objects.filter(workspace=other).values()) == before


@pytest.mark.django_db
class TestApi:
    @pytest.fixture
    def client(self, workspace: Workspace) -> Caller:
        return caller(workspace, scopes=[Scope.ADMIN])

    def test_a_rotation_shows_the_secret_once(self, client: Caller, workspace: Workspace) -> None:
        first = SigningSecret.objects.get()
        made = client.ask("POST", "/signing-secrets/rotate/", {"overlap_seconds": 60}, expect=201)
        assert Webhook(made["secret"])
        assert made["secret"].startswith(made["prefix"])
        assert made["retires_at"] is None
        assert made["previous"]["id"] == str(first.pk)
        retires_at = datetime.datetime.fromisoformat(made["previous"]["retires_at"])
        assert retires_at - datetime.datetime.fromisoformat(made["created_at"]) == datetime.timedelta(seconds=60)
        listed = client.ask("GET", "/signing-secrets/", expect=200)["results"]
        assert listed == [{name: made[name] for name in ("id", "prefix", "created_at", "retires_at")}, made["previous"]]
        assert made["secret"] not in str(listed)

    def test_the_default_overlap_is_a_day_and_zero_leaves_one_secret(self, client: Caller) -> None:
        made = client.ask("POST", "/signing-secrets/rotate/", {}, expect=201)
        lasts = datetime.datetime.fromisoformat(made["previous"]["retires_at"]) - now()
        assert datetime.timedelta(hours=23) < lasts <= datetime.timedelta(hours=24)
        assert client.ask("POST", "/signing-secrets/rotate/", {"overlap_seconds": 0}, expect=201)["previous"] is None
        assert len(client.ask("GET", "/signing-secrets/", expect=200)["results"]) == 1

    @pytest.mark.parametrize("overlap", [-1, MAX_OVERLAP_SECONDS + 1, "60", 1.5, True, None])
    def test_a_wrong_overlap_is_refused(self, client: Caller, overlap: Any) -> None:
        named = client.refused("POST", "/signing-secrets/rotate/", {"overlap_seconds": overlap})
        assert list(named) == ["overlap_seconds"]
        assert SigningSecret.objects.count() == 1

    def test_an_unknown_field_is_refused(self, client: Caller) -> None:
        assert client.refused("POST", "/signing-secrets/rotate/", {"overlap": 1}) == {"overlap": "unknown_field"}

    def test_a_key_bound_to_an_environment_does_not_rotate_for_all(self, workspace: Workspace) -> None:
        bound = caller(workspace, environments=[Environment.objects.get(workspace=workspace)])
        assert bound.ask("POST", "/signing-secrets/rotate/", {}, expect=403)["code"] == "environment_bound"

    @pytest.mark.parametrize("keys", [[], ["malformed"]])
    def test_without_a_usable_encryption_key_it_says_what_to_set(
        self, client: Caller, settings: Any, keys: list[str]
    ) -> None:
        settings.ENCRYPTION_KEYS = keys
        problem = client.ask("POST", "/signing-secrets/rotate/", {}, expect=409)
        assert problem["code"] == "encryption_key_missing"
        assert "HOURHAND_ENCRYPTION_KEYS" in problem["detail"]
        assert SigningSecret.objects.filter(retires_at__isnull=True).count() == 1

    def test_no_workspace_lists_anothers_secrets(self, client: Caller) -> None:
        stranger = caller(create_workspace(slug="other", name="Other"))
        mine = {row["id"] for row in client.ask("GET", "/signing-secrets/")["results"]}
        theirs = {row["id"] for row in stranger.ask("GET", "/signing-secrets/")["results"]}
        assert len(mine) == len(theirs) == 1
        assert not mine & theirs

    def test_a_list_never_reads_the_value(self, client: Caller) -> None:
        with CaptureQueriesContext(connection) as captured:
            client.ask("GET", "/signing-secrets/", expect=200)
        assert not [query for query in captured if '"value"' in query["sql"]]


@pytest.mark.django_db
class TestDashboard:
    PAGE = "admin:accounts_signingsecret_changelist"
    BUTTON = "admin:accounts_signingsecret_rotate"

    def test_the_button_rotates_and_shows_the_secret_once(self, workspace: Workspace) -> None:
        client = signed_in(person("olga", workspace=workspace, role="owner"))
        assert "Rotate" in client.get(reverse(self.PAGE)).content.decode()
        wanted = {"workspace": workspace.pk, "overlap_hours": 2}
        page = client.post(reverse(self.BUTTON), wanted, follow=True).content.decode()
        shown = page.partition('id="shown-once">')[2].partition("<")[0]
        assert Webhook(shown)
        newest = SigningSecret.objects.get(retires_at__isnull=True)
        assert shown.startswith(newest.prefix)
        again = client.get(reverse(self.PAGE)).content.decode()
        assert newest.prefix in again
        assert shown not in again
        detail = client.get(reverse("admin:accounts_signingsecret_change", args=[newest.pk])).content.decode()
        assert shown not in detail
        assert bytes(newest.value).decode() not in detail

    def test_rotation_needs_post_and_a_csrf_token(self, workspace: Workspace) -> None:
        owner = person("olga", workspace=workspace, role="owner")
        wanted = {"workspace": workspace.pk, "overlap_hours": 2}
        assert signed_in(owner).get(reverse(self.BUTTON), wanted).status_code == 405
        assert signed_in(owner, checks_csrf=True).post(reverse(self.BUTTON), wanted).status_code == 403
        assert SigningSecret.objects.count() == 1

    @pytest.mark.parametrize("role", ["member", "viewer"])
    def test_members_can_not_rotate(self, workspace: Workspace, role: str) -> None:
        client = signed_in(person("mara", workspace=workspace, role=role))
        assert "Rotate" not in client.get(reverse(self.PAGE)).content.decode()
        assert client.post(reverse(self.BUTTON), {"workspace": workspace.pk, "overlap_hours": 2}).status_code == 404
        assert SigningSecret.objects.count() == 1

    def test_another_workspaces_secret_is_not_found(self, workspace: Workspace) -> None:
        other = create_workspace(slug="other", name="Others")
        theirs = SigningSecret.objects.get(workspace=other)
        client = signed_in(person("olga", workspace=workspace, role="owner"))
        assert theirs.prefix not in client.get(reverse(self.PAGE)).content.decode()
        assert client.get(reverse("admin:accounts_signingsecret_change", args=[theirs.pk])).status_code == 404
        assert client.post(reverse(self.BUTTON), {"workspace": other.pk, "overlap_hours": 2}).status_code == 404
        assert SigningSecret.objects.filter(workspace=other).get() == theirs

    @pytest.mark.parametrize("hours", ["-1", "721", "soon", ""])
    def test_the_dashboard_reports_a_wrong_overlap(self, workspace: Workspace, hours: str) -> None:
        client = signed_in(person("olga", workspace=workspace, role="owner"))
        client.post(reverse(self.BUTTON), {"workspace": workspace.pk, "overlap_hours": hours})
        assert SigningSecret.objects.count() == 1

    def test_an_operator_chooses_the_workspace(self, workspace: Workspace) -> None:
        other = create_workspace(slug="other", name="Others")
        client = signed_in(person("root", superuser=True))
        assert "<select" in client.get(reverse(self.PAGE)).content.decode()
        client.post(reverse(self.BUTTON), {"workspace": other.pk, "overlap_hours": 0})
        assert SigningSecret.objects.filter(workspace=workspace).count() == 1
        assert "Others" in client.get(reverse(self.PAGE)).content.decode()

    def test_without_encryption_keys_it_says_what_to_set(self, workspace: Workspace, settings: Any) -> None:
        settings.ENCRYPTION_KEYS = []
        client = signed_in(person("olga", workspace=workspace, role="owner"))
        wanted = {"workspace": workspace.pk, "overlap_hours": 2}
        assert "HOURHAND_ENCRYPTION_KEYS" in client.post(reverse(self.BUTTON), wanted, follow=True).content.decode()
