"""The tree of commands: help, examples, common options, exit codes."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import requests
from click.testing import CliRunner

from hourhand.exits import MEANINGS, Exit
from hourhand.invocation import Invocation
from hourhand.main import hourhand
from hourhand.tree import Noun, Verb
from tests.support.canned_api import URL, CannedApi, answer, problem


def verbs(group: click.Group = hourhand, *path: str) -> Iterator[tuple[str, Verb]]:
    for name, command in group.commands.items():
        if isinstance(command, Noun):
            yield from verbs(command, *path, name)
        else:
            assert isinstance(command, Verb), name
            yield " ".join((*path, name)), command


VERBS = dict(verbs())


@pytest.mark.parametrize("path", VERBS)
def test_every_verb_has_help_and_examples_that_parse(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "input.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    verb = VERBS[path]
    assert verb.help
    assert verb.examples
    for example in verb.examples:
        words = shlex.split(example, comments=True)
        assert "hourhand" in " ".join(words), example
    mine = [words for example in verb.examples if (words := _arguments(example, path)) is not None]
    assert mine, "no example calls the verb"
    for arguments in mine:
        verb.make_context(path, arguments)


def _arguments(example: str, path: str) -> list[str] | None:
    """Return the arguments of a verb in an example: those after it, up to a pipe or redirection."""
    lexer = shlex.shlex(example, posix=True, punctuation_chars="|<>;&$()")
    lexer.whitespace_split, lexer.commenters = True, "#"
    words = list(lexer)
    wanted = ["hourhand", *path.split()]
    for start in range(len(words)):
        if words[start : start + len(wanted)] == wanted:
            rest = words[start + len(wanted) :]
            end = next((index for index, word in enumerate(rest) if word[0] in "|<>;&)"), len(rest))
            return rest[:end]
    return None


@pytest.mark.parametrize("path", VERBS)
def test_every_verb_takes_the_common_options(path: str):
    names = {option for parameter in VERBS[path].params for option in parameter.opts}
    assert {"-o", "--output", "--profile", "--url", "--key", "--no-input"} <= names


def test_every_exit_code_is_explained():
    assert set(MEANINGS) == set(Exit)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (answer(401, problem(401, "key_unknown")), Exit.ACCESS),
        (answer(403, problem(403, "scope_missing")), Exit.ACCESS),
        (answer(404, problem(404, "not_found")), Exit.NOT_FOUND),
        (answer(409, problem(409, "conflict")), Exit.CONFLICT),
        (answer(400, problem(400, "invalid")), Exit.ERROR),
        (answer(402, problem(402, "quota_exceeded")), Exit.ERROR),
        (answer(500, problem(500, "internal_error")), Exit.ERROR),
        (answer(429, problem(429, "rate_limited"), Retry_After="60"), Exit.AWAY),
        (answer(503, problem(503, "database_unavailable"), Retry_After="60"), Exit.AWAY),
        (answer(502), Exit.AWAY),
        (requests.ReadTimeout("timed out"), Exit.AWAY),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
    ],
)
def test_errors_have_exit_codes_and_leave_stdout_empty(reply: requests.Response | BaseException, code: Exit):
    invocation = Invocation(http=CannedApi(reply).http())
    result = CliRunner().invoke(hourhand, ["whoami", "--url", URL, "--key", "hh_test"], obj=invocation)
    assert result.exit_code == code
    assert result.stdout == ""


def test_waits_are_announced_on_stderr(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    api = CannedApi(answer(429, problem(429, "rate_limited", "Too many."), Retry_After="2"), answer(200, {"name": "k"}))
    result = CliRunner().invoke(
        hourhand, ["--url", URL, "--key", "hh_test", "whoami", "-o", "name"], obj=Invocation(http=api.http())
    )
    assert (result.stdout, result.stderr) == ("k\n", "Too many. Waiting 2 s.\n")


def test_all_refused_fields_are_listed():
    wrong = [{"field": name, "code": "invalid", "detail": f"Bad {name}."} for name in ("name", "schedule")]
    api = CannedApi(answer(400, problem(400, "invalid", errors=wrong)))
    result = CliRunner().invoke(hourhand, ["whoami", "--url", URL, "--key", "hh_test"], obj=Invocation(http=api.http()))
    assert "name: Bad name." in result.stderr
    assert "schedule: Bad schedule." in result.stderr
