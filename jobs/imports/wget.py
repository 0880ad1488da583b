"""Read the HTTP call of wget: each option is imported, ignored because it only affects output, or refused."""

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
_IMPORTED = frozenset(
    {"header", "post-data", "body-data", "method", "user-agent", "referer", "timeout", "tries", "max-redirect"}
)
_IMPORTED_FLAGS = frozenset({"no-check-certificate", "spider", "no-cache", "retry-connrefused"})
_IGNORED = frozenset(
    {"quiet", "no-verbose", "no-proxy", "no-netrc", "no-config", "no-cookies", "no-hsts", "no-dns-cache", "no-parent"}
)
_OUTPUT = frozenset(
    {
        "verbose", "debug", "server-response", "background", "force-directories", "no-directories",
        "no-host-directories", "show-progress", "content-disposition", "content-on-error", "delete-after",
        "save-headers", "unlink", "xattr", "no-use-server-timestamps", "adjust-extension",
    }
)  # fmt: skip
_OUTPUT_WITH_VALUE = frozenset(
    {
        "output-file", "append-output", "output-document", "directory-prefix", "progress", "save-cookies",
        "compression", "report-speed",
    }
)  # fmt: skip
_TAKES_A_VALUE = _IMPORTED | _OUTPUT_WITH_VALUE
_REFUSED = {
    "no-clobber": "-nc makes no call if the file exists: remove it.",
    "timestamping": "-N only downloads what is newer than a file: remove it.",
    "continue": "-c downloads the rest of a file: remove it.",
    "user": "Keep the credentials as a secret, and send --header 'Authorization: Basic {{secrets.NAME}}' instead.",
    "http-user": "Keep the credentials as a secret, and send --header 'Authorization: Basic {{secrets.NAME}}' instead.",
}
#: URLs that wget sends unchanged.
_PLAIN = re.compile(
    r"(?:[A-Za-z0-9._~:/?#@!$&'()*+,;=-]|\[[0-9A-Fa-f:.]+\]|%(?:[0189A-F][0-9A-F]|2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[BCDF]))*"
)
_FOLLOWS = "wget follows redirects and Hourhand does not: a redirect is a failure, whose error names the new location."


def read_wget(words: list[Word], call: Call) -> None:
    """Apply the words after `wget` to the call. Raises ReadError."""
    options: dict[str, str] = {}
    for option, value in _options(words):
        if option == "url":
            if not _PLAIN.fullmatch(value):
                raise ReadError("wget would change this URL before sending it: percent-encode it.")
            call.set_url(value.partition("#")[0])
        elif option == "header":
            _add_header(call, value)
        elif option in _IMPORTED | _IMPORTED_FLAGS:
            options[option] = value
        elif option in _OUTPUT | _OUTPUT_WITH_VALUE:
            call.output_options.append(f"--{option}")
    if "output-document" not in {name[2:] for name in call.output_options} and "spider" not in options:
        call.output_options.append("the downloaded file")
    _apply(call, options)


def _apply(call: Call, options: dict[str, str]) -> None:
    _apply_method_and_data(call, options)
    _apply_policy(call, options)
    for option, name in (("user-agent", "User-Agent"), ("referer", "Referer")):
        if option in options:
            if not options[option].strip(" \t"):
                raise ReadError(f"--{option} without a value can't be imported: remove it.")
            call.default_header(name, options[option])
    if "no-cache" in options:
        call.default_header("Cache-Control", "no-cache")
        call.default_header("Pragma", "no-cache")


def _apply_method_and_data(call: Call, options: dict[str, str]) -> None:
    if "post-data" in options and ({"method", "body-data"} & options.keys()):
        raise ReadError("--post-data can't be combined with --method or --body-data: remove those.")
    if "body-data" in options and "method" not in options:
        raise ReadError("--body-data needs --method, as in --method=PUT.")
    if "spider" in options and options.keys() & {"post-data", "body-data", "method"}:
        raise ReadError("--spider sends HEAD: remove the other method or data.")
    if "spider" in options:
        call.method = "HEAD"
    elif "method" in options:
        call.method = options["method"].upper()
    call.body = options.get("post-data", options.get("body-data"))
    if call.body is not None:
        call.default_header("Content-Type", FORM)


def _apply_policy(call: Call, options: dict[str, str]) -> None:
    if "timeout" in options and (seconds := decimal(options["timeout"], "-T")):
        call.limit(seconds)
        call.note("wget's -T is for each step; request.timeout_seconds is for the whole call.")
    if "tries" in options:
        call.retry["max_attempts"] = integer(options["tries"], "-t")
        if not call.retry["max_attempts"]:
            raise ReadError("-t 0 retries without end: write a number, at most 20.")
    call.tls_verify = "no-check-certificate" not in options
    if "max-redirect" not in options or integer(options["max-redirect"], "--max-redirect"):
        call.note(_FOLLOWS)


def _options(words: list[Word]) -> Iterator[tuple[str, str]]:
    """Yield each option by its long name, with its value; arguments are `url`."""
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
        return name, value if name in _OUTPUT_WITH_VALUE else word.value.partition("=")[2]
    return name, _value(rest, name, f"--{name}")


def _short(word: Word, rest: Iterator[Word]) -> Iterator[tuple[str, str]]:
    text, position = word.text, 1
    while position < len(text):
        letters = text[position : position + 2] if text[position] == "n" else text[position]
        position += len(letters)
        name = _LONG_OF_SHORT.get(letters, letters)
        _refuse(name, f"-{letters}")
        if name in _TAKES_A_VALUE:
            attached = text[position:] if name in _OUTPUT_WITH_VALUE else word.value[position:]
            yield name, attached or _value(rest, name, f"-{letters}")
            return
        yield name, ""


def _refuse(name: str, written: str) -> None:
    if name in _REFUSED:
        raise ReadError(_REFUSED[name])
    if name not in _TAKES_A_VALUE | _IMPORTED_FLAGS | _IGNORED | _OUTPUT:
        raise ReadError(f"wget's {written[:40]} is not supported: remove it, or create the job yourself.")


def _value(rest: Iterator[Word], name: str, written: str) -> str:
    word = next(rest, None)
    if word is None:
        raise ReadError(f"wget's {written} needs a value.")
    return word.text if name in _OUTPUT_WITH_VALUE and word.one else word.value


def _add_header(call: Call, written: str) -> None:
    name, colon, value = written.partition(":")
    if not colon or not value.strip(" \t"):
        raise ReadError("--header should look like 'Name: value'.")
    call.add_header(name, value.strip(" \t"))
