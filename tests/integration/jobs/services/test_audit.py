"""The audit log of jobs, retry policies and executions, for every actor and interface."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.encryption import new_encryption_key
from accounts.models import ApiKey, AuditEntry, Workspace
from jobs.services.audit import redacted
from tests.support.admin_rows import execution_of, person, signed_in
from tests.support.api_caller import JOB, Caller, caller, make_execution
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
CANARY = "canary-t0ken"


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def log(kind: str = "job") -> list[tuple[str, dict[str, Any]]]:
    return list(AuditEntry.objects.filter(target_kind=kind).order_by("id").values_list("action", "changes"))


def last(action: str) -> dict[str, Any]:
    entry = AuditEntry.objects.filter(action=action).latest("id")
    return dict(entry.changes)


class TestJobs:
    def test_creation_and_each_change_are_logged(self, api: Caller) -> None:
        api.ask("PUT", "/jobs/report/", {**JOB, "schedule": "0 2 * * *"}, expect=201)
        made = last("job.created")
        assert made["name"] == [None, "Nightly report"]
        assert made["request.url"] == [None, JOB["request"]["url"]]  # type: ignore[index]
        assert made["enabled"] == [None, {"production": True}]
        change = {"schedule": "0 3 * * *", "tags": ["a"], "environments": {"production": {"enabled": False}}}
        api.ask("PATCH", "/jobs/report/", change, expect=200)
        assert last("job.updated") == {
            "version": [1, 2],
            "schedule": ["0 2 * * *", "0 3 * * *"],
            "tags": [[], ["a"]],
            "enabled.production": [True, False],
        }
        api.ask("PATCH", "/jobs/report/", {"slug": "renamed"}, expect=200)
        assert last("job.updated")["slug"] == ["report", "renamed"]
        api.ask("DELETE", "/jobs/renamed/", expect=204)
        assert [action for action, _ in log()] == ["job.created", "job.updated", "job.updated", "job.deleted"]

    def test_a_save_without_changes_is_not_logged(self, api: Caller) -> None:
        for code in (201, 200):
            api.ask("PUT", "/jobs/report/", JOB, expect=code)
        assert [action for action, _ in log()] == ["job.created"]

    def test_a_failed_save_is_not_logged(self, api: Caller, make_job: MakeJob) -> None:
        make_job(slug="taken")
        api.ask("PUT", "/jobs/report/", JOB, expect=201)
        before = AuditEntry.objects.count()
        api.ask("PATCH", "/jobs/report/", {"slug": "taken"}, expect=409)
        assert AuditEntry.objects.count() == before

    def test_imported_jobs_are_logged_like_others(self, api: Caller) -> None:
        for tags in ([], ["a"]):
            jobs = [{**JOB, "slug": slug, "tags": tags} for slug in ("one", "two")]
            api.ask("POST", "/jobs/import/", {"format": "json", "content": {"jobs": jobs}, "dry_run": True}, expect=200)
            api.ask("POST", "/jobs/import/", {"format": "json", "content": {"jobs": jobs}}, expect=200)
        api.ask("POST", "/jobs/", {**JOB, "slug": "alone"}, expect=201)
        told = log()
        assert [action for action, _ in told] == [*["job.created"] * 2, *["job.updated"] * 2, "job.created"]
        assert told[0][1] == told[1][1] == told[4][1]
        assert told[2][1] == {"version": [1, 2], "tags": [[], ["a"]]}
        assert set(AuditEntry.objects.filter(target_kind="job").values_list("actor_kind", flat=True)) == {"key"}

    def test_overrides_are_logged_by_environment_without_header_values(self, api: Caller) -> None:
        api.ask("PUT", "/jobs/report/", JOB, expect=201)
        overrides = {"concurrency": 2, "request": {"headers": {"Authorization": CANARY}}}
        api.ask("PATCH", "/jobs/report/", {"environments": {"production": {"overrides": overrides}}}, expect=200)
        request = {"headers": {"Authorization": "[redacted]"}}
        assert last("job.updated")["overrides.production"] == [None, {"concurrency": 2, "request": request}]

    def test_restoring_and_purging_are_logged(self, api: Caller, make_job: MakeJob) -> None:
        api.ask("PUT", "/jobs/report/", {**JOB, "tags": ["a"]}, expect=201)
        api.ask("PATCH", "/jobs/report/", {"tags": ["b"]}, expect=200)
        api.ask("POST", "/jobs/report/versions/1/restore/", {}, expect=200)
        assert last("job.restored") == {"restored": [None, 1], "version": [2, 3], "tags": [["b"], ["a"]]}
        make_execution(make_job(slug="old"))
        api.ask("DELETE", "/jobs/old/?purge=true", expect=204)
        told = AuditEntry.objects.filter(target_label="old", actor_kind="key").order_by("id")
        assert [entry.action for entry in told] == ["job.deleted", "job.purged"]

    def test_header_values_are_left_out(self, api: Caller) -> None:
        for number in (1, 2):
            headers = {"Authorization": f"Bearer {CANARY}{number}", "X-Same": CANARY}
            api.ask("PUT", "/jobs/report/", {**JOB, "request": {**JOB["request"], "headers": headers}})  # type: ignore[dict-item]
        assert last("job.updated")["request.headers.Authorization"] == ["[redacted]", "[redacted]"]
        assert "request.headers.X-Same" not in last("job.updated")
        assert CANARY not in str(list(AuditEntry.objects.values()))

    def test_header_values_are_left_out_in_every_section(self) -> None:
        inner = {"request": {"headers": {"A": CANARY}, "url": "u"}}
        changes = redacted({"environments.staging": [None, inner], "steps": [[inner], []], "headers.A": [CANARY, None]})
        assert CANARY not in str(changes)
        assert changes["environments.staging"][1]["request"]["url"] == "u"
        assert changes["headers.A"] == ["[redacted]", None]

    def test_pauses_and_resumptions_are_logged(self, api: Caller, make_job: MakeJob) -> None:
        make_job(schedule="0 2 * * *")
        api.ask("POST", "/jobs/nightly-report/pause/", {"note": "moving", "until": "2099-01-01T00:00:00Z"}, expect=200)
        assert last("job.paused") == {
            "production.paused": [False, True],
            "production.paused_until": [None, "2099-01-01T00:00:00.000Z"],
            "production.pause_note": ["", "moving"],
        }
        for _ in range(2):
            api.ask("POST", "/jobs/nightly-report/resume/", {}, expect=200)
        assert last("job.resumed")["production.paused"] == [True, False]
        assert [action for action, _ in log()].count("job.resumed") == 1

    def test_logging_a_save_takes_a_constant_number_of_queries(self, api: Caller) -> None:
        api.ask("PUT", "/jobs/report/", JOB, expect=201)

        def cost(number: int) -> int:
            with CaptureQueriesContext(connection) as queries:
                api.ask("PATCH", "/jobs/report/", {"description": str(number)}, expect=200)
            return len(queries)

        assert cost(1) == cost(2) == cost(3)


def test_retry_policies_are_logged(api: Caller) -> None:
    api.ask("POST", "/retry-policies/", {"slug": "patient", "name": "Patient"}, expect=201)
    api.ask("PATCH", "/retry-policies/patient/", {"max_attempts": 9}, expect=200)
    api.ask("PATCH", "/retry-policies/patient/", {"max_attempts": 9}, expect=200)
    api.ask("DELETE", "/retry-policies/patient/", expect=204)
    told = log("retry_policy")
    assert [action for action, _ in told] == ["retry_policy.created", "retry_policy.updated", "retry_policy.deleted"]
    assert told[1][1] == {"max_attempts": [3, 9]}


class TestExecutions:
    def test_runs_replays_and_cancels_are_logged_without_the_input(self, api: Caller, make_job: MakeJob) -> None:
        done = make_execution(make_job())
        body = {"input": {"token": CANARY}, "delay_seconds": 3600}
        made = api.ask("POST", "/jobs/nightly-report/run/", body, expect=202)
        assert last("job.run") == {
            "execution": [None, made["id"]],
            "environment": [None, "production"],
            "delay_seconds": [None, 3600],
        }
        api.ask("POST", f"/executions/{made['id']}/cancel/", {}, expect=200)
        api.ask("POST", f"/executions/{made['id']}/cancel/", {}, expect=409)
        body = {"config": "original", "input": {"token": CANARY}}
        replayed = api.ask("POST", f"/executions/{done.pk}/replay/", body, expect=202)
        told = AuditEntry.objects.filter(target_kind="execution").order_by("id")
        assert [(entry.action, entry.target_id, entry.target_label) for entry in told] == [
            ("execution.canceled", made["id"], "nightly-report"),
            ("execution.replayed", str(done.pk), "nightly-report"),
        ]
        assert last("execution.replayed") == {"execution": [None, replayed["id"]], "config": [None, "original"]}
        assert CANARY not in str(list(AuditEntry.objects.values()))

    def test_a_refused_request_is_not_logged(self, api: Caller, make_job: MakeJob) -> None:
        row = make_job()
        row.enabled = False
        row.save()
        before = AuditEntry.objects.count()
        api.ask("POST", "/jobs/nightly-report/run/", {"environment": "production"}, expect=409)
        assert AuditEntry.objects.count() == before


class TestActors:
    def test_the_actor_of_a_key_is_the_key(self, api: Caller) -> None:
        api.ask("POST", "/jobs/", JOB, expect=201)
        entry = AuditEntry.objects.get(action="job.created")
        assert (entry.actor_kind, entry.actor_id) == ("key", str(ApiKey.objects.get().pk))

    @pytest.fixture
    def olga(self, workspace: Workspace) -> Client:
        return signed_in(person("olga", workspace=workspace, role="owner"))

    def test_every_button_of_the_dashboard_names_the_person(self, olga: Client, make_job: MakeJob) -> None:
        row = make_job(schedule="0 2 * * *")
        done, pending = execution_of(row), execution_of(row, status="pending")
        presses: list[tuple[str, Any]] = [
            ("jobs_job_pause", row.job_id), ("jobs_job_resume", row.job_id), ("runs_execution_run_now", row.pk),
            ("runs_execution_replay", done.pk), ("runs_execution_cancel", pending.pk),
            ("runs_execution_delete_job", row.job_id),
        ]  # fmt: skip
        before = AuditEntry.objects.count()
        for name, target in presses:
            assert olga.post(reverse(f"admin:{name}", args=[target])).status_code == 302, name
        told = list(AuditEntry.objects.order_by("id").values_list("action", "actor_label"))[before:]
        assert told == [
            (action, "olga")
            for action in (
                "job.paused", "job.resumed", "job.run", "execution.replayed", "execution.canceled", "job.deleted",
            )
        ]  # fmt: skip

    def test_no_changing_route_logs_hourhand_as_the_actor(self, api: Caller, workspace: Workspace) -> None:
        """Make each call once; every entry since is the key's own."""
        before = AuditEntry.objects.count()
        api.ask("POST", "/jobs/", JOB, expect=201)
        run = api.ask("POST", "/jobs/nightly-report/run/", {"delay_seconds": 60}, expect=202)["id"]
        secret = {"name": "TOKEN", "value": "a-value"}
        calls: list[tuple[str, str, Any]] = [
            ("PATCH", "/jobs/nightly-report/", {"description": "x"}),
            ("POST", "/jobs/nightly-report/pause/", {}),
            ("POST", "/jobs/nightly-report/resume/", {}),
            ("POST", f"/executions/{run}/cancel/", {}),
            ("POST", f"/executions/{run}/replay/", {}),
            ("DELETE", "/jobs/nightly-report/", None),
            ("POST", "/retry-policies/", {"slug": "patient", "name": "Patient"}),
            ("PATCH", "/retry-policies/patient/", {"max_attempts": 9}),
            ("DELETE", "/retry-policies/patient/", None),
            ("POST", "/environments/", {"slug": "staging"}),
            ("PATCH", "/environments/staging/", {"name": "Stage"}),
            ("DELETE", "/environments/staging/", None),
            ("PUT", "/settings/", {"name": "Acme Inc."}),
            ("POST", "/signing-secrets/rotate/", {}),
        ]
        for method, path, body in calls:
            api.ask(method, path, body)
        for path, body, change in (
            ("/secrets/", secret, {"value": "another"}),
            ("/keys/", {"name": "x", "scopes": ["admin"]}, {"name": "y"}),
            ("/members/", {"username": "nina"}, {"role": "viewer"}),
        ):
            made = api.ask("POST", path, body, expect=201)["id"]
            api.ask("PATCH", f"{path}{made}/", change, expect=200)
            api.ask("DELETE", f"{path}{made}/", expect=204)
        entries = list(AuditEntry.objects.order_by("id"))[before:]
        assert len(entries) == 2 + len(calls) + 9
        assert {(entry.actor_kind, entry.workspace_id) for entry in entries} == {("key", workspace.pk)}

    @pytest.fixture(autouse=True)
    def encryption_key(self, settings: Any) -> None:
        settings.ENCRYPTION_KEYS = [new_encryption_key()]
