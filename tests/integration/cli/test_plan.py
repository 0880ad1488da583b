"""plan and apply: what would change, the question, what others changed meanwhile, and pruning."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hourhand.exits import Exit
from jobs.models import Job, JobVersion
from tests.support.in_process_api import Terminal

pytestmark = pytest.mark.django_db
URL = "http://receiver.test/ok"


def job(slug: str, **changes: Any) -> dict[str, Any]:
    return {"slug": slug, "name": slug.title(), "schedule": "0 2 * * *", "request": {"url": URL}, **changes}


@pytest.fixture
def file(tmp_path: Path) -> "JobsFile":
    return JobsFile(tmp_path / "jobs.yaml")


class JobsFile:
    """A file of jobs under version control."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._path = path

    def write(self, *jobs: dict[str, Any]) -> str:
        self._path.write_text(yaml.safe_dump({"jobs": list(jobs)}))
        return self.path


def results(terminal: Terminal, *arguments: str, expect: int) -> dict[str, str]:
    plan = terminal.json("plan", *arguments, expect=expect)
    return {entry["slug"]: entry["result"] for entry in plan["jobs"]}


class TestPlan:
    def test_exit_codes_say_if_there_are_changes(self, terminal: Terminal, file: JobsFile) -> None:
        path = file.write(job("a"), job("b"))
        assert results(terminal, "-f", path, expect=Exit.CHANGES) == {"a": "created", "b": "created"}
        assert not Job.objects.exists()
        terminal.run("apply", "-f", path, "--yes")
        assert results(terminal, "-f", path, expect=Exit.OK) == {"a": "unchanged", "b": "unchanged"}
        assert "0 to create, 0 to change, 0 to remove, 2 unchanged." in terminal.run("plan", "-f", path).stdout

    def test_an_export_is_a_plan_without_changes(self, terminal: Terminal, file: JobsFile) -> None:
        terminal.run("apply", "-f", file.write(job("a", timezone="Europe/Berlin"), job("b")), "--owner", "ops", "--yes")
        for kind in ("yaml", "json"):
            exported = terminal.run("export", "--format", kind).stdout
            terminal.run("plan", "-f", "-", input=exported, expect=Exit.OK)
            terminal.run("plan", "-f", "-", "--owner", "ops", "--prune", input=exported, expect=Exit.OK)

    def test_a_refused_job_is_an_error_with_its_field(self, terminal: Terminal, file: JobsFile) -> None:
        path = file.write(job("a"), job("b", schedule="whenever"))
        planned = terminal.run("plan", "-f", path, expect=Exit.ERROR)
        assert "! b" in planned.stdout
        assert "schedule:" in planned.stdout
        applied = terminal.run("apply", "-f", path, "--yes", expect=Exit.ERROR)
        assert "! b" in applied.stderr
        assert not Job.objects.exists()

    def test_yaml_that_readers_disagree_on_is_refused_with_its_line(self, terminal: Terminal, tmp_path: Path) -> None:
        path = tmp_path / "jobs.yaml"
        path.write_text("jobs:\n- slug: a\n  name: yes\n")
        assert "Line 3" in terminal.run("plan", "-f", str(path), expect=Exit.ERROR).stderr

    @pytest.mark.parametrize("arguments", [[], ["-f", "/no/such/file"], ["-f", "-", "-f", "-"], ["-f", "-", "--prune"]])
    def test_what_can_not_be_planned_is_a_usage_error(self, terminal: Terminal, arguments: list[str]) -> None:
        terminal.run("plan", *arguments, input="jobs: []", expect=Exit.USAGE)
        terminal.run("apply", *arguments, input="jobs: []", expect=Exit.USAGE)

    def test_files_may_follow_one_flag(self, terminal: Terminal, tmp_path: Path) -> None:
        paths = [JobsFile(tmp_path / f"{slug}.yaml").write(job(slug)) for slug in ("a", "b", "c")]
        assert len(results(terminal, "-f", *paths, expect=Exit.CHANGES)) == 3
        assert len(results(terminal, *(word for path in paths for word in ("-f", path)), expect=Exit.CHANGES)) == 3
        again = JobsFile(tmp_path / "again.yaml").write(job("b"))
        assert "has a job with this slug too" in terminal.run("plan", "-f", *paths, again, expect=Exit.ERROR).stdout


