"""The documentation of the command line against its commands."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hourhand.exits import MEANINGS
from hourhand.main import hourhand
from tests.support.cli_reference import PAGE, text
from tests.support.project import ROOT

GUIDE = (ROOT / "docs" / "cli.md").read_text()


def test_the_reference_is_written_from_the_commands():
    assert PAGE.read_text() == text(), "see tests/support/cli_reference.py"


def test_the_guide_lists_every_exit_code():
    rows = dict(re.findall(r"^\| (\d+) \| (.+?) \|$", GUIDE, re.MULTILINE))
    assert rows == {str(int(code)): meaning for code, meaning in MEANINGS.items()}


@pytest.mark.parametrize("page", ["docs/cli.md", "README.md", "cli/README.md"])
def test_every_documented_command_line_parses(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if re.search(r"(^|[ (])hourhand ", line)]
    assert lines
    for line in lines:
        for arguments in calls_in(line):
            parse(arguments)


def calls_in(line: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of `hourhand` in a line of a shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|<>;&()")
    lexer.whitespace_split, lexer.commenters = True, "#"
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word[0] not in "|<>;&()":
            words.append(word)
            continue
        if words[:1] == ["hourhand"]:
            yield words[1:]
        words = []


def parse(arguments: list[str]) -> None:
    """Parse a command line without carrying it out. Raises UsageError."""
    command: click.Command = hourhand
    context = None
    while isinstance(command, click.Group):
        context = command.make_context("hourhand", list(arguments), parent=context)
        _, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
    command.make_context("verb", list(arguments), parent=context)


def test_the_guide_names_every_variable_of_the_environment():
    source = "".join(path.read_text() for path in (ROOT / "cli" / "src").rglob("*.py"))
    names = set(re.findall(r"\bHOURHAND_[A-Z]+\b", source))
    assert names >= {"HOURHAND_URL", "HOURHAND_KEY", "HOURHAND_PROFILE"}
    assert not [name for name in names if f"`{name}`" not in GUIDE]
