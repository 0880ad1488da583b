"""Every documented command exists and starts in a clean clone with the documented requirements."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.core.management import get_commands

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
PROGRAM, MODULE, VERB = (
    re.compile(rf"(?:^|[\s/;|&(]){of}") for of in (r"bin/(\w+)(?=\s|$)", r"python -m (\S+)", r"manage\.py (\S+)")
)
BENCH = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted((ROOT / "bench").rglob("[!_]*.py"))]


def blocks() -> list[str]:
    return [block for page in PAGES for block in BLOCK.findall(page.read_text())]


def named(pattern: re.Pattern[str]) -> set[str]:
    return {found for block in blocks() for found in pattern.findall(block)}


def test_documented_programs_modules_and_commands_exist() -> None:
    assert named(PROGRAM) >= {"up", "test", "venv"}
    programs = named(PROGRAM) - {"python", "pg_dump", "pg_restore"}
    assert {name for name in programs if not os.access(ROOT / "bin" / name, os.X_OK)} == set()
    modules = named(MODULE) - {"http.server"}
    assert modules
    assert {name for name in modules if not (ROOT / name.replace(".", "/")).exists()} == set()
    assert named(VERB) - set(get_commands()) == set()


def clone(directory: Path, *requirements: str) -> Path:
    """Create a clone without ignored files, and install these requirements in it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, directory / name)
    told = run(directory, "bin/venv", *requirements)
    assert told.returncode == 0, told.stderr
    return directory


def run(directory: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with only PATH and HOME of this environment."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        command, cwd=directory, env={**kept, "SECRET_KEY": "only-for-this-test"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_the_benchmarks_requirements_are_complete(tmp_path: Path) -> None:
    (line,) = {
        line for block in blocks() for line in block.splitlines() if line.startswith("bin/venv") and "bench" in line
    }
    made = clone(tmp_path, *line.split()[1:])
    told = run(made, ".venv/bin/python", "-c", f"import importlib; [*map(importlib.import_module, {BENCH!r})]")
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (".venv/bin/python -m proof", "all as expected"),
        (".venv/bin/python manage.py doctor", "PostgreSQL"),
        (".venv/bin/python manage.py with_services -- .venv/bin/python manage.py check", "no issues"),
        *((f"bin/{name} --help", name) for name in ("up", "test", "chaos", "proof")),
    ],
)
def test_other_commands_run_with_the_products_requirements(plain_clone: Path, command: str, says: str) -> None:
    told = run(plain_clone, *command.split())
    assert "Traceback" not in told.stderr, told.stderr
    assert says in told.stdout + told.stderr


@pytest.fixture(scope="module")
def plain_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clone(tmp_path_factory.mktemp("clone"), "requirements.txt")
