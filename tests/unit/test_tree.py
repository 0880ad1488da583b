"""Where things are in the tests' own folders: helpers in one place, and no test built on another test's file."""

import ast
from pathlib import Path

import pytest

from tests.support.project import ROOT

TESTS = ROOT / "tests"
#: The storms are a harness of their own, with its own command.
HELPERS = (TESTS / "support", TESTS / "acceptance" / "chaos")
MODULES = sorted(path for folder in ("tests", "bench", "proof") for path in (ROOT / folder).rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def is_of_pytest(name: str) -> bool:
    """Whether pytest loads a module of this name by itself: a test or a conftest."""
    return name.startswith("test_") or name == "conftest"


def imported(path: Path) -> set[str]:
    """Every module that a file imports, and every name that it imports from one: that may be a module too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=module, names=aliases):
                names |= {f"{module or ''}.{alias.name}" for alias in aliases}
    return names


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_nothing_is_imported_from_a_test_or_a_conftest(path: Path) -> None:
    assert not {name for name in imported(path) if any(map(is_of_pytest, name.split(".")))}


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=named)
def test_helpers_are_in_the_folder_for_them(path: Path) -> None:
    helper = not is_of_pytest(path.stem) and path.stem != "__init__"
    assert not helper or any(path.is_relative_to(folder) for folder in HELPERS)
