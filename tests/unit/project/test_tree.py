"""The tests' folders: helpers in one place, no test imports another test's file, one lane of bin/test for each."""

import ast
import itertools
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.project import ROOT

TESTS = ROOT / "tests"
#: The chaos tests are a harness with its own command.
HELPERS = (TESTS / "support", TESTS / "acceptance" / "chaos")
MODULES = sorted(path for folder in ("tests", "bench", "proof") for path in (ROOT / folder).rglob("*.py"))

#: Tested here though no package: the project's own files, and the chaos tests.
OTHER_ROOMS = {("project",), ("chaos",)}
#: A package whose tests are not in a room of its own path.
CLIENT = "cli/src/hourhand"

#: One process for all collections: the first one's imports take most of the time.
COLLECT = """
import json, pytest, sys
for options in json.loads(sys.argv[1]):
    print("\\f", flush=True)
    pytest.main(["--collect-only", "-q", "tests/acceptance", "tests/browser", *options])
"""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def is_of_pytest(name: str) -> bool:
    """Return whether pytest loads a module of this name itself: a test or a conftest."""
    return name.startswith("test_") or name == "conftest"


def imported(path: Path) -> set[str]:
    """Return every imported module, and every name imported from one, which may be a module too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=module, names=aliases):
                names |= {f"{module or ''}.{alias.name}" for alias in aliases}
    return names


def test_nothing_is_imported_from_a_test_or_a_conftest() -> None:
    names = [(named(path), name) for path in MODULES for name in imported(path)]
    assert not [(path, name) for path, name in names if any(map(is_of_pytest, name.split(".")))]


def test_helpers_are_in_the_folders_for_them() -> None:
    helpers = [path for path in TESTS.rglob("*.py") if not is_of_pytest(path.stem) and path.stem != "__init__"]
    assert helpers
    assert not [named(path) for path in helpers if not any(path.is_relative_to(folder) for folder in HELPERS)]


def test_unit_and_integration_tests_mirror_the_tree() -> None:
    tests = [path for kind in ("unit", "integration") for path in (TESTS / kind).rglob("test_*.py")]
    rooms = {path.parent.relative_to(TESTS).parts[1:] for path in tests}
    assert len(rooms) > 20
    assert not [room for room in rooms if room not in OTHER_ROOMS and not (package(room) / "__init__.py").exists()]


def package(room: tuple[str, ...]) -> Path:
    """Return the package that is tested in a room."""
    return ROOT / CLIENT / Path(*room[1:]) if room[0] == "cli" else ROOT / Path(*room)


def test_every_acceptance_and_browser_test_is_in_one_lane() -> None:
    script = (ROOT / "bin" / "test").read_text().splitlines()
    lanes = [shlex.split(line)[2:] for line in script if line.startswith("lane ")]
    assert len(lanes) > 1
    everything, *by_lane = collected([], *lanes)
    assert all(by_lane)
    assert sorted(itertools.chain.from_iterable(by_lane)) == sorted(everything)


def collected(*searches: Sequence[str]) -> list[list[str]]:
    """Return the acceptance and browser tests that pytest collects with each of these lists of options."""
    command = [sys.executable, "-c", COLLECT, json.dumps(searches)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [[line for line in one.splitlines() if "::" in line] for one in told.stdout.split("\f")[1:]]