class TestApply:
    def test_it_shows_the_plan_and_asks(self, terminal: Terminal, file: JobsFile) -> None:
        path = file.write(job("a"))
        terminal.run("apply", "-f", path, expect=Exit.USAGE)
        terminal.interactive = True
        refused = terminal.run("apply", "-f", path, input="n\n", expect=Exit.ERROR)
        assert "+ a" in refused.stderr
        assert "Apply?" in refused.stderr
        assert not Job.objects.exists()
        applied = terminal.run("apply", "-f", path, "-o", "name", input="y\n")
        assert applied.stdout.split() == ["a"]
        assert Job.objects.get().managed_by is None

    def test_the_owner_is_set_only_if_it_is_named(self, terminal: Terminal, file: JobsFile) -> None:
        path = file.write(job("a", managed_by="somebody"))
        terminal.run("apply", "-f", path, "--yes")
        assert Job.objects.get().managed_by is None
        assert results(terminal, "-f", path, "--owner", "billing", expect=Exit.CHANGES) == {"a": "updated"}
        terminal.run("apply", "-f", path, "--owner", "billing", "--yes")
        assert Job.objects.get().managed_by == "billing"
        terminal.run("apply", "-f", path, "--yes")
        assert Job.objects.get().managed_by == "billing"
        assert terminal.names("jobs", "list", "--managed-by", "billing") == ["a"]

    def test_nothing_to_do_is_said_and_asks_nothing(self, terminal: Terminal, file: JobsFile) -> None:
        path = file.write(job("a"))
        terminal.run("apply", "-f", path, "--yes")
        assert "No changes" in terminal.run("apply", "-f", path).stderr
        assert JobVersion.objects.count() == 1

    @pytest.mark.parametrize(
        "change", [["--description", "by hand"], ["--disable", "production"]], ids=["version", "enabled"]
    )
    def test_what_others_change_after_the_plan_is_not_overwritten(
        self, terminal: Terminal, file: JobsFile, change: list[str]
    ) -> None:
        terminal.run("apply", "-f", file.write(job("a"), job("b")), "--yes")
        path = file.write(job("a", overlap="skip"), job("b", overlap="skip"), job("c"))
        other = Terminal(str(terminal.environment["HOURHAND_KEY"]), Path(path).parent)
        imports = 0

        def on_request(_method: str, asked: str) -> None:
            nonlocal imports
            imports += "import" in asked
            if imports == 2:  # the plan is made, and confirmed
                imports += 1
                other.run("jobs", "edit", "b", *change)

        terminal.api.on_request = on_request
        refused = terminal.run("apply", "-f", path, "--yes", expect=Exit.CONFLICT)
        assert "Changed meanwhile: b" in refused.stderr
        assert [one["overlap"] for one in terminal.json("jobs", "list", "--sort", "name")] == ["allow", "allow"]


