"""The verbs that show jobs, executions, runs, statistics and schedules, in every format."""

import datetime
import json
import uuid
from typing import Any

import pytest
import yaml

from accounts.actors import SYSTEM
from accounts.models import Workspace
from accounts.secrets import create_secret
from hourhand.exits import Exit
from jobs.models import JobEnvironment
from tests.support.api_caller import NOW, make_execution, make_run
from tests.support.in_process_api import Terminal
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db


@pytest.fixture
def nightly(make_job: MakeJob) -> JobEnvironment:
    return make_job(slug="nightly", name="Nightly", schedule="0 2 * * *", tags=["billing"])


def failed(state: JobEnvironment, **columns: Any) -> Any:
    values = {"status": "failed", "failure_reason": "http_server_error", "error": "HTTP 503", **columns}
    return make_execution(state, **values)


class TestFormats:
    @pytest.fixture(autouse=True)
    def two_jobs(self, nightly: JobEnvironment, make_job: MakeJob) -> None:
        make_job(slug="hourly", name="Hourly \x1b[31m", schedule="@hourly")

    def test_a_table_has_a_title_and_a_line_per_job(self, terminal: Terminal) -> None:
        lines = terminal.run("jobs", "list", "--sort", "name").stdout.splitlines()
        assert lines[0].split() == ["SLUG", "SCHEDULE", "ENABLED", "IN", "NEXT", "LAST"]
        assert [line.split()[0] for line in lines[1:]] == ["hourly", "nightly"]

    def test_json_is_the_apis_own_object(self, terminal: Terminal) -> None:
        shown = terminal.json("jobs", "list", "--tag", "billing")
        assert shown == [terminal.json("jobs", "get", "nightly")]
        assert shown[0]["retry"]["max_attempts"] == 3

    def test_lines_of_json_and_yaml_hold_the_same(self, terminal: Terminal) -> None:
        everything = terminal.json("jobs", "list")
        lines = terminal.run("jobs", "list", "-o", "jsonl").stdout.splitlines()
        assert [json.loads(line) for line in lines] == everything
        assert yaml.safe_load(terminal.run("-o", "yaml", "jobs", "list").stdout) == everything

    def test_names_are_one_per_line(self, terminal: Terminal) -> None:
        assert sorted(terminal.names("jobs", "list")) == ["hourly", "nightly"]

    def test_control_characters_do_not_reach_the_terminal(self, terminal: Terminal) -> None:
        shown = terminal.run("jobs", "get", "hourly").stdout
        assert "\x1b" not in shown
        assert "\\u001b[31m" in shown

    def test_an_empty_list_is_empty(self, terminal: Terminal) -> None:
        assert terminal.run("jobs", "list", "--tag", "none").stdout == ""
        assert terminal.json("jobs", "list", "--tag", "none") == []


def test_jobs_are_filtered_by_state(terminal: Terminal, nightly: JobEnvironment, make_job: MakeJob) -> None:
    off = make_job(slug="off")
    JobEnvironment.objects.filter(pk=off.pk).update(enabled=False, next_fire_at=None)
    assert terminal.names("jobs", "list", "--enabled") == ["nightly"]
    assert terminal.names("jobs", "list", "--disabled") == ["off"]
    assert len(terminal.names("jobs", "list")) == 2


def test_what_does_not_exist_is_not_found(terminal: Terminal, nightly: JobEnvironment) -> None:
    assert "There is no job nope." in terminal.run("jobs", "get", "nope", expect=Exit.NOT_FOUND).stderr
    for command in ("executions get", "executions watch", "runs get"):
        terminal.run(*command.split(), str(uuid.uuid4()), expect=Exit.NOT_FOUND)
    terminal.run("jobs", "diff", "nightly", expect=Exit.NOT_FOUND)


