"""`/events/`: permissions, resuming, the end of a stream, and that publishing never disturbs others."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from django.conf import settings as configured
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.api_keys import issue_key
from accounts.models import ApiKey, Environment, Scope, Workspace
from accounts.services import create_workspace
from api.runs import events
from jobs.models import JobEnvironment
from runs.executions.services import cancel, run_now
from runs.live_tail import publish
from tests.support.admin_rows import person
from tests.support.api_caller import caller
from tests.support.engine import eventually
from tests.support.jobs import MakeJob
from tests.support.live_tail import EventStream

pytestmark = pytest.mark.django_db(transaction=True)

Listen = Callable[..., EventStream]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(events, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(events, "_WAIT_SECONDS", 0.2)
    redis.Redis.from_url(configured.REDIS_URL).delete("hourhand:tail:wanted")
    yield
    eventually(lambda: events.SLOTS.in_use == 0)


@pytest.fixture
def report(make_job: MakeJob) -> JobEnvironment:
    return make_job(slug="report")


@pytest.fixture
def listen(live_server: Any, workspace: Workspace) -> Iterator[Listen]:
    opened = []

    def start(query: str = "", *, of: Workspace = workspace, position: str | None = None, **reach: Any) -> EventStream:
        key = issue_key(workspace=of, name="tail", scopes=["executions:read"], **{**NO_LIMITS, **reach}).key
        headers = {"Authorization": f"Bearer {key}", **({"Last-Event-ID": position} if position else {})}
        opened.append(EventStream(live_server.url, path=f"/api/v1/events/{query}", headers=headers))
        return opened[-1].__enter__()

    yield start
    for one in opened:
        one.__exit__()


NO_LIMITS: dict[str, Any] = {"actor": SYSTEM, "environments": None, "expires_at": None}


def run(state: JobEnvironment) -> Any:
    return run_now(job_environment=state, now=timezone.now(), actor=SYSTEM)


# -- what is heard -----------------------------------------------------------------------------------------------------


def test_each_change_of_an_execution_is_sent_as_lists_show_it(
    listen: Listen, report: JobEnvironment, workspace: Workspace
) -> None:
    tail_of = listen()
    made = run(report)
    name, shown = tail_of.next()
    assert (name, shown["status"]) == ("execution", "pending")
    assert shown == caller(workspace).ask("GET", "/executions/", expect=200)["results"][0]
    cancel(workspace=workspace, execution_id=made.pk, now=timezone.now(), actor=SYSTEM)
    assert tail_of.until("canceled")["id"] == str(made.pk)
    assert tail_of.answer.headers["Content-Type"] == "text/event-stream"
    assert tail_of.answer.headers["Cache-Control"] == "no-store"


def test_filters_and_permissions_are_those_of_the_list(
    listen: Listen, report: JobEnvironment, make_job: MakeJob, workspace: Workspace, settings: Any
) -> None:
    settings.EVENT_STREAMS = 10
    staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    wanting = [listen("?job=report&status=canceled,pending"), listen("?environment=production&trigger=manual")]
    others = [
        listen("?status=failed"),
        listen("?job=nothing"),
        listen("?environment=staging"),
        listen(environments=[staging]),
        listen(of=create_workspace(slug="stranger", name="Stranger")),
    ]
    run(make_job(slug="another"))
    made = run(report)
    assert wanting[0].until("pending")["id"] == str(made.pk)
    heard = {wanting[1].until("pending")["job"] for _ in range(2)}
    assert heard == {"another", "report"}
    assert all(one.is_quiet for one in others)


def test_changes_during_a_disconnect_are_sent_on_reconnect(listen: Listen, report: JobEnvironment) -> None:
    first = listen()
    run(report)
    first.until("pending")
    with first:
        position = _settled(first)
    made = [run(report) for _ in range(3)]
    again = listen(position=position)
    assert {again.until("pending")["id"] for _ in made} == {str(one.pk) for one in made}
    assert again.is_quiet


def _settled(one: EventStream) -> str:
    """Return the position once it is past the published changes."""
    assert one.is_quiet
    assert one.position is not None
    return one.position


def test_a_late_reconnect_gets_a_gap(listen: Listen, report: JobEnvironment) -> None:
    late = listen(position="1700000000000-0")
    assert late.next() == ("gap", {})
    made = run(report)
    assert late.until("pending")["id"] == str(made.pk)


def test_too_many_changes_are_a_gap(listen: Listen, report: JobEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_AT_ONCE", 2)
    flooded = listen()
    ids = [str(run(report).pk) for _ in range(8)]
    publish.publish([(str(report.workspace_id), key) for key in ids])
    # A fast listener gets some of the runs one by one before the batch.
    assert any(flooded.next()[0] == "gap" for _ in range(len(ids) + 1))


def test_unpublished_changes_are_a_gap(listen: Listen, report: JobEnvironment) -> None:
    listening = listen()
    publisher = publish._publisher()
    publisher._has_gap = True
    run(report)
    assert listening.next() == ("gap", {})
    listening.until("pending")


# -- how it ends -------------------------------------------------------------------------------------------------------


def test_a_stream_ends_when_its_key_is_revoked_or_expired(listen: Listen, workspace: Workspace) -> None:
    for columns in ({"revoked_at": timezone.now()}, {"expires_at": timezone.now()}, {"scopes": []}):
        listening = listen()
        ApiKey.objects.filter(workspace=workspace).update(**columns)
        assert listening.next() == ("end", None)


def test_a_stream_ends_after_its_time_and_when_the_server_stops(
    listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_SECONDS", 0.5)
    assert listen().next() == ("end", None)
    monkeypatch.setattr(events, "MAX_SECONDS", 900)
    listening = listen()
    monkeypatch.setattr(events, "is_stopping", lambda: True)
    assert listening.next() == ("end", None)


def test_a_disconnect_frees_the_streams_slot(listen: Listen) -> None:
    listening = listen()
    assert events.SLOTS.in_use == 1
    listening.close()
    eventually(lambda: events.SLOTS.in_use == 0)


def test_a_dashboard_session_listens_until_it_expires(
    live_server: Any, report: JobEnvironment, workspace: Workspace
) -> None:
    browser = Client()
    browser.force_login(person("vera", workspace=workspace, role="viewer"))
    cookies = {configured.SESSION_COOKIE_NAME: browser.cookies[configured.SESSION_COOKIE_NAME].value}
    with EventStream(live_server.url, cookies=cookies) as listening:
        run(report)
        listening.until("pending")
        browser.logout()
        assert listening.next() == ("end", None)


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_streams_are_limited_per_workspace_and_caller(
    live_server: Any, listen: Listen, workspace: Workspace, settings: Any
) -> None:
    settings.EVENT_STREAMS = 2
    key = issue_key(workspace=workspace, name="tail", scopes=list(Scope), **NO_LIMITS).key
    mine = {"headers": {"Authorization": f"Bearer {key}"}}
    with EventStream(live_server.url, **mine):
        refused = EventStream(live_server.url, **mine).answer
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "10")
        assert refused.headers["Content-Type"] == "application/problem+json"
        listen()
        full = EventStream(live_server.url, **mine).answer
        assert (full.status_code, full.headers["Retry-After"]) == (503, "10")
        assert full.json()["code"] == "too_many_streams"
        listen(of=create_workspace(slug="neighbour", name="Neighbour"))
    eventually(lambda: events.SLOTS.in_use == 2)
    with EventStream(live_server.url, **mine):
        assert events.SLOTS.in_use == 3


def test_an_invalid_parameter_is_refused_by_name(workspace: Workspace) -> None:
    api = caller(workspace)
    for name in ("from", "to", "last_only", "sort", "order", "limit", "cursor", "offset"):
        assert api.refused("GET", f"/events/?{name}=1") == {name: "unknown_parameter"}
    assert api.refused("GET", "/events/?status=done") == {"status": "invalid_choice"}
    wrong = api.get("/api/v1/events/", headers={"Last-Event-ID": "yesterday"})
    assert wrong.json()["errors"][0]["field"] == "Last-Event-ID"
    asked = api.head("/api/v1/events/")
    assert (asked.status_code, asked["Content-Type"]) == (200, "text/event-stream")


# -- and nobody is hurt ------------------------------------------------------------------------------------------------


def test_nothing_is_stored_without_a_listener(report: JobEnvironment, workspace: Workspace) -> None:
    run(report)
    publish.finish_publishing(5)
    assert not redis.Redis.from_url(configured.REDIS_URL).exists(f"hourhand:tail:{workspace.pk}")


def test_without_redis_only_listeners_are_affected(report: JobEnvironment, workspace: Workspace, settings: Any) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    assert caller(workspace).ask("GET", "/events/", expect=503)["code"] == "tail_away"
    assert run(report).status == "pending"
    assert events.SLOTS.in_use == 0


def test_rolled_back_changes_are_not_sent(listen: Listen, report: JobEnvironment) -> None:
    listening = listen()
    with transaction.atomic():
        run(report)
        transaction.set_rollback(True)
    assert listening.is_quiet
