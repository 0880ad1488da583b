"""Reads the HTTP call that wget makes: each option is carried over, shapes only what is printed, or is refused."""

import re
from collections.abc import Iterator

from jobs.imports.call import FORM, Call, decimal, integer
from jobs.imports.items import ReadError
from jobs.imports.shell import Word

_LONG_OF_SHORT = {
    "q": "quiet", "v": "verbose", "d": "debug", "S": "server-response", "b": "background", "o": "output-file",
    "a": "append-output", "O": "output-document", "P": "directory-prefix", "U": "user-agent", "T": "timeout",
    "t": "tries", "x": "force-directories", "nv": "no-verbose", "nd": "no-directories", "nH": "no-host-directories",
    "np": "no-parent", "nc": "no-clobber", "N": "timestamping", "c": "continue", "r": "recursive", "m": "mirror",
    "i": "input-file", "p": "page-requisites", "k": "convert-links", "w": "wait", "e": "execute",
}  # fmt: skip
_CARRIED = frozenset(
    {"header", "post-data", "body-data", "method", "user-agent", "referer", "timeout", "tries", "max-redirect"}
)
_CARRIED_FLAGS = frozenset({"no-check-certificate", "spider", "no-cache", "retry-connrefused"})
_SILENT = frozenset(
    {"quiet", "no-verbose", "no-proxy", "no-netrc", "no-config", "no-cookies", "no-hsts", "no-dns-cache", "no-parent"}
)
_PRINTED = frozenset(
    {
        "verbose", "debug", "server-response", "background", "force-directories", "no-directories",
        "no-host-directories", "show-progress", "content-disposition", "content-on-error", "delete-after",
        "save-headers", "unlink", "xattr", "no-use-server-timestamps", "adjust-extension",
    }
)  # fmt: skip
_PRINTED_WITH_VALUE = frozenset(
    {
        "output-file", "append-output", "output-document", "directory-prefix", "progress", "save-cookies",
        "compression", "report-speed",
    }
)  # fmt: skip
_TAKES_A_VALUE = _CARRIED | _PRINTED_WITH_VALUE
_REFUSED = {
    "no-clobber": "-nc makes no call where the file is there already: leave it out.",
    "timestamping": "-N asks for what is newer than a file: leave it out.",
    "continue": "-c asks for the rest of a file: leave it out.",
    "user": "Keep the credentials as a secret, and send --header 'Authorization: Basic {{secrets.NAME}}' instead.",
    "http-user": "Keep the credentials as a secret, and send --header 'Authorization: Basic {{secrets.NAME}}' instead.",
}
#: What wget sends as it is written.
_PLAIN = re.compile(
    r"(?:[A-Za-z0-9._~:/?#@!$&'()*+,;=-]|\[[0-9A-Fa-f:.]+\]|%(?:[0189A-F][0-9A-F]|2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[BCDF]))*"
)
_FOLLOWS = (
    "wget follows redirects and Hourhand does not: an answer that is one is a failure, which says where it leads."
)


def read_wget(words: list[Word], call: Call) -> None:
    """Take over what the words after `wget` say. Raises ReadError."""
    said: dict[str, str] = {}
    for option, value in _options(words):
        if option == "url":
            if not _PLAIN.fullmatch(value):
                raise ReadError("wget sends this URL otherwise than it is written: percent-encode it.")
            call.set_url(value.partition("#")[0])
        elif option == "header":
            _add_header(call, value)
        elif option in _CARRIED | _CARRIED_FLAGS:
            said[option] = value
        elif option in _PRINTED | _PRINTED_WITH_VALUE:
            call.printed.append(f"--{option}")
    if "output-document" not in {name[2:] for name in call.printed} and "spider" not in said:
        call.printed.append("the file that wget makes")
    _carry(call, said)


