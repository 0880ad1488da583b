"""Many executions replayed or canceled by a filter: matches, pace, batches that run once, permissions."""

import datetime
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import Environment, Workspace
from accounts.services import create_workspace
from jobs.models import JobEnvironment
from runs.executions import bulk
from runs.executions.bulk import work_off
from runs.models import BulkOperation, Execution
from tests.support.api_caller import NOW, Caller, caller, make_execution, some_id
from tests.support.jobs import MakeJob
from tests.support.threads import run_in_thread

pytestmark = pytest.mark.django_db
LATER = NOW + datetime.timedelta(days=400)
SECOND = datetime.timedelta(seconds=1)


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


@pytest.fixture
def report(make_job: MakeJob) -> JobEnvironment:
    return make_job(slug="report")


def failed(state: JobEnvironment, count: int) -> list[str]:
    """Create this many failed executions, the earliest due first."""
    rows = [
        make_execution(
            state,
            trigger="manual",
            status="failed",
            failure_reason="timeout",
            created_at=NOW + n * SECOND,
            input={"n": n},
        )
        for n in range(count)
    ]
    return [str(row.pk) for row in rows]


def waiting(state: JobEnvironment, **columns: Any) -> Execution:
    return make_execution(
        state, **{"trigger": "manual", "status": "pending", "finished_at": None, "next_attempt_at": NOW, **columns}
    )


def work_all(now: datetime.datetime = LATER) -> int:
    """Process batches until nothing is due."""
    batches = 0
    while work_off(now):
        batches += 1
    return batches


class TestRequests:
    def test_a_dry_run_counts_matches_and_changes_nothing(self, api: Caller, report: JobEnvironment) -> None:
        ids = failed(report, 3)
        make_execution(report, trigger="manual")
        told = api.ask("POST", "/executions/replay/", {"filter": {"status": "failed"}, "dry_run": True}, expect=200)
        assert told == {"dry_run": True, "matched": 3, "more": False, "ids": ids}
        told = api.ask("POST", "/executions/replay/", {"filter": {}, "dry_run": True, "limit": 2}, expect=200)
        assert (told["matched"], told["more"]) == (2, True)
        assert not BulkOperation.objects.exists()

    def test_only_cancelable_or_ended_executions_match(self, api: Caller, report: JobEnvironment) -> None:
        live, ended = str(waiting(report).pk), failed(report, 1)
        told = api.ask("POST", "/executions/cancel/", {"filter": {}, "dry_run": True}, expect=200)
        assert told["ids"] == [live]
        told = api.ask("POST", "/executions/replay/", {"filter": {"job": "report"}, "dry_run": True}, expect=200)
        assert told["ids"] == ended
        told = api.ask("POST", "/executions/cancel/", {"filter": {"status": ["failed"]}, "dry_run": True}, expect=200)
        assert told["matched"] == 0

    @pytest.mark.parametrize(
        ("body", "wrong"),
        [
            ({}, {"filter": "required"}),
            ({"filter": "all"}, {"filter": "invalid"}),
            ({"filter": {"stauts": "failed"}}, {"filter.stauts": "unknown_field"}),
            ({"filter": {"status": ["lost"]}}, {"filter.status": "invalid_choice"}),
            ({"filter": {}, "limit": 10_001}, {"limit": "max_value"}),
            ({"filter": {}, "limit": "all"}, {"limit": "invalid"}),
            ({"filter": {}, "rate_per_second": 0}, {"rate_per_second": "min_value"}),
            ({"filter": {}, "dry_run": "yes"}, {"dry_run": "invalid"}),
            ({"filter": {}, "sort": "duration"}, {"sort": "unknown_field"}),
        ],
    )
    def test_a_wrong_field_is_named(self, api: Caller, body: dict[str, Any], wrong: dict[str, str]) -> None:
        for path in ("/executions/replay/", "/executions/cancel/"):
            assert api.refused("POST", path, body) == wrong
        assert not BulkOperation.objects.exists()

    def test_reading_an_operation_needs_the_scope_and_the_workspace(
        self, api: Caller, workspace: Workspace, report: JobEnvironment
    ) -> None:
        failed(report, 1)
        made = api.ask("POST", "/executions/replay/", {"filter": {}}, expect=202)
        path = f"/bulk-operations/{made['id']}/"
        reader = caller(workspace, scopes=["executions:read"])
        assert reader.ask("GET", path, expect=200)["matched"] == 1
        reader.ask("POST", "/executions/replay/", {"filter": {}}, expect=403)
        reader.ask("POST", f"{path}cancel/", expect=403)
        stranger = caller(create_workspace(slug="other", name="Other"))
        stranger.ask("GET", path, expect=404)
        stranger.ask("POST", f"{path}cancel/", expect=404)
        assert stranger.ask("GET", "/bulk-operations/")["results"] == []
        api.ask("GET", f"/bulk-operations/{some_id()}/", expect=404)

    def test_a_key_bound_to_an_environment_touches_and_sees_only_what_is_there(
        self, api: Caller, workspace: Workspace, report: JobEnvironment
    ) -> None:
        place = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
        staging = JobEnvironment.objects.create(workspace=workspace, job=report.job, environment=place)
        failed(report, 2)
        [there] = failed(staging, 1)
        bound = caller(workspace, environments=[place])
        whole = api.ask("POST", "/executions/replay/", {"filter": {}}, expect=202)
        own = bound.ask("POST", "/executions/replay/", {"filter": {}}, expect=202)
        assert (whole["matched"], own["ids"]) == (3, [there])
        assert [row["id"] for row in bound.ask("GET", "/bulk-operations/")["results"]] == [own["id"]]
        bound.ask("GET", f"/bulk-operations/{whole['id']}/", expect=404)
        bound.ask("POST", f"/bulk-operations/{whole['id']}/cancel/", expect=404)

    def test_the_audit_log_names_who_started_and_who_canceled_it(self, api: Caller, report: JobEnvironment) -> None:
        failed(report, 2)
        made = api.ask("POST", "/executions/replay/", {"filter": {"status": "failed"}}, expect=202)
        api.ask("POST", f"/bulk-operations/{made['id']}/cancel/", expect=200)
        entries = api.ask("GET", f"/audit-log/?target={made['id']}", expect=200)["results"]
        assert [entry["action"] for entry in entries] == ["bulk_operation.canceled", "bulk_operation.created"]
        assert entries[1]["changes"]["matched"] == [None, 2]