def test_a_refused_filter_is_an_error_and_a_wrong_option_a_usage_error(terminal: Terminal) -> None:
    refused = terminal.run("executions", "list", "--failure-reason", "sunspots", expect=Exit.ERROR)
    assert "failure_reason" in refused.stderr
    assert refused.stdout == ""
    terminal.run("executions", "list", "--status", "dead", expect=Exit.USAGE)
    terminal.run("executions", "list", "--from", "yesterday", expect=Exit.USAGE)


def test_versions_can_be_listed_and_compared(terminal: Terminal, nightly: JobEnvironment) -> None:
    client = terminal.api
    assert terminal.names("jobs", "versions", "nightly") == ["1"]
    key = terminal.environment["HOURHAND_KEY"]
    for schedule in ("0 3 * * *", "0 4 * * *"):
        client.http().patch(
            "http://testserver/api/v1/jobs/nightly/",
            data=json.dumps({"schedule": schedule}),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        ).raise_for_status()
    assert terminal.names("jobs", "versions", "nightly", "--limit", "2") == ["3", "2"]
    assert terminal.json("jobs", "diff", "nightly")["changes"] == [
        {"field": "schedule", "old": "0 3 * * *", "new": "0 4 * * *"}
    ]
    assert terminal.json("jobs", "diff", "nightly", "1")["changes"][0]["old"] == "0 2 * * *"
    assert "0 2 * * *" in terminal.run("jobs", "diff", "nightly", "1", "2").stdout


def test_why_says_in_a_sentence_what_happened(terminal: Terminal, nightly: JobEnvironment) -> None:
    shown = terminal.run("jobs", "why", "nightly", "--at", "2026-03-01T03:00Z").stdout
    assert "The job did not exist yet" in shown
    assert "execution" not in shown, "lines without a value are left out"
    assert terminal.names("jobs", "why", "nightly", "--at", "2026-03-01T03:00Z") == ["not_yet"]


def test_executions_and_runs_are_listed_with_filters(terminal: Terminal, nightly: JobEnvironment) -> None:
    good, bad = make_execution(nightly), failed(nightly, created_at=NOW + datetime.timedelta(hours=1))
    run = make_run(bad, status="failed", failure_reason="http_server_error", error="HTTP 503")
    assert terminal.names("executions", "list") == [str(bad.pk), str(good.pk)]
    assert terminal.names("executions", "list", "--status", "failed", "--job", "nightly") == [str(bad.pk)]
    assert terminal.names("executions", "list", "--to", "2026-03-01T12:30Z") == [str(good.pk)]
    assert terminal.names("executions", "list", "--order", "asc", "--limit", "0") == [str(good.pk), str(bad.pk)]
    assert "HTTP 503" in terminal.run("executions", "list").stdout
    assert terminal.names("runs", "list", "--execution", str(bad.pk)) == [str(run.pk)]
    assert terminal.json("runs", "get", str(run.pk))["response"]["body"] == "done"
    assert terminal.json("executions", "get", str(bad.pk))["runs"][0]["id"] == str(run.pk)
    assert "http_server_error" in terminal.run("executions", "get", str(bad.pk)).stdout


def test_a_cut_list_says_so_on_stderr(terminal: Terminal, nightly: JobEnvironment) -> None:
    for hours in range(3):
        make_execution(nightly, created_at=NOW + datetime.timedelta(hours=hours))
    cut = terminal.run("executions", "list", "--limit", "2", "-o", "name")
    assert len(cut.stdout.split()) == 2
    assert "--limit 0" in cut.stderr
    assert terminal.run("executions", "list", "--limit", "3", "-o", "name").stderr == ""


def test_watching_what_has_ended_shows_it_and_exits_by_its_status(terminal: Terminal, nightly: JobEnvironment) -> None:
    good, bad = make_execution(nightly), failed(nightly, created_at=NOW + datetime.timedelta(hours=1))
    assert terminal.json("executions", "watch", str(good.pk))["status"] == "succeeded"
    watched = terminal.run("executions", "watch", str(good.pk), str(bad.pk), expect=Exit.EXECUTION_FAILED)
    assert str(bad.pk) in watched.stderr
    assert len(watched.stdout.splitlines()) == 3