def _carry(call: Call, said: dict[str, str]) -> None:
    _carry_method_and_data(call, said)
    _carry_policy(call, said)
    for option, name in (("user-agent", "User-Agent"), ("referer", "Referer")):
        if option in said:
            if not said[option].strip(" \t"):
                raise ReadError(f"--{option} without a value can't be carried over: leave it out.")
            call.default_header(name, said[option])
    if "no-cache" in said:
        call.default_header("Cache-Control", "no-cache")
        call.default_header("Pragma", "no-cache")


def _carry_method_and_data(call: Call, said: dict[str, str]) -> None:
    if "post-data" in said and ({"method", "body-data"} & said.keys()):
        raise ReadError("--post-data stands for itself: leave out --method and --body-data.")
    if "body-data" in said and "method" not in said:
        raise ReadError("--body-data needs --method, as in --method=PUT.")
    if "spider" in said and said.keys() & {"post-data", "body-data", "method"}:
        raise ReadError("--spider asks with HEAD: leave out what asks otherwise.")
    if "spider" in said:
        call.method = "HEAD"
    elif "method" in said:
        call.method = said["method"].upper()
    call.body = said.get("post-data", said.get("body-data"))
    if call.body is not None:
        call.default_header("Content-Type", FORM)


def _carry_policy(call: Call, said: dict[str, str]) -> None:
    if "timeout" in said and (seconds := decimal(said["timeout"], "-T")):
        call.limit(seconds)
        call.note("wget's -T limits each wait; as request.timeout_seconds it limits the whole call.")
    if "tries" in said:
        call.retry["max_attempts"] = integer(said["tries"], "-t")
        if not call.retry["max_attempts"]:
            raise ReadError("-t 0 tries without end: write how often, at most 20.")
    call.tls_verify = "no-check-certificate" not in said
    if "max-redirect" not in said or integer(said["max-redirect"], "--max-redirect"):
        call.note(_FOLLOWS)


def _options(words: list[Word]) -> Iterator[tuple[str, str]]:
    """Each option by its long name, and its value; `url` for what is none."""
    rest = iter(words)
    for word in rest:
        text = word.text if word.one else word.value
        if text == "--":
            yield from (("url", other.value) for other in rest)
        elif text.startswith("--"):
            yield _long(word, rest)
        elif text.startswith("-") and len(text) > 1:
            yield from _short(word, rest)
        else:
            yield "url", word.value


def _long(word: Word, rest: Iterator[Word]) -> tuple[str, str]:
    name, equals, value = word.text[2:].partition("=")
    _refuse(name, f"--{name}")
    if name not in _TAKES_A_VALUE:
        if equals:
            raise ReadError(f"wget's --{name} takes no value.")
        return name, ""
    if equals:
        return name, value if name in _PRINTED_WITH_VALUE else word.value.partition("=")[2]
    return name, _value(rest, name, f"--{name}")


def _short(word: Word, rest: Iterator[Word]) -> Iterator[tuple[str, str]]:
    text, place = word.text, 1
    while place < len(text):
        letters = text[place : place + 2] if text[place] == "n" else text[place]
        place += len(letters)
        name = _LONG_OF_SHORT.get(letters, letters)
        _refuse(name, f"-{letters}")
        if name in _TAKES_A_VALUE:
            attached = text[place:] if name in _PRINTED_WITH_VALUE else word.value[place:]
            yield name, attached or _value(rest, name, f"-{letters}")
            return
        yield name, ""


def _refuse(name: str, written: str) -> None:
    if name in _REFUSED:
        raise ReadError(_REFUSED[name])
    if name not in _TAKES_A_VALUE | _CARRIED_FLAGS | _SILENT | _PRINTED:
        raise ReadError(f"wget's {written[:40]} is not understood here: what it does can't be carried over.")


def _value(rest: Iterator[Word], name: str, written: str) -> str:
    word = next(rest, None)
    if word is None:
        raise ReadError(f"wget's {written} needs a value.")
    return word.text if name in _PRINTED_WITH_VALUE and word.one else word.value


def _add_header(call: Call, written: str) -> None:
    name, colon, value = written.partition(":")
    if not colon or not value.strip(" \t"):
        raise ReadError("--header should be like 'Name: value'.")
    call.add_header(name, value.strip(" \t"))
