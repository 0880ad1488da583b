"""The verbs that run jobs, and repeat, cancel and decide on executions, one by one and in bulk."""

import datetime
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from hourhand.commands.executions import bulk
from hourhand.exits import Exit
from jobs.models import JobEnvironment
from runs.models import BulkOperation, Execution
from tests.support.api_caller import NOW, make_execution, make_run, some_id
from tests.support.in_process_api import Terminal
from tests.support.jobs import MakeJob
from tests.support.recording_receiver import Receiver
from tests.support.workflow_fixtures import start, worker
from tests.support.workflows import StartWorkflow, Worker, step

__all__ = ["start", "worker"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def nightly(make_job: MakeJob) -> JobEnvironment:
    return make_job(slug="nightly", name="Nightly", schedule="0 2 * * *")


def failed(state: JobEnvironment, hours: int = 0) -> Execution:
    return make_execution(
        state,
        status="failed",
        failure_reason="http_server_error",
        error="HTTP 503",
        created_at=NOW + datetime.timedelta(hours=hours),
    )


#: What goes with each status.
ENDED = {"finished_at": datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC), "next_attempt_at": None}
LEASE = {"lease_owner": uuid.uuid4(), "lease_expires_at": ENDED["finished_at"]}
NO_LEASE = {"lease_owner": None, "lease_expires_at": None}
COLUMNS: dict[str, dict[str, Any]] = {
    "running": {**LEASE, "started_at": NOW, "attempts": 1, "next_attempt_at": None},
    "succeeded": {**ENDED, **NO_LEASE},
    "failed": {**ENDED, **NO_LEASE, "failure_reason": "timeout", "error": "timed out after 30 s"},
    "canceled": {**ENDED, **NO_LEASE},
    "skipped": {**ENDED, **NO_LEASE, "skip_reason": "overlap"},
}


def ends(terminal: Terminal, *statuses: str) -> list[str]:
    """Let the execution that is asked for take these statuses, one after each time that it is shown."""
    left = iter(statuses)
    asked: list[str] = []

    def on_request(method: str, path: str) -> None:
        if method == "GET" and path.startswith("/api/v1/executions/") and len(path) > 40:
            asked.append(path)
            status = next(left, None)
            if status is not None:
                Execution.objects.filter(pk=path.split("/")[4]).update(status=status, **COLUMNS[status])

    terminal.api.on_request = on_request
    return asked


class TestRun:
    def test_it_shows_the_execution_and_does_not_wait(self, terminal: Terminal, nightly: JobEnvironment) -> None:
        execution = terminal.json("jobs", "run", "nightly", "--input", '{"day": 1}', "--delay", "60")
        assert (execution["status"], execution["trigger"], execution["input"]) == ("pending", "manual", {"day": 1})
        assert terminal.names("jobs", "run", "nightly", "--environment", "production") != [execution["id"]]

    def test_null_is_an_input_too(self, terminal: Terminal, nightly: JobEnvironment) -> None:
        assert terminal.json("jobs", "run", "nightly", "--input", "@-", input='"text"')["input"] == "text"
        terminal.run("jobs", "run", "nightly", "--input", "text", expect=Exit.USAGE)

    def test_waiting_asks_for_the_end_and_says_how_it_goes(self, terminal: Terminal, nightly: JobEnvironment) -> None:
        asked = ends(terminal, "running", "running", "succeeded")
        ran = terminal.run("jobs", "run", "nightly", "--wait", "-o", "name")
        assert len(asked) == 3
        assert [line.split()[1] for line in ran.stderr.splitlines()] == ["running,", "succeeded,"]
        assert len(ran.stdout.split()) == 1

    @pytest.mark.parametrize("status", ["failed", "canceled", "skipped"])
    def test_an_end_without_success_is_exit_3(self, terminal: Terminal, nightly: JobEnvironment, status: str) -> None:
        ends(terminal, "running", status)
        ran = terminal.run("jobs", "run", "nightly", "--wait", "-o", "json", expect=Exit.EXECUTION_FAILED)
        assert f'"status": "{status}"' in ran.stdout

    def test_a_timeout_is_exit_1_and_leaves_the_execution_alone(
        self, terminal: Terminal, nightly: JobEnvironment
    ) -> None:
        terminal.run("jobs", "run", "nightly", "--wait", "--timeout", "0.1", expect=Exit.ERROR)
        assert Execution.objects.get().status == "pending"
        terminal.run("jobs", "run", "nightly", "--timeout", "5", expect=Exit.USAGE)

    def test_what_can_not_run_is_a_conflict(self, terminal: Terminal, nightly: JobEnvironment) -> None:
        terminal.run("jobs", "edit", "nightly", "--disable", "production")
        terminal.run("jobs", "run", "nightly", expect=Exit.CONFLICT)
        terminal.run("jobs", "run", "nope", expect=Exit.NOT_FOUND)


