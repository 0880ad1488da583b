"""The API's rate limit in a real Valkey: one bucket per key, person or address, and no limit without Redis."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings as project_settings
from django.contrib.auth import get_user_model
from structlog.testing import capture_logs

from accounts.models import Membership, Scope, Workspace
from core.ids import uuid7_text
from core.limits.buckets import PAUSE_SECONDS, Buckets
from core.limits.rate import Rate
from tests.support.api_caller import Caller, caller

pytestmark = pytest.mark.django_db
SLOW = Rate(3, 3600, 3)
LIMITS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


@pytest.fixture
def limited(settings: Any) -> None:
    settings.API_RATE = SLOW


def own_address() -> dict[str, str]:
    """An address used by this test only, with a full bucket."""
    digits = uuid7_text().replace("-", "")[-16:]
    return {"REMOTE_ADDR": "2001:db8:" + ":".join(digits[at : at + 4] for at in range(0, 16, 4)) + "::1"}


@pytest.mark.usefixtures("limited")
class TestOneKey:
    def test_is_told_the_remaining_requests_and_then_when_to_retry(self, workspace: Workspace) -> None:
        api = caller(workspace)
        answers = [api.get("/api/v1/jobs/") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert {answer["X-RateLimit-Limit"] for answer in answers} == {"3"}
        refused = answers[-1]
        assert refused["Content-Type"] == "application/problem+json"
        assert refused.json()["code"] == "rate_limited"
        assert 0 < int(refused["Retry-After"]) <= 1200 < int(refused["X-RateLimit-Reset"]) <= 3600

    def test_does_not_use_anothers_tokens(self, workspace: Workspace) -> None:
        first, second = caller(workspace), caller(workspace)
        while first.get("/api/v1/jobs/").status_code != 429:
            pass
        assert second.get("/api/v1/jobs/")["X-RateLimit-Remaining"] == "2"

    def test_gets_rate_headers_on_errors_too(self, workspace: Workspace) -> None:
        api = caller(workspace, scopes=[Scope.JOBS_READ])
        for method, path, status in (
            ("GET", "/api/v1/jobs/?nope=1", 400),
            ("POST", "/api/v1/jobs/", 403),
            ("GET", "/api/v1/jobs/nope/", 404),
        ):
            answer = api.generic(method, path)
            assert answer.status_code == status
            assert all(answer[name].isdigit() for name in LIMITS)

    def test_changes_nothing_when_refused(self, workspace: Workspace) -> None:
        api = caller(workspace)
        for _ in range(3):
            api.get("/api/v1/jobs/")
        api.ask("POST", "/jobs/", {"name": "x", "request": {"url": "http://receiver.test/"}}, expect=429)
        assert not workspace.jobs.exists()

    def test_never_exceeds_the_burst_under_concurrency(self) -> None:
        door = Buckets(project_settings.REDIS_URL)
        subject, rate = f"test:{uuid7_text()}", Rate(1, 3600, 20)
        with ThreadPoolExecutor(8) as threads:
            verdicts = list(threads.map(lambda _: door.take(subject, rate), range(60)))
        assert sum(1 for verdict in verdicts if verdict and verdict.allowed) == 20


@pytest.mark.usefixtures("limited")
def test_guessed_keys_count_against_the_address_and_no_valid_key(workspace: Workspace) -> None:
    guesser, here = Caller(), own_address()
    statuses = [
        guesser.get("/api/v1/jobs/", HTTP_AUTHORIZATION=f"Bearer hh_{number}", **here).status_code
        for number in range(5)
    ]
    assert statuses == [401, 401, 401, 429, 429]
    assert guesser.get("/api/v1/nope/", **here).status_code == 429
    assert caller(workspace).get("/api/v1/jobs/", **here).status_code == 200, "a neighbour's valid key is not held up"


@pytest.mark.usefixtures("limited")
def test_a_forged_forwarded_address_gets_no_new_bucket() -> None:
    guesser, here = Caller(), own_address()
    statuses = [
        guesser.get("/api/v1/jobs/", HTTP_X_FORWARDED_FOR=f"198.51.100.{number}", **here).status_code
        for number in range(4)
    ]
    assert statuses == [401, 401, 401, 429]


@pytest.mark.usefixtures("limited")
def test_a_person_has_one_bucket_for_all_sessions(workspace: Workspace) -> None:
    person = get_user_model().objects.create_user(uuid7_text(), password="a long password")
    Membership.objects.create(workspace=workspace, user=person)
    remaining = []
    for _ in range(2):
        client = Caller()
        client.force_login(person)
        remaining.append(client.get("/api/v1/jobs/")["X-RateLimit-Remaining"])
    assert remaining == ["2", "1"]


def test_without_a_rate_there_are_no_rate_headers(workspace: Workspace) -> None:
    answer = caller(workspace).get("/api/v1/jobs/")
    assert not [name for name in LIMITS if name in answer]


class TestWithoutRedis:
    @pytest.fixture
    def silent(self) -> Iterator[str]:
        """A server that accepts connections and never answers."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            taken: list[socket.socket] = []
            thread = threading.Thread(target=self.take, args=(listener, taken), daemon=True)
            thread.start()
            yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
            listener.shutdown(socket.SHUT_RDWR)
        thread.join()

    def take(self, listener: socket.socket, taken: list[socket.socket]) -> None:
        while True:
            try:
                taken.append(listener.accept()[0])
            except OSError:
                return

    def test_all_requests_pass_and_it_is_logged_once(self, silent: str) -> None:
        at = 0.0
        door = Buckets(silent, clock=lambda: at)
        with capture_logs() as logged:
            for _ in range(50):
                assert door.take("key:x", SLOW) is None
            at = PAUSE_SECONDS + 1
            assert door.take("key:x", SLOW) is None
        assert [line["event"] for line in logged] == ["rate_limit_suspended"]

    def test_redis_is_tried_again_after_a_while(self) -> None:
        at, subject = 0.0, f"test:{uuid7_text()}"
        door = Buckets(project_settings.REDIS_URL, clock=lambda: at)
        working = door._take

        def broken(**_options: Any) -> Any:
            raise ConnectionResetError

        with capture_logs() as logged:
            door._take = broken  # type: ignore[assignment]
            assert door.take(subject, SLOW) is None
            door._take = working
            assert door.take(subject, SLOW) is None, "not yet"
            at = PAUSE_SECONDS + 0.1
            assert door.take(subject, SLOW) is not None
        assert [line["event"] for line in logged] == ["rate_limit_suspended", "rate_limit_resumed"]

    @pytest.mark.usefixtures("limited")
    def test_the_api_answers_normally(self, workspace: Workspace, silent: str, settings: Any) -> None:
        settings.REDIS_URL = silent
        answer = caller(workspace).get("/api/v1/jobs/")
        assert answer.status_code == 200
        assert "X-RateLimit-Limit" not in answer
