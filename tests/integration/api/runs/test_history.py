"""Executions and runs through the API: read, run, cancel, replay."""

import datetime
import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.actors import SYSTEM
from accounts.models import Environment, Workspace
from api.runs.serializers import ExecutionSerializer, ListedExecutionSerializer, RunSerializer
from jobs.models import Job, JobEnvironment
from jobs.services.save import delete_job
from runs.models import Execution
from tests.support.api_caller import NOW, Caller, caller, make_execution, make_run, some_id
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
SECOND = datetime.timedelta(seconds=1)
#: The key, its use; whether jobs are being removed; the page, its versions, its last runs.
EXECUTION_LIST_QUERIES = 6
RUN_LIST_QUERIES = 4


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


@pytest.fixture
def report(make_job: MakeJob) -> JobEnvironment:
    return make_job(slug="report", schedule="0 2 * * *")


def ids(answer: dict[str, Any]) -> list[str]:
    return [row["id"] for row in answer["results"]]


class TestDetails:
    def test_an_execution_is_returned_with_its_runs(self, api: Caller, report: JobEnvironment) -> None:
        execution = make_execution(
            report,
            scheduled_for=NOW,
            created_at=NOW + SECOND / 500,
            started_at=NOW + SECOND * 0.006,
            finished_at=NOW + SECOND * 0.316,
            attempts=2,
            input={"a": 1},
        )
        failed = {
            "status": "failed",
            "failure_reason": "http_server_error",
            "error": "HTTP 503",
            "response_status": 503,
        }
        first = make_run(execution, 1, **failed)
        second = make_run(execution, 2, queue_ms=3, total_ms=142)
        shown = api.ask("GET", f"/executions/{execution.pk}/", expect=200)
        assert set(shown) == set(ExecutionSerializer().fields)
        assert shown["job"] == "report"
        assert (shown["job_version"], shown["job_version_current"], shown["max_attempts"]) == (1, 1, 3)
        assert (shown["environment"], shown["trigger"], shown["status"]) == ("production", "schedule", "succeeded")
        assert shown["scheduled_for"] == "2026-03-01T12:00:00.000Z"
        durations = ("pending_duration_ms", "run_duration_ms", "total_duration_ms", "lateness_ms")
        assert [shown[name] for name in durations] == [4, 310, 314, 6]
        assert shown["final_response"] == {"status_code": 200, "body_preview": "done"}
        assert (shown["failure_reason"], shown["error"], shown["next_attempt_at"]) == (None, None, None)
        assert [run["id"] for run in shown["runs"]] == [str(first.pk), str(second.pk)]
        assert shown["input"] == {"a": 1}
        before, after = shown["runs"]
        assert (before["trigger"], before["retry"], before["error"]) == ("schedule", None, "HTTP 503")
        assert (after["trigger"], after["retry"]) == ("retry", {"of": str(first.pk), "attempt": 1})
        assert set(after) == set(RunSerializer().fields)
        assert after["timings"] == {
            "queue_ms": 3,
            "dns_ms": None,
            "connect_ms": None,
            "tls_ms": None,
            "first_byte_ms": None,
            "total_ms": 142,
        }
        assert after["request"] == {
            "method": "POST",
            "url": "http://receiver.test/ok",
            "headers": {"authorization": "[redacted]"},
            "body": "{}",
        }
        assert after["response"] == {
            "status_code": 200,
            "headers": {"content-type": "text/plain"},
            "body": "done",
            "body_truncated": False,
            "body_note": None,
            "body_bytes": 4,
            "http_version": "1.1",
            "remote_ip": "93.184.215.14",
        }
        assert api.ask("GET", f"/runs/{second.pk}/", expect=200) == after

    def test_an_unstarted_execution_has_no_durations(self, api: Caller, report: JobEnvironment) -> None:
        made = api.ask("POST", "/jobs/report/run/", {"delay_seconds": 60}, expect=202)
        assert made["status"] == "pending"
        assert made["next_attempt_at"] == made["scheduled_for"]
        assert made["pending_duration_ms"] is None
        assert made["total_duration_ms"] is None
        assert (made["final_response"], made["runs"], made["waiting"], made["callback"]) == (None, [], None, None)

    def test_lists_omit_heavy_fields_and_truncate_bodies(self, api: Caller, report: JobEnvironment) -> None:
        body = "ü" * 5000
        execution = make_execution(report, input={"big": "x" * 5000})
        run = make_run(execution, response_body=body, request_body="y" * 2048, body_bytes=10_000)
        [listed] = api.ask("GET", "/executions/", expect=200)["results"]
        assert set(listed) == set(ListedExecutionSerializer().fields)
        assert set(ExecutionSerializer().fields) - set(listed) == {"input", "output", "steps", "runs"}
        assert listed["final_response"]["body_preview"] == "ü" * 1024 + "...[truncated]"
        [row] = api.ask("GET", "/runs/", expect=200)["results"]
        assert row["response"]["body"] == "ü" * 1024 + "...[truncated]"
        assert row["request"]["body"] == "y" * 2048
        assert api.ask("GET", f"/runs/{run.pk}/")["response"]["body"] == body

    def test_lists_read_no_long_text_from_the_database(self, api: Caller, report: JobEnvironment) -> None:
        make_run(make_execution(report))
        for path in ("/executions/", "/runs/"):
            with CaptureQueriesContext(connection) as queries:
                api.ask("GET", path, expect=200)
            for query in queries:
                selected = re.sub(r"LEFT\([^)]*\)", "", query["sql"].partition(" FROM ")[0])
                for column in ('"input"', '"output",', '"state"', '"response_body",', '"request_body",', '"config",'):
                    assert f".{column}" not in selected, selected

    def test_a_binary_body_is_marked(self, api: Caller, report: JobEnvironment) -> None:
        run = make_run(make_execution(report), response_body="/9j/", response_body_encoding="base64")
        assert api.ask("GET", f"/runs/{run.pk}/")["response"]["body_encoding"] == "base64"
        assert api.ask("GET", "/executions/")["results"][0]["final_response"]["body_encoding"] == "base64"

    def test_a_run_without_an_answer_has_no_response(self, api: Caller, report: JobEnvironment) -> None:
        run = make_run(make_execution(report), response_status=None, response_body=None, response_headers=None)
        assert api.ask("GET", f"/runs/{run.pk}/")["response"] is None


