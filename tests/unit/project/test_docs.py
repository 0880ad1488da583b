"""The documentation against the project: every page is listed, links work, names exist."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from accounts.models import Scope
from jobs.definition.assertions import ASSERTION_TYPES
from runs.failures import FailureReason
from runs.states import SkipReason
from tests.support.project import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
APPS = ("api", "core", "dashboard", "ops", "accounts", "jobs", "runs", "workers", "scheduler_project", "proof")
CODE = [path for app in APPS for path in (ROOT / app).rglob("*.py")]
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
#: Created at run time.
NOT_KEPT = ("var/",)
LINK = re.compile(r"(?<!\\)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)|<(?:img|source)[^>]+src(?:set)?=\"([^\"]+)\"")
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return FENCE.sub("", page.read_text())


def slug(heading: str) -> str:
    """The anchor that code hosts and MkDocs give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page as code hosts make them: the second heading of a name gets `-1`."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        found[slug(words)] = found.get(slug(words), -1) + 1
    return {f"{name}-{number}" if number else name for name, last in found.items() for number in range(last + 1)}


def links(page: Path) -> list[str]:
    return [one or other for one, other in LINK.findall(prose(page))]


def linked(page: Path) -> set[Path]:
    return {(page.parent / link.partition("#")[0]).resolve() for link in links(page) if "://" not in link}


def quoted(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(page))


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md"], ids=named)
def test_every_link_has_an_existing_file_and_heading(page: Path) -> None:
    for link in links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_every_page_is_in_the_table_of_contents() -> None:
    assert set(PAGES) - linked(DOCS / "index.md") == {DOCS / "index.md"}


def test_every_page_is_in_the_sites_navigation() -> None:
    def pages(item: object) -> list[str]:
        match item:
            case str():
                return [item]
            case dict():
                return [page for value in item.values() for page in pages(value)]
            case list():
                return [page for one in item for page in pages(one)]
        raise AssertionError(item)

    navigation = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(navigation) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=named)
def test_every_path_in_backticks_exists(page: Path) -> None:
    for words in quoted(page):
        path = words.partition(" ")[0].partition("::")[0]
        inside = "/" in path and path.partition("/")[0] in FOLDERS and not re.search(r"[{}*<>:]", path)
        if inside and not path.startswith(NOT_KEPT) and re.fullmatch(r"[\w./-]+", path):
            assert (ROOT / path).exists(), words
        elif re.fullmatch(r"\w+\.py", words) and words != "manage.py":
            assert any(one.name == words for one in (*CODE, *(ROOT / "tests").rglob("*.py"))), words


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_name_documented_as_in_a_file_is_defined_there(page: Path) -> None:
    """Check names written as `runs/clock/fire.py`: `fire_due`, or `_KINDS` in `runs/failures.py`."""
    text = prose(page)
    pairs = re.findall(r"`([\w/]+\.py)`(?:'s|:) `(\w+)(?:\(\))?`", text)
    pairs += [(path, name) for name, path in re.findall(r"`(\w+)(?:\(\))?` (?:in|of) `([\w/]+\.py)`", text)]
    for path, name in pairs:
        assert name in defined(ROOT / path), f"{name} in {path}"


@pytest.mark.parametrize("page", [DOCS / "design.md", DOCS / "changing.md"], ids=named)
def test_every_name_on_the_maintainers_pages_is_in_the_code(page: Path) -> None:
    words = {word for path in CODE for word in re.findall(r"\w+", path.read_text())}
    names = {found[1] for one in quoted(page) if (found := re.fullmatch(r"(?:[a-z_.]+\.)?(\w+)(?:\(\))?", one))}
    assert names
    assert not names - words


def defined(path: Path) -> set[str]:
    """Return what a module defines: functions, classes, methods, and assigned names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return found


def test_every_command_is_listed_with_its_arguments() -> None:
    page = (DOCS / "commands.md").read_text()
    of_django = {action.dest for action in BaseCommand().create_parser("manage.py", "any")._actions}
    ours = {name: app for name, app in get_commands().items() if (ROOT / str(app)).is_dir()}
    assert ours
    for name, app in ours.items():
        section = re.search(rf"^### `{name}`.*?(?=^##|\Z)", page, re.DOTALL | re.MULTILINE)
        assert section, name
        parser = load_command_class(str(app), name).create_parser("manage.py", name)
        for action in parser._actions:
            if action.dest not in of_django:
                assert f"`{(action.option_strings or [action.dest])[-1]}" in section[0], (name, action.dest)


def test_every_remote_control_command_is_listed() -> None:
    page = (DOCS / "commands.md").read_text()
    source = (ROOT / "workers" / "worker" / "control.py").read_text()
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    assert functions
    for function in functions:
        assert re.search(rf"`(inspect |control )?{function.name}\b", page), function.name


def test_every_setting_is_documented() -> None:
    read = {name for path in CODE for name in re.findall(r'"(HOURHAND_[A-Z_]+)"', path.read_text())}
    assert read
    told = "".join(page.read_text() for page in PAGES)
    assert not {name for name in read if f"`{name}`" not in told}


def test_every_metric_is_documented() -> None:
    source = (ROOT / "ops" / "metrics.py").read_text()
    names = set(re.findall(r'_gauge\(\s*"(\w+)"', source))
    names |= set(re.findall(r'"hourhand_(\w+)"', source))
    assert names
    told = "".join(page.read_text() for page in PAGES)
    assert not {name for name in names if f"`hourhand_{name}" not in told}


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("assertions.md", ASSERTION_TYPES),
        ("concepts.md", [reason.value for reason in FailureReason]),
        ("ledger.md", SkipReason.values),
        ("api.md", [scope for scope in Scope.values if scope != "agents"]),
    ],
)
def test_every_value_of_an_enumeration_is_explained(page: str, words: list[str]) -> None:
    text = (DOCS / page).read_text()
    assert not [word for word in words if f"`{word}`" not in text]