class TestProcessing:
    def test_each_is_replayed_once_in_the_order_it_was_due(
        self, api: Caller, report: JobEnvironment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "BATCH", 4)
        ids = failed(report, 10)
        made = api.ask("POST", "/executions/replay/", {"filter": {"status": "failed"}}, expect=202)
        assert (made["state"], made["matched"], made["done"], made["remaining"]) == ("running", 10, 0, 10)
        assert (made["kind"], made["filter"], made["config"]) == ("replay", {"status": "failed"}, "current")
        assert work_all() == 3
        replays = Execution.objects.filter(trigger="replay").order_by("pk")
        assert [str(row.replay_of_id) for row in replays] == ids
        assert [row.input for row in replays] == [{"n": n} for n in range(10)]
        assert {(row.status, row.environment_id, row.attempts) for row in replays} == {
            ("pending", report.environment_id, 0)
        }
        shown = api.ask("GET", f"/bulk-operations/{made['id']}/", expect=200)
        assert (shown["state"], shown["done"], shown["skipped"], shown["remaining"]) == ("completed", 10, 0, 0)
        assert shown["finished_at"] is not None

    def test_the_current_or_the_original_configuration(self, api: Caller, report: JobEnvironment) -> None:
        failed(report, 1)
        api.ask("PATCH", "/jobs/report/", {"concurrency": 3}, expect=200)
        for config, number, concurrency in (("current", 2, 3), ("original", 1, None)):
            api.ask("POST", "/executions/replay/", {"filter": {"status": "failed"}, "config": config}, expect=202)
            work_all()
            made = Execution.objects.filter(trigger="replay").latest("pk")
            assert (made.job_version.number, made.concurrency) == (number, concurrency)

    def test_executions_that_can_not_be_replayed_are_counted(
        self, api: Caller, report: JobEnvironment, make_job: MakeJob
    ) -> None:
        failed(report, 2)
        gone = failed(make_job(slug="gone"), 2)
        made = api.ask("POST", "/executions/replay/", {"filter": {"status": "failed"}}, expect=202)
        api.ask("DELETE", "/jobs/gone/", expect=204)
        Execution.objects.filter(pk=gone[0]).delete()
        work_all()
        shown = api.ask("GET", f"/bulk-operations/{made['id']}/")
        assert (shown["matched"], shown["done"], shown["skipped"]) == (4, 2, 2)

    def test_a_pace_spreads_the_starts_and_the_batches(self, api: Caller, report: JobEnvironment) -> None:
        failed(report, 25)
        api.ask("POST", "/executions/replay/", {"filter": {}, "rate_per_second": 2}, expect=202)
        assert work_all(LATER) == 1
        replays = list(Execution.objects.filter(trigger="replay").order_by("pk"))
        assert [row.next_attempt_at for row in replays] == [LATER + n * SECOND / 2 for n in range(10)]
        assert [row.enqueued_at is not None for row in replays] == [True] + [False] * 9
        assert not work_off(LATER + 4.9 * SECOND)
        assert work_off(LATER + 5 * SECOND)
        assert BulkOperation.objects.get().position == 20

    def test_cancels_live_executions_only(self, api: Caller, report: JobEnvironment, make_job: MakeJob) -> None:
        idle = waiting(report)
        running = waiting(
            report, status="running", lease_owner="worker", lease_expires_at=LATER, started_at=timezone.now()
        )
        late = waiting(report)
        made = api.ask("POST", "/executions/cancel/", {"filter": {"job": "report"}}, expect=202)
        assert (made["matched"], made["config"]) == (3, None)
        api.ask("POST", f"/executions/{late.pk}/cancel/", expect=200)
        other = waiting(make_job(slug="other"))
        work_all()
        statuses = dict(Execution.objects.values_list("pk", "status"))
        assert statuses == {idle.pk: "canceled", running.pk: "canceled", late.pk: "canceled", other.pk: "pending"}
        assert running.runs.get().status == "canceled"
        shown = api.ask("GET", f"/bulk-operations/{made['id']}/")
        assert (shown["state"], shown["done"], shown["skipped"]) == ("completed", 2, 1)

    def test_canceling_releases_queued_executions(self, api: Caller, make_job: MakeJob) -> None:
        state = make_job(slug="queueing", overlap="queue")
        before = {"trigger": "schedule", "overlap": "queue"}
        first = waiting(state, **before, scheduled_for=NOW)
        queued = waiting(state, **before, scheduled_for=NOW + SECOND, queued=True, next_attempt_at=None)
        api.ask("POST", "/executions/cancel/", {"filter": {"to": "2026-03-01T12:00:01Z"}}, expect=202)
        work_all()
        first.refresh_from_db()
        queued.refresh_from_db()
        assert (first.status, queued.status, queued.queued) == ("canceled", "pending", False)

    def test_a_canceled_operation_stops(
        self, api: Caller, report: JobEnvironment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "BATCH", 2)
        failed(report, 5)
        path = f"/bulk-operations/{api.ask('POST', '/executions/replay/', {'filter': {}})['id']}/"
        work_off(LATER)
        assert api.ask("POST", f"{path}cancel/", expect=200)["state"] == "canceled"
        assert work_all() == 0
        shown = api.ask("GET", path)
        assert (shown["done"], shown["remaining"], Execution.objects.filter(trigger="replay").count()) == (2, 3, 2)
        assert api.ask("POST", f"{path}cancel/", expect=409)["code"] == "bulk_operation_ended"
        assert api.refused("POST", f"{path}cancel/", {"force": True}) == {"force": "unknown_field"}

    def test_an_operation_without_matches_ends_at_once(self, api: Caller, report: JobEnvironment) -> None:
        made = api.ask("POST", "/executions/replay/", {"filter": {"status": "failed"}}, expect=202)
        assert (made["state"], made["matched"], made["ids"], made["cursor"]) == ("completed", 0, [], None)
        assert work_all() == 0

    def test_ids_are_paginated(self, api: Caller, report: JobEnvironment) -> None:
        ids = failed(report, 130)
        first = api.ask("POST", "/executions/replay/", {"filter": {}}, expect=202)
        path = f"/bulk-operations/{first['id']}/"
        second = api.ask("GET", f"{path}?cursor={first['cursor']}", expect=200)
        assert first["ids"] + second["ids"] == ids
        assert second["cursor"] is None
        assert api.refused("GET", f"{path}?cursor=abc") == {"cursor": "invalid_cursor"}
        assert "ids" not in api.ask("GET", "/bulk-operations/")["results"][0]


@pytest.mark.django_db(transaction=True)
class TestConcurrency:
    def test_two_workers_never_process_the_same_operation(self, api: Caller, report: JobEnvironment) -> None:
        failed(report, 3)
        api.ask("POST", "/executions/replay/", {"filter": {}}, expect=202)
        with transaction.atomic():
            BulkOperation.objects.select_for_update().get()
            assert run_in_thread(lambda: work_off(LATER)) is False
        assert work_off(LATER)

    def test_a_failed_batch_is_rolled_back(self, api: Caller, report: JobEnvironment) -> None:
        failed(report, 3)
        api.ask("POST", "/executions/replay/", {"filter": {}}, expect=202)
        with transaction.atomic():
            work_off(LATER)
            transaction.set_rollback(True)  # As Postgres does for a dead worker.
        assert BulkOperation.objects.get().position == 0
        assert not Execution.objects.filter(trigger="replay").exists()
        assert work_all() == 1
        assert Execution.objects.filter(trigger="replay").count() == 3
