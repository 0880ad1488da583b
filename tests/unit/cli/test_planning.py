"""Plans: what the server says of each file put together, for programs and for people."""

from collections.abc import Iterator
from typing import Any

from hourhand.plan_text import plan_lines
from hourhand.planning import JobFile, Plan, Settings, make_plan

FIRINGS = [f"2026-03-{day:02}T02:00:00.000Z" for day in range(1, 6)]
LATER = [f"2026-03-{day:02}T03:00:00.000Z" for day in range(1, 6)]


def item(slug: str | None, result: str = "unchanged", **more: Any) -> dict[str, Any]:
    values = {"index": 0, "revision": f"1-{slug}", "changes": [], "firings": {}, "notes": [], "errors": []}
    return {**values, "slug": slug, "result": result, **more}


class Server:
    """Answers imports by the text of the file, and lists what an owner manages."""

    def __init__(self, answers: dict[str, list[Any]], managed: tuple[str, ...] = ()) -> None:
        self._answers, self._managed = answers, managed
        self.asked: list[dict[str, Any]] = []
        self.jobs = self

    def import_file(self, text: str, **options: Any) -> dict[str, Any]:
        self.asked.append(options)
        return {"items": self._answers[text]}

    def list(self, *, managed_by: str, **_options: Any) -> Iterator[dict[str, Any]]:
        return iter([{"id": f"id-{slug}", "slug": slug, "managed_by": managed_by} for slug in self._managed])


def plan(server: Any, *, owner: str | None = None, prunes: bool = False) -> Plan:
    files = [JobFile(f"{text}.yaml", text, "yaml") for text in server._answers]
    return make_plan(server, files, Settings(owner=owner, prunes=prunes))


def test_the_server_is_asked_for_a_dry_run_in_the_owners_name():
    server = Server({"a": [item("one")]})
    assert not plan(server, owner="billing").has_changes
    assert server.asked == [{"format": "yaml", "dry_run": True, "managed_by": "billing"}]
    plan(server)
    assert server.asked[1]["managed_by"] is None, "without an owner, a file's own word does not count"


def test_a_job_in_two_files_is_refused():
    made = plan(Server({"a": [item("one", "created")], "b": [item("one", "updated"), item("two")]}))
    assert [(job.file.name, job.result) for job in made.jobs] == [
        ("a.yaml", "created"), ("b.yaml", "failed"), ("b.yaml", "unchanged"),
    ]  # fmt: skip
    assert "! one (b.yaml)\n    slug: a.yaml has a job with this slug too." in "\n".join(plan_lines(made))


def test_only_what_the_owner_manages_and_no_file_has_is_removed():
    server = Server({"a": [item("one"), item("two", "failed"), item(None, "failed")]}, managed=("one", "two", "three"))
    shown = plan(server, owner="billing")
    assert [job["slug"] for job in shown.surplus] == ["three"]
    assert (shown.removed, shown.has_changes) == ((), False)
    assert "so --prune would remove: three." in "\n".join(plan_lines(shown))
    pruned = plan(server, owner="billing", prunes=True)
    assert [job["slug"] for job in pruned.removed] == ["three"]
    assert pruned.has_changes
    assert "- three (managed by billing, in no file)" in plan_lines(pruned)
    assert plan(server).surplus == ()


def test_revisions_are_those_of_the_plan_by_file():
    made = plan(Server({"a": [item("one"), item("new", "created", revision=None)], "b": [item("two", "updated")]}))
    assert [made.revisions_of(job.file) for job in made.jobs[1:]] == [{"one": "1-one", "new": None}, {"two": "1-two"}]
    assert [file.name for file in made.files()] == ["a.yaml", "b.yaml"]


def test_a_plan_for_people_has_fields_and_firings_before_and_after():
    changes = [
        {"field": "schedule", "old": "0 2 * * *", "new": "0 3 * * *"},
        {"field": "managed_by", "old": "ops", "new": "billing"},
        {"field": "request.body", "old": None, "new": "\x1b" + "x" * 300},
    ]
    firings = {"production": {"before": FIRINGS, "after": LATER}, "staging": {"before": [], "after": []}}
    made = plan(
        Server(
            {
                "a": [
                    item("same"),
                    item("changed", "updated", changes=changes, firings=firings),
                    item("new", "created", firings={"production": {"before": [], "after": LATER}}, notes=["As is."]),
                    item(
                        None, "failed", index=3, line=7, errors=[{"field": None, "code": "x", "detail": "Unreadable."}]
                    ),
                ]
            }
        )
    )
    lines = list(plan_lines(made))
    before = "  ".join(f"2026-03-{day:02}T02:00:00Z" for day in range(1, 6))
    after = before.replace("T02", "T03")
    assert lines[0] == "~ changed (a.yaml)"
    assert lines[1] == "    schedule: '0 2 * * *' -> '0 3 * * *'"
    assert lines[2:4] == ["    managed_by: 'ops' -> 'billing'", "    Note: ops applies this job from a file too."]
    assert lines[4].startswith("    request.body: - -> '\\x1bxxx")
    assert lines[4].endswith("xxx...")
    assert lines[5:7] == [f"    next in production, before: {before}", f"    next in production, after:  {after}"]
    assert lines[7] == "    next in staging, as before: none"
    assert lines[8:11] == [
        "+ new (a.yaml)",
        "    next in production, before: none",
        f"    next in production, after:  {after}",
    ]
    assert lines[11:] == [
        "    Note: As is.",
        "! job 4 (a.yaml, line 7)",
        "    Unreadable.",
        "1 to create, 1 to change, 0 to remove, 1 unchanged, 1 refused.",
    ]


def test_a_plan_for_programs_has_counts_and_every_job():
    made = plan(Server({"a": [item("one", "updated")]}, managed=("old",)), owner="billing", prunes=True).as_object()
    assert {name: made[name] for name in ("created", "updated", "unchanged", "failed", "removed")} == {
        "created": 0, "updated": 1, "unchanged": 0, "failed": 0, "removed": 1,
    }  # fmt: skip
    assert [(job["slug"], job["result"]) for job in made["jobs"]] == [("one", "updated"), ("old", "removed")]