class TestPrune:
    @pytest.fixture
    def applied(self, terminal: Terminal, file: JobsFile) -> str:
        """Jobs of two owners and one made by hand; the file has only `a` left."""
        terminal.run("apply", "-f", file.write(job("theirs")), "--owner", "ops", "--yes")
        terminal.run("jobs", "create", "By hand", "--endpoint", URL)
        terminal.run("apply", "-f", file.write(job("a"), job("b"), job("c")), "--owner", "billing", "--yes")
        return file.write(job("a"))

    def test_without_it_nothing_is_removed(self, terminal: Terminal, applied: str) -> None:
        planned = terminal.run("plan", "-f", applied, "--owner", "billing", expect=Exit.OK)
        assert "so --prune would remove: b, c." in planned.stdout
        terminal.run("apply", "-f", applied, "--owner", "billing", "--yes")
        assert len(terminal.names("jobs", "list")) == 5

    def test_it_removes_only_what_carries_the_owners_name(self, terminal: Terminal, applied: str) -> None:
        options = ("-f", applied, "--owner", "billing", "--prune")
        assert results(terminal, *options, expect=Exit.CHANGES) == {"a": "unchanged", "b": "removed", "c": "removed"}
        terminal.interactive = True
        refused = terminal.run("apply", *options, input="n\n", expect=Exit.ERROR)
        assert "- b (managed by billing, in no file)" in refused.stderr
        assert "Apply, and remove 2 with --prune?" in refused.stderr
        assert len(terminal.names("jobs", "list")) == 5
        assert terminal.names("apply", *options, input="y\n") == ["b", "c"]
        assert sorted(terminal.names("jobs", "list")) == ["a", "by-hand", "theirs"]

    def test_what_was_taken_over_since_the_plan_stays(self, terminal: Terminal, applied: str) -> None:
        other = Terminal(str(terminal.environment["HOURHAND_KEY"]), Path(applied).parent)

        def on_request(method: str, _asked: str) -> None:
            if method == "DELETE" and Job.objects.live().filter(slug="b", managed_by="billing").exists():
                Job.objects.filter(slug="b").update(managed_by=None)

        terminal.api.on_request = on_request
        terminal.run("apply", "-f", applied, "--owner", "billing", "--prune", "--yes", expect=Exit.CONFLICT)
        assert "b" in other.names("jobs", "list")

    def test_files_without_jobs_remove_nothing(self, terminal: Terminal, applied: str, file: JobsFile) -> None:
        path = file.write()
        for verb in (["plan"], ["apply", "--yes"]):
            refused = terminal.run(*verb, "-f", path, "--owner", "billing", "--prune", expect=Exit.USAGE)
            assert "would remove every job of billing" in refused.stderr
        assert len(terminal.names("jobs", "list")) == 5


def test_of_500_jobs_the_three_edited_ones_are_shown_with_their_firings(terminal: Terminal, file: JobsFile) -> None:
    jobs = [job(f"job-{number:03}", timezone="Europe/Berlin") for number in range(500)]
    terminal.run("apply", "-f", file.write(*jobs), "--owner", "billing", "--yes")
    assert Job.objects.filter(managed_by="billing").count() == 500
    jobs[7]["schedule"] = "30 4 * * *"
    jobs[250]["environments"] = {"production": {"enabled": False}}
    jobs[499]["request"] = {"url": f"{URL}?v=2"}
    path = file.write(*jobs)
    terminal.api.asked.clear()
    shown = terminal.run("plan", "-f", path, "--owner", "billing", "--prune", expect=Exit.CHANGES).stdout
    assert len(terminal.api.asked) == 6, "one import, and five pages of what the owner manages"
    blocks = shown.split("~ ")[1:]
    assert [block.split()[0] for block in blocks] == ["job-007", "job-250", "job-499"]
    assert "schedule: '0 2 * * *' -> '30 4 * * *'" in blocks[0]
    before, after = (line.split()[4:] for line in blocks[0].splitlines() if "next in production" in line)
    assert len(before) == len(after) == 5
    assert {at[14:16] for at in before} == {"00"}
    assert {at[14:16] for at in after} == {"30"}
    assert "environments.production.enabled: yes -> no" in blocks[1]
    assert "after:  none" in blocks[1]
    assert "as before" in blocks[2]
    assert "0 to create, 3 to change, 0 to remove, 497 unchanged." in blocks[2]
    terminal.run("apply", "-f", path, "--owner", "billing", "--yes")
    terminal.run("plan", "-f", path, "--owner", "billing", expect=Exit.OK)
    assert JobVersion.objects.count() == 502
