"""The verbs that change jobs, secrets and files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from accounts.models import Environment, Secret, Workspace
from hourhand.exits import Exit
from jobs.models import Job, JobEnvironment
from tests.support.in_process_api import Terminal
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
ENDPOINT = "http://receiver.test/ok"


@pytest.fixture
def nightly(make_job: MakeJob) -> JobEnvironment:
    return make_job(slug="nightly", name="Nightly", schedule="0 2 * * *")


@pytest.fixture
def staging(workspace: Workspace) -> Environment:
    return Environment.objects.create(workspace=workspace, slug="staging", name="Staging")


class TestCreateAndEdit:
    def test_options_are_fields_of_the_job(self, terminal: Terminal, staging: Environment, tmp_path: Path) -> None:
        body = tmp_path / "body.json"
        body.write_text('{"a": 1}')
        created = terminal.json(
            "jobs", "create", "Report", "--schedule", '{"every_seconds": 90}', "--timezone", "Europe/Berlin",
            "--endpoint", ENDPOINT, "--method", "PUT", "--header", "X-Team: billing: eu", "--body", f"@{body}",
            "--call-timeout", "7", "--tag", "a", "--tag", "b", "--enable", "staging", "--description", "Daily",
        )  # fmt: skip
        assert (created["slug"], created["schedule"], created["tags"]) == ("report", {"every_seconds": 90}, ["a", "b"])
        assert created["request"]["headers"] == {"X-Team": "billing: eu"}
        assert (created["request"]["body"], created["request"]["timeout_seconds"]) == ('{"a": 1}', 7)
        assert {name: state["enabled"] for name, state in created["environments"].items()} == {"staging": True}

    def test_a_file_sets_any_field_and_options_count_more(self, terminal: Terminal) -> None:
        text = yaml.safe_dump({"name": "From a file", "overlap": "skip", "request": {"url": ENDPOINT, "body": "x"}})
        created = terminal.json("jobs", "create", "By hand", "-f", "-", "--method", "POST", input=text)
        assert (created["name"], created["overlap"]) == ("By hand", "skip")
        assert (created["request"]["url"], created["request"]["body"]) == (ENDPOINT, "x")

    def test_a_job_can_be_copied_from_its_own_json(self, terminal: Terminal, nightly: JobEnvironment) -> None:
        shown = terminal.run("jobs", "get", "nightly", "-o", "yaml").stdout
        terminal.run("jobs", "delete", "nightly", "--yes")
        copied = terminal.json("jobs", "create", "-f", "-", input=shown)
        assert (copied["slug"], copied["schedule"], copied["version"]) == ("nightly", "0 2 * * *", 1)

    def test_refused_fields_are_named(self, terminal: Terminal) -> None:
        refused = terminal.run("jobs", "create", "--schedule", "whenever", expect=Exit.ERROR)
        assert "name:" in refused.stderr
        assert "schedule:" in refused.stderr
        assert not Job.objects.exists()

    def test_a_taken_slug_is_a_conflict(self, terminal: Terminal, nightly: JobEnvironment) -> None:
        terminal.run("jobs", "create", "x", "--slug", "nightly", "--endpoint", ENDPOINT, expect=Exit.CONFLICT)

    @pytest.mark.parametrize(
        "arguments", [["--header", "no colon"], ["-f", "/no/such/file"], ["--schedule", "{"], ["-f", "-"]]
    )
    def test_what_cannot_be_read_is_a_usage_error(self, terminal: Terminal, arguments: list[str]) -> None:
        terminal.run("jobs", "create", "x", *arguments, input="- a list", expect=Exit.USAGE)

    def test_edit_changes_only_what_it_names(self, terminal: Terminal, nightly: JobEnvironment) -> None:
        edited = terminal.json("jobs", "edit", "nightly", "--schedule", "manual", "--disable", "production")
        assert (edited["schedule"], edited["name"], edited["version"]) == (None, "Nightly", 2)
        assert edited["environments"]["production"]["enabled"] is False
        terminal.run("jobs", "edit", "nightly", expect=Exit.USAGE)
        terminal.run("jobs", "edit", "nope", "--name", "x", expect=Exit.NOT_FOUND)


class TestEditor:
    """The editor is a function of the text here."""

    @pytest.fixture
    def editing(self, monkeypatch: pytest.MonkeyPatch, terminal: Terminal) -> Callable[[Callable[[str], Any]], None]:
        terminal.interactive = True

        def use(edit: Callable[[str], Any]) -> None:
            monkeypatch.setattr(click, "edit", lambda text, **_options: edit(text))

        return use

    def test_the_saved_text_replaces_the_job(self, terminal: Terminal, nightly: JobEnvironment, editing: Any) -> None:
        editing(lambda text: text.replace("name: Nightly", "name: Daily").replace("0 2 * * *", "0 5 * * *"))
        edited = terminal.json("jobs", "edit", "nightly")
        assert (edited["name"], edited["schedule"], edited["version"]) == ("Daily", "0 5 * * *", 2)

    def test_a_removed_line_gets_its_default(self, terminal: Terminal, nightly: JobEnvironment, editing: Any) -> None:
        terminal.run("jobs", "edit", "nightly", "--timezone", "Europe/Berlin")
        editing(lambda text: text.replace("timezone: Europe/Berlin\n", ""))
        assert terminal.json("jobs", "edit", "nightly")["timezone"] == "UTC"

    def test_the_text_as_it_is_changes_nothing(self, terminal: Terminal, nightly: JobEnvironment, editing: Any) -> None:
        editing(lambda text: text + "# looked at\n")
        assert terminal.json("jobs", "edit", "nightly")["version"] == 1
        editing(lambda _text: None)
        assert "Nothing was changed" in terminal.run("jobs", "edit", "nightly", expect=Exit.ERROR).stderr

    def test_what_others_saved_meanwhile_is_kept_and_the_text_too(
        self, terminal: Terminal, nightly: JobEnvironment, editing: Any
    ) -> None:
        def edit(text: str) -> str:
            terminal.interactive = False
            terminal.run("jobs", "edit", "nightly", "--name", "Theirs")
            return text.replace("name: Nightly", "name: Mine")

        editing(edit)
        refused = terminal.run("jobs", "edit", "nightly", expect=Exit.CONFLICT)
        kept = Path(refused.stderr.split("Your text is in ")[1].split()[0].rstrip("."))
        assert "name: Mine" in kept.read_text()
        kept.unlink()
        assert Job.objects.get().name == "Theirs"


class TestDelete:
    def test_it_asks_before(self, terminal: Terminal, nightly: JobEnvironment) -> None:
        terminal.interactive = True
        assert "Nothing was changed" in terminal.run("jobs", "delete", "nightly", input="n\n", expect=Exit.ERROR).stderr
        assert "[y/N]" in terminal.run("jobs", "delete", "nightly", input="y\n").stderr
        assert terminal.names("jobs", "list") == []

    @pytest.mark.parametrize("arguments", [[], ["--no-input"]])
    def test_it_never_asks_where_nobody_answers(
        self, terminal: Terminal, nightly: JobEnvironment, arguments: list[str]
    ) -> None:
        terminal.interactive = bool(arguments)
        assert "--yes" in terminal.run("jobs", "delete", "nightly", *arguments, input="y\n", expect=Exit.USAGE).stderr
        assert terminal.names("jobs", "list") == ["nightly"]

    def test_yes_answers_and_purge_hides_the_history(self, terminal: Terminal, nightly: JobEnvironment) -> None:
        terminal.run("jobs", "delete", "nightly", "--purge", "--yes")
        assert Job.objects.get().purged_at is not None
        terminal.run("jobs", "delete", "nightly", "--yes", expect=Exit.NOT_FOUND)


def test_pause_resume_and_restore(terminal: Terminal, nightly: JobEnvironment) -> None:
    paused = terminal.json("jobs", "pause", "nightly", "--until", "2h", "--note", "upgrade")
    state = paused["environments"]["production"]
    assert (state["paused"], state["pause_note"]) == (True, "upgrade")
    assert state["paused_until"] is not None
    assert "production (paused)" in terminal.run("jobs", "get", "nightly").stdout
    assert terminal.json("jobs", "resume", "nightly")["environments"]["production"]["paused"] is False
    terminal.run("jobs", "edit", "nightly", "--name", "Other")
    restored = terminal.json("jobs", "restore", "nightly", "1")
    assert (restored["name"], restored["version"]) == ("Nightly", 3)
    terminal.run("jobs", "restore", "nightly", "9", expect=Exit.NOT_FOUND)


class TestSecrets:
    def test_a_value_comes_from_stdin_without_its_last_line_break(self, terminal: Terminal) -> None:
        for value in ("first value\n", "second value\r\n", "third value"):
            said = terminal.run("secrets", "set", "TOKEN", input=value)
            assert value.strip() not in said.output
        assert Secret.objects.get().name == "TOKEN"
        terminal.run("secrets", "set", "TOKEN", input="\n", expect=Exit.USAGE)

    def test_the_value_arrives_as_it_was_given(self, terminal: Terminal) -> None:
        sent: list[Any] = []
        original = terminal.api.send

        def send(request: Any, *arguments: Any, **options: Any) -> Any:
            sent.append(request.body)
            return original(request, *arguments, **options)

        terminal.api.send = send  # type: ignore[method-assign]
        terminal.run("secrets", "set", "TOKEN", input=" größe\n\n")
        assert json.loads(sent[-1])["value"] == " größe\n"

    def test_a_person_types_it_unseen(self, terminal: Terminal) -> None:
        terminal.interactive = True
        said = terminal.run("secrets", "set", "TOKEN", input="typed value\n")
        assert "typed value" not in said.output
        assert Secret.objects.exists()

    def test_secrets_are_apart_by_environment(self, terminal: Terminal, staging: Environment) -> None:
        terminal.run("secrets", "set", "TOKEN", input="a value for all")
        terminal.run("secrets", "set", "TOKEN", "--environment", "staging", input="one for staging")
        assert Secret.objects.count() == 2
        terminal.run("secrets", "delete", "TOKEN", "--environment", "staging", "--yes")
        assert [secret.environment for secret in Secret.objects.all()] == [None]
        terminal.run("secrets", "delete", "TOKEN", "--environment", "staging", "--yes", expect=Exit.NOT_FOUND)


class TestImport:
    JOBS = yaml.safe_dump({"jobs": [{"slug": "a", "name": "A", "request": {"url": ENDPOINT}}]})

    def test_a_dry_run_changes_nothing(self, terminal: Terminal, tmp_path: Path) -> None:
        file = tmp_path / "jobs.yml"
        file.write_text(self.JOBS)
        assert "1 created" in terminal.run("import", str(file), "--dry-run").stderr
        assert not Job.objects.exists()
        assert terminal.names("import", str(file)) == ["a"]
        assert Job.objects.get().slug == "a"
        assert terminal.json("import", str(file))["unchanged"] == 1

    @pytest.mark.parametrize(
        "text", [JOBS, '{"jobs": [{"slug": "a", "name": "A", "request": {"url": "http://receiver.test/ok"}}]}']
    )
    def test_yaml_and_json_on_stdin_are_told_apart(self, terminal: Terminal, text: str) -> None:
        assert terminal.names("import", "-", input=text) == ["a"]

    def test_a_crontab_comes_from_a_pipe(self, terminal: Terminal, staging: Environment) -> None:
        line = "30 2 * * * curl https://api.example.com/report\n"
        shown = terminal.run("import", "-", "--timezone", "Europe/Berlin", "--environment", "staging", input=line)
        assert "created" in shown.stdout
        [job] = terminal.json("jobs", "list")
        assert (job["timezone"], list(job["environments"])) == ("Europe/Berlin", ["staging"])

    def test_jobs_that_fail_are_named_and_the_others_saved(self, terminal: Terminal) -> None:
        text = "0 2 * * * curl https://api.example.com/a\n@reboot curl https://api.example.com/b\n"
        failed = terminal.run("import", "-", input=text, expect=Exit.ERROR)
        assert "@reboot" in failed.stdout
        assert "1 of 2 jobs failed" in failed.stderr
        assert Job.objects.count() == 1

    def test_an_export_imports_unchanged(self, terminal: Terminal, nightly: JobEnvironment) -> None:
        for kind in ("yaml", "json"):
            exported = terminal.run("export", "--format", kind).stdout
            assert terminal.json("import", "-", input=exported)["unchanged"] == 1

    def test_another_schedulers_file(self, terminal: Terminal) -> None:
        text = '{"crons": [{"path": "/api/a", "schedule": "0 5 * * *"}]}'
        options = ("--format", "vercel", "--base-url", "https://app.example.com")
        assert len(terminal.names("import", "-", *options, input=text)) == 1