class TestListing:
    @pytest.fixture
    def history(self, report: JobEnvironment, make_job: MakeJob) -> dict[str, Execution]:
        other = make_job(slug="other", name="Other thing")
        failed = {"status": "failed", "failure_reason": "timeout", "error": "timed out after 30 s"}
        return {
            "old": make_execution(report, created_at=NOW - 3 * SECOND),
            "failed": make_execution(report, created_at=NOW - 2 * SECOND, **failed),
            "manual": make_execution(other, created_at=NOW - SECOND, trigger="manual"),
            "new": make_execution(report, created_at=NOW),
        }

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("", ["new", "manual", "failed", "old"]),
            ("?order=asc", ["old", "failed", "manual", "new"]),
            ("?sort=scheduled_for&order=desc&limit=1", ["new"]),
            ("?status=failed", ["failed"]),
            ("?status=failed,%20canceled", ["failed"]),
            ("?trigger=manual,replay", ["manual"]),
            ("?failure_reason=timeout", ["failed"]),
            ("?job=report", ["new", "failed", "old"]),
            ("?job=nowhere", []),
            ("?job_name=oTHER", ["manual"]),
            ("?environment=production,staging&limit=2", ["new", "manual"]),
            ("?environment=staging", []),
            ("?from=2026-03-01T11:59:58Z&to=2026-03-01T12:00:00Z", ["manual", "failed"]),
            ("?from=2026-03-01T12:59:58%2B01:00&to=2026-03-01T11:59:59", ["failed"]),
            ("?offset=1&limit=2", ["manual", "failed"]),
        ],
    )
    def test_filters_executions(self, api: Caller, history: dict[str, Execution], query: str, names: list[str]) -> None:
        assert ids(api.ask("GET", f"/executions/{query}", expect=200)) == [str(history[name].pk) for name in names]

    def test_a_jobs_executions_have_the_same_filters(self, api: Caller, history: dict[str, Execution]) -> None:
        path = "/jobs/report/executions/"
        assert ids(api.ask("GET", f"{path}?order=asc&limit=1")) == [str(history["old"].pk)]
        assert len(ids(api.ask("GET", path))) == 3
        assert ids(api.ask("GET", f"{path}?status=failed")) == [str(history["failed"].pk)]
        api.ask("GET", "/jobs/nowhere/executions/", expect=404)

    def test_history_of_a_deleted_job_stays(self, api: Caller, history: dict[str, Execution]) -> None:
        job = Job.objects.get(slug="report")
        delete_job(job=job, now=NOW, actor=SYSTEM)
        for path in (f"/jobs/{job.pk}/executions/", "/jobs/report/executions/", f"/executions/?job={job.pk}"):
            assert len(ids(api.ask("GET", path, expect=200))) == 3

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("stauts=failed", "stauts"),
            ("status=lost", "status"),
            ("status=", "status"),
            ("trigger=schedule,hand", "trigger"),
            ("from=yesterday", "from"),
            ("sort=started_at", "sort"),
            ("order=up", "order"),
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=ten", "limit"),
            ("offset=10001", "offset"),
            ("cursor=abc", "cursor"),
            ("cursor=abc&offset=1", "offset"),
            ("status=failed&status=pending", "status"),
            ("last_only=perhaps", "last_only"),
            ("job=%00", "job"),
        ],
    )
    def test_a_wrong_parameter_is_named(self, api: Caller, query: str, field: str) -> None:
        for path in ("/executions/", "/runs/") if field not in {"sort", "order"} else ("/executions/",):
            assert list(api.refused("GET", f"{path}?{query}")) == [field]

    def test_pages_are_stable_with_ties_and_new_rows(self, api: Caller, report: JobEnvironment) -> None:
        same = [make_execution(report, trigger="manual", created_at=NOW) for _ in range(7)]
        wanted = [str(execution.pk) for execution in sorted(same, key=lambda row: row.pk, reverse=True)]
        first = api.ask("GET", "/executions/?limit=3")
        make_execution(report, trigger="manual", created_at=NOW + SECOND)
        second = api.ask("GET", first["next"].partition("/api/v1")[2])
        third = api.ask("GET", second["next"].partition("/api/v1")[2])
        assert ids(first) + ids(second) + ids(third) == wanted
        assert third["next"] is None
        assert ids(api.ask("GET", third["previous"].partition("/api/v1")[2])) == ids(second)
        wrong_order = second["next"].partition("/api/v1")[2] + "&order=asc"
        assert list(api.refused("GET", wrong_order)) == ["cursor"]

    @pytest.mark.parametrize(
        ("path", "count"), [("/executions/", EXECUTION_LIST_QUERIES), ("/runs/", RUN_LIST_QUERIES)]
    )
    def test_costs_the_same_few_queries_for_any_number_of_rows(
        self, api: Caller, make_job: MakeJob, path: str, count: int
    ) -> None:
        for rows in (1, 5):
            for _ in range(rows):
                execution = make_execution(make_job())
                make_run(execution, 1)
                make_run(execution, 2)
            with CaptureQueriesContext(connection) as queries:
                api.ask("GET", path, expect=200)
            assert len(queries) == count, [query["sql"][:120] for query in queries]

    def test_filters_runs(self, api: Caller, report: JobEnvironment) -> None:
        execution, other = make_execution(report), make_execution(report, trigger="manual")
        first = make_run(execution, 1, status="failed", failure_reason="timeout", started_at=NOW)
        second = make_run(execution, 2, started_at=NOW + SECOND, finished_at=NOW + SECOND)
        third = make_run(other, 1, started_at=NOW + SECOND / 2, finished_at=NOW + SECOND)
        everything = [str(run.pk) for run in (second, third, first)]
        assert ids(api.ask("GET", "/runs/")) == everything
        for query, found in {
            f"execution={execution.pk}": [second, first],
            "trigger=retry": [second],
            "trigger=schedule": [first],
            "trigger=manual,retry": [second, third],
            "status=failed": [first],
            "failure_reason=timeout": [first],
            "job=report&environment=production": [second, third, first],
            "from=2026-03-01T12:00:01Z": [second],
            "to=2026-03-01T12:00:01Z": [third, first],
            "from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59.9999Z": [second, third, first],
            "last_only=true": [second],
            "last_only=true&status=failed": [first],
        }.items():
            assert ids(api.ask("GET", f"/runs/?{query}", expect=200)) == [str(run.pk) for run in found], query

    def test_the_latest_run_of_each_job_in_each_environment(
        self, api: Caller, workspace: Workspace, report: JobEnvironment, make_job: MakeJob
    ) -> None:
        staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
        there = JobEnvironment.objects.create(workspace=workspace, job=report.job, environment=staging)
        latest = []
        for state in (report, there, make_job(slug="other")):
            make_run(make_execution(state, trigger="manual"))
            latest.append(make_run(make_execution(state, trigger="manual")))
        wanted = [str(run.pk) for run in reversed(latest)]
        assert ids(api.ask("GET", "/runs/?last_only=true")) == wanted
        first = api.ask("GET", "/runs/?last_only=true&limit=2")
        assert ids(first) + ids(api.ask("GET", first["next"].partition("/api/v1")[2])) == wanted
        assert ids(api.ask("GET", "/runs/?last_only=true&environment=staging")) == [str(latest[1].pk)]