class TestOneExecution:
    def test_a_replay_is_a_new_execution(self, terminal: Terminal, nightly: JobEnvironment) -> None:
        source = failed(nightly)
        replayed = terminal.json(
            "executions", "replay", str(source.pk), "--config", "original", "--in", "production",
            "--input", "[1]", "--edit", '{"body": "x"}',
        )  # fmt: skip
        assert (replayed["replay_of"], replayed["input"]) == (str(source.pk), [1])

    def test_a_retry_repeats_what_failed_and_nothing_else(self, terminal: Terminal, nightly: JobEnvironment) -> None:
        source = failed(nightly)
        ends(terminal, "succeeded")
        assert terminal.json("executions", "retry", str(source.pk), "--wait")["retry_of"] == str(source.pk)
        good = make_execution(nightly, created_at=NOW + datetime.timedelta(hours=9))
        terminal.run("executions", "retry", str(good.pk), expect=Exit.CONFLICT)

    def test_what_is_pending_can_be_canceled_once(self, terminal: Terminal, nightly: JobEnvironment) -> None:
        [pending] = terminal.names("jobs", "run", "nightly", "--delay", "60")
        assert terminal.json("executions", "cancel", pending)["status"] == "canceled"
        terminal.run("executions", "cancel", pending, expect=Exit.CONFLICT)
        terminal.run("executions", "cancel", some_id(), expect=Exit.NOT_FOUND)

    @pytest.mark.parametrize("options", [["--dry-run"], ["--status", "failed"], ["--limit", "3"], ["--all"]])
    def test_filters_belong_to_all(self, terminal: Terminal, options: list[str]) -> None:
        for verb in ("replay", "retry", "cancel"):
            terminal.run("executions", verb, some_id(), *options, expect=Exit.USAGE)
            terminal.run("executions", verb, expect=Exit.USAGE)


class TestApprovals:
    def test_an_approval_lets_a_workflow_go_on(self, terminal: Terminal, start: StartWorkflow, worker: Worker) -> None:
        form = [{"name": "reason", "label": "Reason", "type": "text", "required": True, "options": []}]
        execution = start(step("sign_off", "approval", form=form), step("send"))
        worker.run()
        waiting = terminal.run("executions", "list", "--status", "waiting").stdout
        assert "approval at sign_off" in waiting
        key = str(execution.pk)
        assert "form.reason" in terminal.run("executions", "approve", key, "--form", "{}", expect=Exit.ERROR).stderr
        form_text = '{"reason": "launch"}'
        approved = terminal.json(
            "executions", "approve", key, "--step", "sign_off", "--note", "go", "--form", form_text
        )
        assert approved["steps"][0]["resolved_how"] == "approved"
        terminal.run("executions", "approve", key, expect=Exit.CONFLICT)

    def test_a_rejection_fails_it(self, terminal: Terminal, start: StartWorkflow, worker: Worker) -> None:
        execution = start(step("sign_off", "approval"), step("send"))
        worker.run()
        terminal.run("executions", "reject", str(execution.pk), "--note", "too early")
        worker.run()
        watched = terminal.run("executions", "watch", str(execution.pk), expect=Exit.EXECUTION_FAILED)
        assert "too early" in watched.stdout