def test_watching_has_a_limit(terminal: Terminal, nightly: JobEnvironment) -> None:
    pending = make_execution(nightly, status="pending", finished_at=None, next_attempt_at=NOW)
    waited = terminal.run("executions", "watch", str(pending.pk), "--timeout", "0", expect=Exit.ERROR)
    assert "has not ended in 0 s: it is pending" in waited.stderr


def test_logs_show_runs_oldest_first_with_their_bodies(terminal: Terminal, nightly: JobEnvironment) -> None:
    execution = failed(nightly, attempts=2)
    first = make_run(execution, 1, status="failed", error="HTTP 503", response_status=503, response_body="a\nb\x07")
    second = make_run(execution, 2)
    for reference in ("nightly", str(execution.pk), str(nightly.job_id)):
        lines = terminal.run("logs", reference).stdout.splitlines()
        assert "attempt 1  failed  POST http://receiver.test/ok  503  142 ms  HTTP 503" in lines[0]
        assert lines[1:3] == ["  a", "  b\\u0007"]
        assert "attempt 2  succeeded" in lines[3]
        assert lines[4:] == ["  done"]
    assert terminal.names("logs", "nightly", "--limit", "1") == [str(second.pk)]
    assert [run["id"] for run in terminal.json("logs", "nightly")] == [str(first.pk), str(second.pk)]
    terminal.run("logs", "nightly", "-f", "-o", "yaml", expect=Exit.USAGE)
    terminal.run("logs", "nope", expect=Exit.NOT_FOUND)


def test_following_an_execution_ends_with_it(terminal: Terminal, nightly: JobEnvironment) -> None:
    execution = make_execution(nightly)
    run = make_run(execution)
    assert terminal.names("logs", "-f", str(execution.pk)) == [str(run.pk)]


def test_a_schedule_is_explained(terminal: Terminal) -> None:
    shown = terminal.run(
        "schedules", "preview", "30 2 * * *", "--timezone", "Europe/Berlin", "--from", "2026-03-28T00:00Z", "--count",
        "2",
    )  # fmt: skip
    assert shown.stdout.splitlines() == [
        "At 02:30 (Europe/Berlin)",
        "  2026-03-28T01:30:00Z  Sat",
        "  2026-03-29T01:00:00Z  Sun",
    ]
    assert "does not exist" in shown.stderr
    assert terminal.json("schedules", "preview", '{"every_seconds": 90}')["type"] == "recurring"
    assert "schedule" in terminal.run("schedules", "preview", "whenever", expect=Exit.ERROR).stderr
    terminal.run("schedules", "preview", "{", expect=Exit.USAGE)


def test_secrets_are_listed_without_values(terminal: Terminal, workspace: Workspace) -> None:
    create_secret(workspace=workspace, environment=None, name="TOKEN", value="a long value", now=NOW, actor=SYSTEM)
    assert terminal.names("secrets", "list") == ["TOKEN"]
    assert "a long value" not in terminal.run("secrets", "list", "-o", "json").output


def test_export_is_a_file_that_can_be_imported(terminal: Terminal, nightly: JobEnvironment) -> None:
    for kind, read in (("yaml", yaml.safe_load), ("json", json.loads)):
        exported = read(terminal.run("export", "--format", kind).stdout)
        assert [job["slug"] for job in exported["jobs"]] == ["nightly"]
    terminal.run("export", "--format", "arazzo", expect=Exit.CONFLICT)


def test_statistics_and_usage(terminal: Terminal, nightly: JobEnvironment) -> None:
    assert terminal.json("stats", "--job", "nightly", "--from", "24h")["success_rate"] is None
    assert "none" in terminal.run("stats").stdout
    assert terminal.json("usage")["active_jobs"] == 1
    assert "2026-01" in terminal.run("usage", "--period", "2026-01").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(terminal: Terminal, shell: str) -> None:
    assert "_HOURHAND_COMPLETE" in terminal.run("completion", shell).stdout