class TestActions:
    def test_run_now_leaves_the_schedule_alone(self, api: Caller, report: JobEnvironment) -> None:
        made = api.ask("POST", "/jobs/report/run/", {"input": {"customer": 42}}, expect=202)
        assert (made["trigger"], made["status"], made["input"]) == ("manual", "pending", {"customer": 42})
        assert made["scheduled_for"] is None
        assert JobEnvironment.objects.get(pk=report.pk).next_fire_at == report.next_fire_at
        assert api.ask("GET", f"/executions/{made['id']}/") == made

    def test_an_impossible_run_is_refused(self, api: Caller, report: JobEnvironment) -> None:
        path = "/jobs/report/run/"
        assert api.refused("POST", path, {"delay": 5}) == {"delay": "unknown_field"}
        assert api.refused("POST", path, {"delay_seconds": -1}) == {"delay_seconds": "min_value"}
        api.refused("POST", path, {"environment": "nowhere"}, expect=404)
        JobEnvironment.objects.update(enabled=False, next_fire_at=None)
        assert api.ask("POST", path, {"environment": "production"}, expect=409)["code"] == "job_not_enabled"
        assert api.ask("POST", path, expect=409)["code"] == "environment_ambiguous"
        assert not Execution.objects.exists()

    def test_an_execution_can_be_canceled_until_it_has_ended(self, api: Caller, report: JobEnvironment) -> None:
        made = api.ask("POST", "/jobs/report/run/")
        path = f"/executions/{made['id']}/cancel/"
        assert api.ask("POST", path, expect=200)["status"] == "canceled"
        assert api.ask("POST", path, expect=409)["code"] == "execution_not_cancelable"
        assert api.refused("POST", path, {"force": True}) == {"force": "unknown_field"}
        api.ask("POST", f"/executions/{some_id()}/cancel/", expect=404)

    def test_replay_in_the_current_or_the_original_configuration(self, api: Caller, report: JobEnvironment) -> None:
        old = make_execution(report, input={"a": 1})
        before = api.ask("GET", f"/executions/{old.pk}/")
        api.ask("PATCH", "/jobs/report/", {"retry": {"max_attempts": 5}}, expect=200)
        path = f"/executions/{old.pk}/replay/"
        current = api.ask("POST", path, expect=202)
        original = api.ask("POST", path, {"config": "original", "input": None}, expect=202)
        assert (current["job_version"], current["max_attempts"], current["input"]) == (2, 5, {"a": 1})
        assert (original["job_version"], original["max_attempts"], original["input"]) == (1, 3, None)
        assert current["trigger"] == "replay"
        assert current["replay_of"] == str(old.pk)
        assert api.ask("GET", f"/executions/{old.pk}/") == before | {"job_version_current": 2}

    def test_an_impossible_replay_is_refused(self, api: Caller, report: JobEnvironment) -> None:
        path = f"/executions/{make_execution(report).pk}/replay/"
        assert api.refused("POST", path, {"config": "newest"}) == {"config": "invalid_choice"}
        assert api.refused("POST", path, {"edit": "all"}) == {"edit": "not_a_dict"}
        api.ask("DELETE", "/jobs/report/", expect=204)
        assert api.ask("POST", path, {"config": "current"}, expect=409)["code"] == "job_deleted"
        api.ask("POST", path, {"config": "original"}, expect=202)

    def test_replay_runs_in_another_enabled_environment(
        self, api: Caller, workspace: Workspace, report: JobEnvironment
    ) -> None:
        staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
        path = f"/executions/{make_execution(report).pk}/replay/"
        assert api.ask("POST", path, {"environment": "staging"}, expect=409)["code"] == "job_not_enabled"
        api.ask("PATCH", "/jobs/report/", {"environments": {"staging": {"enabled": True}}}, expect=200)
        assert api.ask("POST", path, {"environment": "staging"}, expect=202)["environment"] == "staging"
        api.ask("PATCH", "/jobs/report/", {"environments": {"staging": {"enabled": False}}}, expect=200)
        assert api.ask("POST", path, {"environment": "staging"}, expect=409)["code"] == "job_not_enabled"
        api.refused("POST", path, {"environment": "nowhere"}, expect=404)
        bound = caller(workspace, environments=[report.environment])
        bound.refused("POST", path, {"environment": "staging"}, expect=404)
        caller(workspace, environments=[staging]).ask("POST", path, expect=404)

    def test_replay_runs_in_its_own_environment_even_if_disabled(self, api: Caller, report: JobEnvironment) -> None:
        JobEnvironment.objects.update(enabled=False, next_fire_at=None)
        path = f"/executions/{make_execution(report).pk}/replay/"
        assert api.ask("POST", path, {"environment": "production"}, expect=202)["environment"] == "production"

    def test_an_edited_replay_is_validated_like_a_jobs_request(self, api: Caller, report: JobEnvironment) -> None:
        path = f"/executions/{make_execution(report).pk}/replay/"
        for edit, wrong in {
            "url=javascript:1": {"edit.url": "invalid_url"},
            "url=http://receiver.test/{{secrets.GONE}}": {"edit.url": "unknown_secret"},
            "method=FETCH": {"edit.method": "invalid_choice"},
            "uri=http://receiver.test/": {"edit.uri": "unknown_field"},
        }.items():
            name, _, value = edit.partition("=")
            assert api.refused("POST", path, {"edit": {name: value}}) == wrong
        assert not Execution.objects.filter(trigger="replay").exists()

    def test_an_edit_can_not_make_a_head_request_with_a_body_or_body_assertion(
        self, api: Caller, make_job: MakeJob
    ) -> None:
        path = f"/executions/{make_execution(make_job(slug='plain')).pk}/replay/"
        assert api.refused("POST", path, {"edit": {"method": "HEAD", "body": "x"}}) == {"edit.body": "conflicting"}
        asserting = make_job(slug="asserting", success={"assertions": [{"type": "body_contains", "value": "x"}]})
        path = f"/executions/{make_execution(asserting).pk}/replay/"
        assert api.refused("POST", path, {"edit": {"method": "HEAD"}}) == {"edit.method": "conflicting"}

    def test_an_edited_replay_is_no_version_of_the_job(self, api: Caller, report: JobEnvironment) -> None:
        path = f"/executions/{make_execution(report).pk}/replay/"
        made = api.ask("POST", path, {"edit": {"method": "PUT", "body": {"a": 1}}}, expect=202)
        again = api.ask("POST", path, {"edit": {"method": "PATCH"}}, expect=202)
        assert (made["job_version"], again["job_version"], made["job_version_current"]) == (1, 1, 1)
        request = Execution.objects.get(pk=made["id"]).job_version.config["request"]
        assert (request["method"], request["body"]) == ("PUT", '{"a":1}')
        assert request["url"] == "http://receiver.test/ok"
        assert api.ask("GET", "/jobs/report/")["request"]["method"] == "POST"
        assert len(api.ask("GET", "/jobs/report/versions/")["results"]) == 1
        assert api.ask("GET", "/jobs/report/versions/1/")["definition"]["request"]["method"] == "POST"
        assert api.ask("PATCH", "/jobs/report/", {"description": "new"}, expect=200)["version"] == 2
        same = api.ask("POST", path, {"edit": {"method": "POST"}}, expect=202)
        assert not Execution.objects.get(pk=same["id"]).job_version.edited

    def test_retry_uses_the_original_version_and_only_failed_executions(
        self, api: Caller, report: JobEnvironment
    ) -> None:
        failed = make_execution(report, status="failed", failure_reason="timeout", input={"a": 1})
        api.ask("PATCH", "/jobs/report/", {"retry": {"max_attempts": 5}}, expect=200)
        made = api.ask("POST", f"/executions/{failed.pk}/retry/", expect=202)
        assert (made["trigger"], made["retry_of"], made["replay_of"]) == ("retry", str(failed.pk), None)
        assert (made["job_version"], made["max_attempts"], made["input"]) == (1, 3, {"a": 1})
        assert (made["status"], made["attempts"], made["scheduled_for"]) == ("pending", 0, None)
        for status in ("succeeded", "canceled"):
            path = f"/executions/{make_execution(report, trigger='manual', status=status).pk}/retry/"
            assert api.ask("POST", path, expect=409)["code"] == "execution_not_retryable"
        assert api.ask("POST", f"/executions/{made['id']}/retry/", expect=409)["code"] == "execution_not_retryable"
        assert api.refused("POST", f"/executions/{failed.pk}/retry/", {"now": True}) == {"now": "unknown_field"}
        api.ask("POST", f"/executions/{some_id()}/retry/", expect=404)
        api.ask("DELETE", "/jobs/report/", expect=204)
        api.ask("POST", f"/executions/{failed.pk}/retry/", expect=202)
