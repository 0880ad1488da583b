"""Reads the HTTP call that a curl command makes. What Hourhand would do otherwise is refused, never left out."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jobs.imports.items import ReadError

_KNOWN = "-X, -H, -d, --data-raw, --json, -m, -A, -I, -k, --retry, --url, -s, -S, -f and -o /dev/null"
_LONG = {
    "--request": "X", "--header": "H", "--data": "d", "--data-ascii": "d", "--data-binary": "binary",
    "--data-raw": "raw", "--json": "json", "--max-time": "m", "--user-agent": "A", "--head": "I", "--insecure": "k",
    "--silent": "s", "--show-error": "S", "--fail": "f", "--fail-with-body": "f", "--url": "url", "--output": "o",
    "--retry": "retry", "--location": "L", "--user": "u", "--oauth2-bearer": "u",
}  # fmt: skip
_TAKES_A_VALUE = frozenset({"X", "H", "d", "binary", "raw", "json", "m", "A", "url", "o", "retry", "u"})
#: What only says what curl prints, or that a bad status is a failure, as it is here anyway.
_SILENT = frozenset({"s", "S", "f"})
_REFUSED = {
    "L": "Hourhand follows no redirects: call the address that they lead to, without -L.",
    "u": "Keep the credentials as a secret, and send -H 'Authorization: Basic {{secrets.NAME}}' instead of -u.",
}
#: Redirections, and where to, that change nothing here.
_NOWHERE = ("/dev/null",)
_SILENCING = {">": _NOWHERE, ">>": _NOWHERE, "&>": _NOWHERE, "&>>": _NOWHERE, ">&": ("1", "2", "/dev/null")}
_SHELL = frozenset("();<>|&")
_FORM = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class _Call:
    """What a command has said so far."""

    url: str | None = None
    method: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
    content_type: str | None = None
    timeout_seconds: float | None = None
    tls_verify: bool = True
    max_attempts: int | None = None


def read_command(command: str, *, stdin: str | None = None) -> dict[str, Any]:
    """The `request` (and `retry`, if the command has one) of a job that does what this command did.

    `stdin` is what the command would read. Raises ReadError.
    """
    if _is_url(command) and not set(command) & {" ", "\t", "'", '"'}:
        return {"request": {"url": command, "method": "GET"}}
    words = _words(command)
    if len(words) == 1 and _is_url(words[0]):
        return {"request": {"url": words[0], "method": "GET"}}
    if not words or words[0].rpartition("/")[2] != "curl":
        raise ReadError("Hourhand calls URLs: the command should be a URL, or curl with one.")
    call = _Call()
    for option, value in _options(words[1:]):
        _apply(call, option, value, stdin)
    if stdin is not None and stdin not in call.data:
        raise ReadError(r"What follows % is the command's input, which only curl -d @- reads. Write \% for a percent.")
    return _job_of(call)


def _is_url(word: str) -> bool:
    return word.lower().startswith(("http://", "https://"))


def _words(command: str) -> list[str]:
    """The words that a shell would make of a command. What only a shell can do is refused."""
    _refuse_expansions(command)
    lexer = shlex.shlex(command, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError as error:
        raise ReadError(f"The command's quotes don't match: {str(error).lower()}.") from error
    comment = next((index for index, word in enumerate(words) if word.startswith("#")), len(words))
    return _without_silencing(words[:comment])


def _refuse_expansions(command: str) -> None:
    quoted, escaped = False, False
    for place, character in enumerate(command):
        if escaped or (quoted and character != "'"):
            escaped = False
        elif character == "'":
            quoted = not quoted
        elif character == "\\":
            escaped = True
        elif character == "`" or (character == "$" and _expands(command[place + 1 : place + 2])):
            raise ReadError("There is no shell here: write values instead of $NAME, $(...) and `...`.")


def _expands(after: str) -> bool:
    return after.isalnum() or after in tuple("_({@*#?$!-")


def _without_silencing(words: list[str]) -> list[str]:
    """Without redirections to /dev/null, which change nothing here. Raises ReadError for other shell syntax."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in _SILENCING and next(rest, None) in _SILENCING[word]:
            _drop_descriptor(kept)
        elif set(word) <= _SHELL:
            raise ReadError(f"There is no shell here for {word}: one curl per line. Quote a URL that has & in it.")
        else:
            kept.append(word)
    return kept


