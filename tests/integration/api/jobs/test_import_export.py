"""Import and export: valid items are imported, and an export imports back unchanged."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiKey, Environment, Scope, Workspace
from jobs.models import Job, JobEnvironment, JobVersion, RetryPolicy, SchedulePeriod
from runs.retention.prune import Turn
from runs.retention.worker import work_off
from tests.support.admin_rows import person
from tests.support.api_caller import JOB, NOW, Caller, caller

pytestmark = pytest.mark.django_db
URL = "http://receiver.test/ok"
CRONTAB = f"""\
CRON_TZ=Europe/Berlin
# Nightly report
0 2 * * * curl -fsS -d a=1 {URL}
0 2 * * * /opt/backup.sh
61 * * * * {URL}
"""


@pytest.fixture
def staging(workspace: Workspace) -> Environment:
    return Environment.objects.create(workspace=workspace, slug="staging", name="Staging")


@pytest.fixture
def api(workspace: Workspace, staging: Environment) -> Caller:
    return caller(workspace)


def sent(api: Caller, content: Any, **more: Any) -> Any:
    kind = more.pop("format", "json")
    return api.ask("POST", "/jobs/import/", {"format": kind, "content": content, **more}, expect=200)


def keep_secrets(api: Caller) -> None:
    for name in ("CERT", "KEY"):
        api.ask("POST", "/secrets/", {"name": name, "value": "never exported"}, expect=201)


def counts(answer: dict[str, Any]) -> tuple[int, int, int, int]:
    return answer["created"], answer["updated"], answer["unchanged"], answer["failed"]


def exported(api: Caller, kind: str) -> str:
    answer = api.get(f"/api/v1/jobs/export/?format={kind}")
    assert answer.status_code == 200
    return answer.content.decode()


def job(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {"slug": f"job-{number}", "name": f"Job {number}", "schedule": "@daily", "request": {"url": URL}, **changes}


#: A job with a non-default value for every field of a definition.
EVERYTHING: dict[str, Any] = {
    "slug": "whole",
    "name": "Everything at once",
    "description": "Line one\n'two': \u2603",
    "tags": ["z", "a"],
    "schedule": "*/7 3 * * 1-5",
    "timezone": "Europe/Berlin",
    "starts_at": "2026-01-01T00:00:00.000Z",
    "ends_at": "2099-01-01T00:00:00.000Z",
    "jitter_seconds": 12,
    "dst_gap": "skip",
    "dst_fold": "both",
    "overlap": "queue",
    "misfire": "fire_all",
    "misfire_grace_seconds": 77,
    "request": {
        "url": f"{URL}?at={{{{timestamp}}}}",
        "method": "PUT",
        "headers": {"X-Token": "{{job}}", "Content-Type": "text/plain"},
        "body": "a: 'b'\n# c\n",
        "timeout_seconds": 9,
        "tls_verify": False,
        "client_cert": {"cert": "{{secrets.CERT}}", "key": "{{secrets.KEY}}"},
    },
    "success": {
        "statuses": [201, "3xx"],
        "assertions": [
            {"type": "body_contains", "value": "ok"},
            {"type": "json_path_equals", "path": "$.a[0]", "value": {"b": None}},
            {"type": "response_time_under_ms", "value": 900},
        ],
    },
    "retry": {
        "max_attempts": 4, "backoff": "list", "delays_ms": [10, 20, 30], "jitter": False, "on_statuses": [500],
        "except_statuses": [501], "on_timeout": False, "on_connection_error": False, "on_assertion": True,
        "on_worker_lost": False, "honor_retry_after": False,
    },
    "concurrency": 3,
    "retention": {"keep_last": 7, "keep_days": 30},
    "environments": {
        "production": {"enabled": True, "overrides": {"schedule": "@hourly", "request": {"method": "POST"}}},
        "staging": {"enabled": False, "overrides": {"retry": {"max_attempts": 1}, "overlap": "skip"}},
    },
}  # fmt: skip


class TestImport:
    def test_valid_crontab_lines_are_imported_and_others_explained(self, api: Caller) -> None:
        answer = sent(api, CRONTAB, format="crontab")
        assert counts(answer) == (1, 0, 0, 2)
        good, no_url, bad_schedule = answer["items"]
        assert good == {
            "index": 0, "line": 3, "slug": "nightly-report", "result": "created", "revision": None, "changes": [],
            "firings": {}, "notes": [], "errors": [],
        }  # fmt: skip
        assert (no_url["line"], no_url["errors"][0]["code"]) == (4, "unreadable")
        assert (bad_schedule["line"], bad_schedule["errors"][0]["field"]) == (5, "schedule")
        made = api.ask("GET", "/jobs/nightly-report/")
        call = made["request"]
        assert (made["timezone"], call["method"], call["body"]) == ("Europe/Berlin", "POST", "a=1")
        assert made["environments"]["production"]["next_fire_at"]
        assert SchedulePeriod.objects.count() == 1
        assert counts(sent(api, CRONTAB, format="crontab")) == (0, 0, 1, 2)

    def test_a_dry_run_reports_the_same_and_changes_nothing(self, api: Caller) -> None:
        sent(api, {"jobs": [job(1), job(2)]})
        wanted = {"jobs": [job(1), job(2, schedule="@hourly"), job(3), {"name": "x"}]}
        foretold = sent(api, wanted, dry_run=True)
        assert counts(foretold) == (1, 1, 1, 1)
        assert Job.objects.count() == JobVersion.objects.count() == 2
        plan = {"changes": [], "firings": {}}
        assert sent(api, wanted) == {**foretold, "items": [{**item, **plan} for item in foretold["items"]]}
        assert JobVersion.objects.count() == 4

    def test_new_jobs_are_enabled_in_the_named_environment(self, api: Caller) -> None:
        sent(api, {"jobs": [job(1), job(2, environments={"production": {}})]}, environment="staging")
        found = JobEnvironment.objects.order_by("job__slug").values_list("job__slug", "environment__slug")
        assert list(found) == [("job-1", "staging"), ("job-2", "production")]

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({"format": "toml", "content": ""}, "format", "invalid_choice"),
            ({"format": "json", "content": "{"}, "content", "unreadable"),
            ({"format": "yaml", "content": "a: &b 1"}, "content", "unreadable"),
            ({"format": "yaml", "content": {"jobs": []}}, "content", "unreadable"),
            ({"format": "json", "content": {"jobs": [{}] * 1001}}, "content", "too_many"),
            ({"format": "json", "content": {"jobs": []}, "dryrun": True}, "dryrun", "unknown_field"),
        ],
    )
    def test_a_file_that_can_not_be_read_is_refused(self, api: Caller, body: Any, field: str, code: str) -> None:
        assert api.refused("POST", "/jobs/import/", body) == {field: code}

    def test_invalid_items_are_refused_with_a_reason(self, api: Caller) -> None:
        items = [job(1), job(1), job(2, request={}), job(3, slug="export"), job(4, retry={"policy": "none"}), "job"]
        items.append(json.loads('{"name": "\\u0000", "request": {"url": "http://receiver.test/"}}'))
        answer = api.ask("POST", "/jobs/import/", {"format": "json", "content": json.dumps({"jobs": items})})
        assert [item["result"] for item in answer["items"]] == ["created"] + ["failed"] * 6
        fields = [[(error["field"], error["code"]) for error in item["errors"]] for item in answer["items"]]
        assert fields[1:] == [
            [("slug", "repeated")], [("request.url", "required")], [("slug", "invalid")],
            [("retry.policy", "policy_unknown")], [(None, "unreadable")], [("name", "invalid_text")],
        ]  # fmt: skip

    def test_a_key_imports_within_its_permissions(
        self, api: Caller, workspace: Workspace, staging: Environment
    ) -> None:
        sent(api, {"jobs": [job(1, environments={"production": {}, "staging": {}}), job(2)]})
        bound = caller(workspace, environments=[staging])
        answer = sent(bound, {"jobs": [job(1, schedule="@hourly"), job(2), job(3)]})
        assert [item["result"] for item in answer["items"]] == ["failed", "failed", "created"]
        assert [item["errors"][0]["code"] for item in answer["items"][:2]] == ["environment_bound", "slug_taken"]
        assert [row["slug"] for row in json.loads(exported(bound, "json"))["jobs"]] == ["job-1", "job-3"]
        reader = caller(workspace, scopes=[Scope.JOBS_READ])
        reader.ask("POST", "/jobs/import/", {"format": "json", "content": {"jobs": []}}, expect=403)

    def test_a_thousand_jobs_take_as_many_queries_as_ten(self, api: Caller) -> None:
        taken = []
        for start, many in ((0, 10), (1000, 300)):
            jobs = {"jobs": [job(start + number) for number in range(many)]}
            for _ in range(2):
                with CaptureQueriesContext(connection) as queries:
                    sent(api, jobs)
                taken.append(len(queries))
        made_ten, kept_ten, made_many, kept_many = taken
        assert made_many <= made_ten + 4  # rows go in batches
        assert kept_many == kept_ten


class TestRoundTrip:
    @pytest.fixture
    def many_kinds(self, api: Caller, workspace: Workspace) -> Caller:
        api.ask("POST", "/retry-policies/", {"slug": "patient", "name": "Patient", "max_attempts": 8}, expect=201)
        places = {"production": {"enabled": False}, "staging": {"overrides": {"request": {"url": f"{URL}/s"}}}}
        for body in (
            job(1),
            job(2, retry={"policy": "patient"}, environments=places, tags=["b", "a"]),
            job(3, request={"url": URL, "body": {"é": [1, None, "yes"]}, "headers": {"X-A": "on"}}),
            job(4, schedule={"every_seconds": 90}, starts_at="2026-05-01T00:00:00Z", success={"statuses": [204]}),
            job(5, schedule="in 10 minutes", concurrency=2, description="a: b\n# c\n"),
            {**JOB, "slug": "manual"},
        ):
            api.ask("POST", "/jobs/", body, expect=201)
        one_off = JobEnvironment.objects.filter(job__slug="job-5")
        one_off.update(enabled=False, next_fire_at=None)
        JobVersion.objects.filter(job__slug="job-5").update(
            config={**JobVersion.objects.get(job__slug="job-5").config, "schedule": "2026-01-01T00:00:00.000Z"}
        )
        assert RetryPolicy.objects.filter(workspace=workspace).count() == 1
        return api

    @pytest.mark.parametrize("kind", ["json", "yaml"])
    def test_importing_an_export_changes_nothing(self, many_kinds: Caller, kind: str) -> None:
        answer = sent(many_kinds, exported(many_kinds, kind), format=kind)
        assert counts(answer) == (0, 0, 6, 0), answer

    @pytest.mark.parametrize("kind", ["json", "yaml"])
    def test_export_wipe_import_export_gives_equal_files(
        self, many_kinds: Caller, workspace: Workspace, kind: str
    ) -> None:
        keep_secrets(many_kinds)
        many_kinds.ask("POST", "/jobs/", EVERYTHING, expect=201)
        first = exported(many_kinds, kind)
        assert "never exported" not in first
        assert not set(EVERYTHING) - set(json.loads(exported(many_kinds, "json"))["jobs"][-1])
        ApiKey.objects.update(created_by=person("olga", workspace=workspace, role="owner"))
        many_kinds.ask("POST", "/wipe/", {"confirm": "acme"}, expect=204)
        assert json.loads(exported(many_kinds, "json")) == {"jobs": []}
        keep_secrets(many_kinds)
        answer = sent(many_kinds, first, format=kind)
        assert counts(answer) == (7, 0, 0, 0), answer
        assert exported(many_kinds, kind) == first
        assert not work_off(Turn(60, sleep=lambda _: None), NOW)
        assert exported(many_kinds, kind) == first

    def test_an_export_omits_defaults(self, api: Caller) -> None:
        sent(api, {"jobs": [job(1)]})
        assert json.loads(exported(api, "json")) == {
            "jobs": [{**job(1), "environments": {"production": {"enabled": True}}}]
        }


def lines(api: Caller, text: str, **more: Any) -> Any:
    return sent(api, text, format="crontab", **more)


class TestReimport:
    """A line is identified by its call and its times, whatever precedes it."""

    @pytest.mark.parametrize("comment", ["# Report v2", "", "#0 1 * * * curl http://old.test/", "# ====="])
    def test_a_changed_comment_makes_no_second_job(self, api: Caller, comment: str) -> None:
        lines(api, f"# Nightly report\n0 2 * * * curl -d a=1 {URL}\n")
        answer = lines(api, f"{comment}\n0 2 * * * curl -d a=1 {URL}\n")
        assert counts(answer) == (0, 0, 1, 0)
        assert answer["items"][0]["slug"] == "nightly-report"
        assert "nightly-report" in answer["items"][0]["notes"][0]
        assert Job.objects.get().name == "Nightly report"

    @pytest.mark.parametrize("other", ["@daily", "0 0 * * 0-6", "0  0 * * *"])
    def test_an_equivalent_schedule_is_unchanged(self, api: Caller, other: str) -> None:
        lines(api, f"# A\n0 0 * * * curl {URL}\n")
        answer = lines(api, f"# B\n{other} curl -s {URL}\n")
        assert (answer["created"], Job.objects.count()) == ((1, 2) if "0-6" in other else (0, 1))

    def test_inserting_a_line_of_the_same_name_renames_no_other(self, api: Caller) -> None:
        lines(api, f"0 1 * * * {URL}\n0 2 * * * {URL}\n")
        before = dict(Job.objects.values_list("slug", "current_version__config__schedule"))
        answer = lines(api, f"0 0 * * * {URL}\n0 1 * * * {URL}\n0 2 * * * {URL}\n")
        assert counts(answer) == (1, 0, 2, 0)
        after = dict(Job.objects.values_list("slug", "current_version__config__schedule"))
        assert after.items() >= before.items()
        assert counts(lines(api, f"0 2 * * * {URL}\n0 0 * * * {URL}\n")) == (0, 0, 2, 0)

    def test_two_equal_lines_remain_two_jobs(self, api: Caller) -> None:
        text = f"# A\n0 1 * * * {URL}\n# B\n0 1 * * * {URL}\n"
        assert counts(lines(api, text)) == (2, 0, 0, 0)
        assert counts(lines(api, text.replace("A", "C"))) == (0, 0, 2, 0)

    def test_settings_absent_from_the_line_are_kept(self, api: Caller) -> None:
        text = f"# A\n0 1 * * * curl {URL}\n"
        lines(api, text)
        api.ask("PATCH", "/jobs/a/", {"retry": {"max_attempts": 1}, "tags": ["x"]}, expect=200)
        assert counts(lines(api, text)) == (0, 0, 1, 0)
        assert api.ask("GET", "/jobs/a/")["retry"]["max_attempts"] == 1

    @pytest.mark.parametrize("line", [f"0 1 * * * curl -m 20 {URL}", f"0 1 * * * curl --retry 7 {URL}"])
    def test_another_limit_of_the_same_call_changes_the_job(self, api: Caller, line: str) -> None:
        lines(api, f"# A\n0 1 * * * curl {URL}\n")
        answer = lines(api, f"# B\n{line}\n")
        assert (counts(answer), answer["items"][0]["slug"], Job.objects.count()) == ((0, 1, 0, 0), "a", 1)

    def test_a_new_name_for_an_existing_call_is_reported(self, api: Caller) -> None:
        sent(api, {"jobs": [job(1)]})
        answer = sent(api, {"jobs": [{**job(1), "slug": "other"}]})
        assert (answer["created"], "job-1" in answer["items"][0]["notes"][0]) == (1, True)


class TestParameters:
    def test_a_default_time_zone_applies_to_lines_without_one(self, api: Caller) -> None:
        lines(api, f"# A\n0 1 * * * {URL}\nCRON_TZ=Asia/Tokyo\n# B\n0 1 * * * {URL}\n", timezone="Europe/Berlin")
        sent(api, {"jobs": [job(1), job(2, timezone="UTC")]}, timezone="Europe/Berlin")
        found = dict(Job.objects.values_list("slug", "current_version__config__timezone"))
        assert found == {"a": "Europe/Berlin", "b": "Asia/Tokyo", "job-1": "Europe/Berlin", "job-2": "UTC"}

    def test_user_columns_are_parsed(self, api: Caller) -> None:
        text = f"0 2 * * *\troot\tcurl {URL}\n0 3 * * * deploy.user curl {URL}\n"
        assert counts(lines(api, text)) == (2, 0, 0, 0)
        assert counts(lines(api, text.split("\n")[1])) == (0, 0, 0, 1)
        assert counts(lines(api, text.split("\n")[1], user_column=True)) == (0, 0, 1, 0)

    def test_a_file_of_another_scheduler_is_imported(self, api: Caller) -> None:
        crons = {"crons": [{"path": "/ok?a=1", "schedule": "0 5 * * *"}]}
        for content in (crons, json.dumps(crons), "\ufeff" + json.dumps(crons)):
            answer = sent(api, content, format="vercel", base_url="http://receiver.test", dry_run=True)
            assert counts(answer) == (1, 0, 0, 0)
        assert not Job.objects.exists()

    def test_suspended_jobs_are_imported_disabled(self, api: Caller) -> None:
        value = {"name": "x", "schedule": "@daily", "disabled": True, "executor": "http"}
        value["executor_config"] = {"method": "GET", "url": URL}
        assert counts(sent(api, [value], format="dkron")) == (1, 0, 0, 0)
        assert not JobEnvironment.objects.get().enabled

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({"format": "vercel", "content": "{}", "timezone": "UTC"}, "timezone", "conflicting"),
            ({"format": "crontab", "content": "", "base_url": "http://a.test"}, "base_url", "conflicting"),
            ({"format": "json", "content": {"jobs": []}, "user_column": True}, "user_column", "conflicting"),
            ({"format": "vercel", "content": "{}", "base_url": "a.test"}, "base_url", "invalid_url"),
            ({"format": "vercel", "content": "{}", "base_url": "http://a.test/?x"}, "base_url", "invalid_url"),
            ({"format": "crontab", "content": "", "timezone": "Berlin"}, "timezone", "invalid"),
            ({"format": "kubernetes", "content": "kind: Pod"}, "content", "unreadable"),
            ({"format": "yaml", "content": "jobs: [" + "9" * 5000 + "]"}, "content", "unreadable"),
            ({"format": "yaml", "content": "jobs:\n- every_seconds: 010"}, "content", "unreadable"),
            ({"format": "yaml", "content": "a: 1" + ":30" * 200_000}, "content", "unreadable"),
        ],
    )
    def test_invalid_parameters_are_refused(self, api: Caller, body: Any, field: str, code: str) -> None:
        assert api.refused("POST", "/jobs/import/", body) == {field: code}

    def test_names_and_slugs_contain_no_credential(self, api: Caller) -> None:
        text = f"#0 1 * * * curl -H 'X-Token: hunter2secret' {URL}\n0 2 * * * curl {URL}/4f9d2c7b1a8e99aa\n"
        text += "# api key 4f9d2c7b1a8e99aa\n0 3 * * * curl http://bob:hunter2@receiver.test/\n"
        answer = lines(api, text)
        assert counts(answer) == (1, 0, 0, 1)
        told = json.dumps([item["slug"] for item in answer["items"]]) + Job.objects.get().name
        assert not any(secret in told for secret in ("hunter2", "4f9d2c"))
