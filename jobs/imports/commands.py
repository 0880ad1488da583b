"""Read the HTTP call of a command line: everything around curl or wget is imported or refused."""

import re

from jobs.imports.call import Call, is_url, refuse_globbing
from jobs.imports.curl import read_curl
from jobs.imports.items import ReadError
from jobs.imports.shell import Command, Word, commands_in
from jobs.imports.wget import read_wget
from jobs.imports.wrappers import SHELLS, program_name, unwrap

_BARE_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#@!&()*+,;=%\[\]{}-]+", re.IGNORECASE)
_NOT_A_CALL = (
    "Hourhand calls URLs and runs no programs: the command should be a URL, or curl or wget with one. To run a "
    "program, create an endpoint that runs it, and call that."
)
_SECONDS = re.compile(r"[0-9]{1,9}")
_MINUTE = 60
_MAX_DEPTH = 5


def read_command(command: str, *, stdin: str | None = None) -> Call:
    """Read the call of a command with this standard input. Raises ReadError."""
    call = Call(stdin=stdin)
    bare = command.strip(" \t")
    if _BARE_URL.fullmatch(bare):
        refuse_globbing(bare)
        call.set_url(bare)
        call.method = "GET"
    else:
        _read_list(command, call, depth=0)
    call.definition()
    return call


def read_words(words: list[str]) -> Call:
    """Read the call of a program and its arguments, without a shell. Raises ReadError."""
    call = Call()
    _read_one([Word(word) for word in words], call, depth=0)
    call.definition()
    return call


def _read_list(text: str, call: Call, *, depth: int) -> None:
    """Read the only call of a list of commands."""
    commands = commands_in(text)
    while len(commands) > 1 and _is_prefix(commands[0], call):
        commands.pop(0)
    if not commands:
        raise ReadError(_NOT_A_CALL)
    main, *others = commands
    _skip_suffixes(main, others, call)
    for operator, target in main.redirections:
        _redirect(operator, target, call)
    _read_one(main.words, call, depth=depth)


def _is_prefix(command: Command, call: Call) -> bool:
    """Return whether a command before the call only changes the directory or sleeps."""
    if command.then not in (";", "&&") or command.redirections or not command.words:
        return False
    name, *arguments = command.words
    if name.text == "cd" and len(arguments) <= 1:
        call.note("cd is left out: a call has no working directory.")
        return True
    if program_name(name) == "sleep" and len(arguments) == 1:
        if not _SECONDS.fullmatch(arguments[0].value) or call.delay_seconds + int(arguments[0].text) >= _MINUTE:
            raise ReadError("sleep should be less than a minute: change the schedule instead, or set jitter_seconds.")
        call.delay_seconds += int(arguments[0].text)
        return True
    return False


def _skip_suffixes(main: Command, others: list[Command], call: Call) -> None:
    """Leave out commands after the call that only report its result; refuse others."""
    before = main.then
    for command in others:
        words = command.words
        quiet = words and words[0].text in {"true", ":", "exit", "echo"} and not command.redirections
        if before not in {"&&", "||", ";"} or not quiet:
            raise ReadError(
                f"Commands run without a shell, so {before} is not supported: one curl per line; quote a URL with &."
            )
        call.note(f"{before} {words[0].text} is left out: failures are in the history.")
        before = command.then
    if before not in {None, ";", "&"}:
        raise ReadError(
            f"Commands run without a shell, so {before} is not supported: one curl per line; quote a URL with &."
        )


def _redirect(operator: str, target: Word, call: Call) -> None:
    if operator == "<" and target.value == "/dev/null":
        call.null_input = True
    elif operator in {">", ">>", ">|", "&>", "&>>", ">&"}:
        if target.text == "/dev/null" or (operator == ">&" and target.text in {"1", "2", "-"}):
            return
        if "://" in target.text:
            raise ReadError("Commands run without a shell, so > is not supported: quote a URL with >.")
        call.output_options.append(f"{operator} file")
    else:
        raise ReadError(f"Commands run without a shell, so {operator} is not supported: one curl per line.")


def _read_one(words: list[Word], call: Call, *, depth: int) -> None:
    """Read one command, without the programs that wrap it."""
    words = unwrap(words, call)
    if not words:
        raise ReadError(_NOT_A_CALL)
    name, arguments = program_name(words[0]), words[1:]
    if name == "curl":
        read_curl(arguments, call)
    elif name == "wget":
        read_wget(arguments, call)
    elif name in SHELLS and len(arguments) == 2 and arguments[0].value in {"-c", "-lc", "-ec"}:  # noqa: PLR2004
        if depth == _MAX_DEPTH:
            raise ReadError("The command nests too many shells: write the curl itself.")
        _read_list(arguments[1].value, call, depth=depth + 1)
    elif len(words) == 1 and is_url(words[0].value):
        refuse_globbing(words[0].value)
        call.set_url(words[0].value)
        call.method = "GET"
    else:
        raise ReadError(_NOT_A_CALL)