class TestBulk:
    @pytest.fixture
    def three(self, nightly: JobEnvironment) -> list[str]:
        return [str(failed(nightly, hours).pk) for hours in range(3)]

    def test_a_dry_run_shows_what_matches(self, terminal: Terminal, three: list[str]) -> None:
        options = ("--all", "--status", "failed", "--from", "2026-03-01T13:00Z", "--dry-run")
        for verb in ("replay", "retry"):
            assert terminal.names("executions", verb, *options) == three[1:]
        assert terminal.json("executions", "cancel", *options)["matched"] == 0
        assert terminal.json("executions", "retry", "--all", "--limit", "1", "--dry-run") == {
            "dry_run": True,
            "matched": 1,
            "more": True,
            "ids": three[2:],
        }
        assert not BulkOperation.objects.exists()

    def test_it_asks_with_the_number(self, terminal: Terminal, three: list[str]) -> None:
        terminal.run("executions", "retry", "--all", expect=Exit.USAGE)
        terminal.interactive = True
        asked = terminal.run("executions", "retry", "--all", input="n\n", expect=Exit.ERROR)
        assert "Retry 3 executions?" in asked.stderr
        assert not BulkOperation.objects.exists()

    def test_the_server_gets_filter_rate_and_configuration(self, terminal: Terminal, three: list[str]) -> None:
        started = terminal.json(
            "executions", "replay", "--all", "--job", "nightly", "--status", "failed", "--config", "original",
            "--rate", "5", "--limit", "2", "--yes",
        )  # fmt: skip
        assert (started["matched"], started["more"], started["rate_per_second"]) == (2, True, 5)
        assert (started["config"], started["filter"]) == ("original", {"job": "nightly", "status": ["failed"]})

    def test_nothing_to_do_is_no_error(self, terminal: Terminal, nightly: JobEnvironment) -> None:
        assert "Nothing matches" in terminal.run("executions", "retry", "--all").stderr

    def test_waiting_asks_until_none_remains(
        self, terminal: Terminal, three: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def work(_seconds: float) -> None:
            operation = BulkOperation.objects.get()
            position = operation.position + 2
            ended = {"state": "completed", "finished_at": NOW} if position >= 3 else {}
            BulkOperation.objects.update(position=min(position, 3), done=min(position, 3), **ended)

        monkeypatch.setattr(bulk.time, "sleep", work)
        ended = terminal.run("executions", "retry", "--all", "--yes", "--wait", "-o", "json")
        assert '"state": "completed"' in ended.stdout
        assert ended.stderr.splitlines() == ["0 of 3 done.", "2 of 3 done."]

    def test_what_concerns_one_execution_is_refused(self, terminal: Terminal, three: list[str]) -> None:
        terminal.run("executions", "replay", "--all", "--yes", "--input", "1", expect=Exit.USAGE)


@pytest.fixture
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Followers that look without waiting in between."""
    monkeypatch.setattr("hourhand.client.following._POLL_SECONDS", 0.0)


def after_polls(terminal: Terminal, *actions: Any) -> None:
    """Do one of these before each list of executions, from the third on: the first two are what was there before."""
    left = iter(actions)
    lists = 0

    def on_request(method: str, path: str) -> None:
        nonlocal lists
        if method == "GET" and path.startswith("/api/v1/executions/?"):
            lists += 1
            action = next(left, None) if lists > 2 else None
            if action is not None:
                action()

    terminal.api.on_request = on_request


class TestFollow:
    def test_logs_follow_a_job_without_a_stream(
        self, terminal: Terminal, nightly: JobEnvironment, quick_polls: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = make_run(make_execution(nightly))
        hour = NOW + datetime.timedelta(hours=1)
        new: list[str] = []

        def run() -> None:
            execution = make_execution(nightly, created_at=hour)
            new.append(str(make_run(execution, started_at=hour, finished_at=hour).pk))

        def interrupt() -> None:
            raise KeyboardInterrupt

        after_polls(terminal, run, interrupt)
        followed = terminal.run("logs", "-f", "nightly", "-o", "name", expect=Exit.INTERRUPTED)
        assert followed.stdout.split() == [str(old.pk), *new]
        assert "No stream is free. Looking every 0 s instead." in followed.stderr


class TestListen:
    @pytest.fixture
    def local(self) -> Iterator[Receiver]:
        receiver = Receiver()
        yield receiver
        receiver.close()

    def test_each_new_call_goes_to_a_local_server_too(
        self, terminal: Terminal, nightly: JobEnvironment, quick_polls: None, local: Receiver
    ) -> None:
        make_run(make_execution(nightly))
        hour = NOW + datetime.timedelta(hours=1)

        def call() -> None:
            execution = make_execution(nightly, created_at=hour)
            make_run(execution, started_at=hour, finished_at=hour, request_body='{"day": 1}')

        after_polls(terminal, call)
        heard = terminal.run("listen", "nightly", "--forward-to", f"{local.url}/mine", "--count", "1")
        [request] = local.seen
        assert (request["path"], request["body"]) == ("/mine", b'{"day": 1}')
        assert request["headers"]["authorization"] == "[redacted]"
        assert f"POST {local.url}/mine" in heard.stdout
        assert "200" in heard.stdout
        assert "ok" in heard.stdout
        assert "Redacted in the history, and here too: authorization." in heard.stderr

    def test_a_local_server_that_is_away_is_no_end(
        self, terminal: Terminal, nightly: JobEnvironment, quick_polls: None, local: Receiver
    ) -> None:
        def call() -> None:
            make_run(make_execution(nightly, created_at=NOW + datetime.timedelta(hours=1)))

        local.close()
        after_polls(terminal, call)
        heard = terminal.run("listen", "nightly", "--forward-to", local.url, "--count", "1", "-o", "jsonl")
        result = json.loads(heard.stdout)
        assert result["status_code"] is None
        assert "refused" in result["error"]

    @pytest.mark.parametrize("target", ["localhost:3000", "file:///etc/passwd"])
    def test_the_target_is_a_url(self, terminal: Terminal, nightly: JobEnvironment, target: str) -> None:
        terminal.run("listen", "nightly", "--forward-to", target, expect=Exit.USAGE)
        terminal.run("listen", "nope", "--forward-to", "http://localhost:1", expect=Exit.NOT_FOUND)