def _drop_descriptor(kept: list[str]) -> None:
    """The number before a redirection belongs to it."""
    if kept and kept[-1] in ("1", "2"):
        kept.pop()


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Each option with its value, as curl reads them; `url` for what is none."""
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            name = _LONG.get(word)
            if name is None:
                raise ReadError(f"curl's {word} is not understood: only {_KNOWN} are.")
            yield name, _value(rest, word) if name in _TAKES_A_VALUE else ""
        elif word.startswith("-") and len(word) > 1:
            yield from _short_options(word, rest)
        else:
            yield "url", word


def _short_options(word: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
    for place, name in enumerate(word[1:], start=2):
        if name not in _LONG.values():
            raise ReadError(f"curl's -{name} is not understood: only {_KNOWN} are.")
        if name in _TAKES_A_VALUE:
            yield name, word[place:] or _value(rest, f"-{name}")
            return
        yield name, ""


def _value(rest: Iterator[str], option: str) -> str:
    found = next(rest, None)
    if found is None:
        raise ReadError(f"curl's {option} needs a value.")
    return found


def _apply(call: _Call, option: str, value: str, stdin: str | None) -> None:
    if option in _REFUSED:
        raise ReadError(_REFUSED[option])
    match option:
        case "url":
            _set_url(call, value)
        case "X":
            call.method = value.upper()
        case "I":
            call.method = call.method or "HEAD"
        case "H":
            _add_header(call, value)
        case "A":
            _add_header(call, f"User-Agent: {value}")
        case "d" | "binary" | "raw" | "json":
            _add_data(call, option, value, stdin)
        case "m":
            call.timeout_seconds = _number(value, "-m")
        case "retry":
            call.max_attempts = int(_number(value, "--retry")) + 1
        case "k":
            call.tls_verify = False
        case "o" if value != "/dev/null":
            raise ReadError("Answers are kept in the history: leave out -o, or write -o /dev/null.")
        case _:
            assert option in _SILENT or option == "o", option


def _set_url(call: _Call, value: str) -> None:
    if call.url is not None:
        raise ReadError(f"One URL per line: {value} is a second one.")
    call.url = value if "://" in value else f"http://{value}"


def _add_header(call: _Call, written: str) -> None:
    name, colon, value = written.partition(":")
    if not colon or not value.strip():
        raise ReadError(f"-H should be like 'Name: value', not {written!r}.")
    call.headers[name.strip()] = value.strip()


def _add_data(call: _Call, option: str, value: str, stdin: str | None) -> None:
    if value.startswith("@") and option != "raw":
        if value != "@-" or stdin is None:
            raise ReadError(f"There is no file {value[1:]} here: write the data itself after -d.")
        value = stdin
    call.data.append(value)
    call.content_type = "application/json" if option == "json" else call.content_type or _FORM


def _number(value: str, option: str) -> float:
    try:
        found = float(value)
        return int(found) if found.is_integer() else found
    except (ValueError, OverflowError) as error:
        raise ReadError(f"{option} should be followed by a number, not {value!r}.") from error


def _job_of(call: _Call) -> dict[str, Any]:
    if call.url is None:
        raise ReadError("The command names no URL.")
    request: dict[str, Any] = {"url": call.url, "method": call.method or ("POST" if call.data else "GET")}
    headers = dict(call.headers)
    if call.content_type and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = call.content_type
    if headers:
        request["headers"] = headers
    if call.data:
        request["body"] = ("" if call.content_type == "application/json" else "&").join(call.data)
    if call.timeout_seconds is not None:
        request["timeout_seconds"] = call.timeout_seconds
    if not call.tls_verify:
        request["tls_verify"] = False
    return {"request": request, **({"retry": {"max_attempts": call.max_attempts}} if call.max_attempts else {})}
