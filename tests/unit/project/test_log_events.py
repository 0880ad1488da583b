"""Every log event of our own is in docs/logs.md, with its level and fields."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from tests.support.project import ROOT

PACKAGES = ("api", "core", "dashboard", "ops", "accounts", "jobs", "runs", "scheduler_project", "workers")
LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|(.*?)\| .+ \|$", re.MULTILINE)
_MADE = re.compile(r"^\s*(\S+)\s*=\s*(?:structlog\.get_logger|logging\.getLogger)\(", re.MULTILINE)


class Line(NamedTuple):
    level: str
    fields: frozenset[str]


def written() -> Iterator[tuple[str, Line]]:
    """Yield the events of the source; an event without a plain name is given by its location."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text())
            for call in ast.walk(tree):
                if isinstance(call, ast.Call) and _is_of_a_logger(call.func):
                    name = call.args[0] if call.args else None
                    is_plain = isinstance(name, ast.Constant) and len(call.args) == 1
                    where = f"{path.relative_to(ROOT)}:{call.lineno}"
                    yield str(name.value) if is_plain else where, Line(LEVELS[call.func.attr], frozenset(_fields(call)))


def _is_of_a_logger(called: ast.expr) -> bool:
    if not isinstance(called, ast.Attribute) or called.attr not in LEVELS:
        return False
    return isinstance(called.value, ast.Name) and called.value.id in {"log", "logger", "_log", "_logger"}


def _fields(call: ast.Call) -> Iterator[str]:
    for word in call.keywords:
        if word.arg == "extra":
            assert isinstance(word.value, ast.Dict)
            yield from (ast.literal_eval(key) for key in word.value.keys if key)
        elif word.arg not in {None, "exc_info"}:
            yield str(word.arg)


def documented() -> dict[str, Line]:
    rows = _ROW.findall((ROOT / "docs/logs.md").read_text())
    return {name: Line(level, frozenset(re.findall(r"`(\w+)`", fields))) for name, level, fields in rows}


def test_the_events_of_the_source_are_those_of_the_documentation() -> None:
    found = defaultdict(set)
    for name, line in written():
        found[name].add(line)
    assert len(found) > 40
    assert {name: {line} for name, line in documented().items()} == dict(found)


def test_names_are_plain_words_and_listed_once() -> None:
    names = [row[0] for row in _ROW.findall((ROOT / "docs/logs.md").read_text())]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", name) for name in names)


def test_loggers_have_the_variable_names_that_this_test_finds() -> None:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            assert set(_MADE.findall(path.read_text())) <= {"log", "logger"}, path
