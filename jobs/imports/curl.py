"""Read the HTTP call of curl: each option is imported, ignored because it only affects output, or refused."""

import re
from collections.abc import Iterator
from urllib.parse import quote

from jobs.imports.call import FORM, Call, decimal, integer, refuse_globbing, with_query
from jobs.imports.items import ReadError
from jobs.imports.shell import Word

_LONG_OF_SHORT = {
    "X": "request", "H": "header", "d": "data", "m": "max-time", "A": "user-agent", "I": "head", "k": "insecure",
    "s": "silent", "S": "show-error", "f": "fail", "o": "output", "L": "location", "u": "user", "G": "get",
    "g": "globoff", "e": "referer", "b": "cookie", "v": "verbose", "i": "include", "w": "write-out", "O": "remote-name",
    "J": "remote-header-name", "R": "remote-time", "N": "no-buffer", "#": "progress-bar", "D": "dump-header",
    "c": "cookie-jar", "q": "disable", "Z": "parallel", "T": "upload-file", "F": "form", "x": "proxy", "K": "config",
    "n": "netrc", "E": "cert", "r": "range", "z": "time-cond", "C": "continue-at", "0": "http1.0", "1": "tlsv1",
    "2": "sslv2", "3": "sslv3", "4": "ipv4", "6": "ipv6", "a": "append", "B": "use-ascii", "U": "proxy-user",
    "p": "proxytunnel", "Q": "quote", "Y": "speed-limit", "y": "speed-time", "t": "telnet-option", "P": "ftp-port",
    "l": "list-only", "j": "junk-session-cookies", "h": "help", "V": "version", "M": "manual", ":": "next",
}  # fmt: skip
_IMPORTED = frozenset(
    {
        "request", "header", "data", "data-ascii", "data-binary", "data-raw", "data-urlencode", "json", "max-time",
        "connect-timeout", "user-agent", "referer", "cookie", "retry", "retry-delay", "url",
    }
)  # fmt: skip
_IMPORTED_FLAGS = frozenset({"head", "insecure", "get", "globoff", "retry-connrefused"})
#: Options without effect on the call that need no note.
_IGNORED = frozenset({"silent", "show-error", "fail", "fail-with-body", "disable", "fail-early", "no-progress-meter"})
_OUTPUT = frozenset(
    {
        "verbose", "include", "remote-name", "remote-header-name", "remote-time", "no-buffer", "progress-bar",
        "compressed", "parallel", "create-dirs", "remove-on-error", "no-clobber", "remote-name-all", "xattr",
        "styled-output", "no-styled-output", "trace-time", "trace-ids", "show-headers",
    }
)  # fmt: skip
_OUTPUT_WITH_VALUE = frozenset(
    {
        "output", "output-dir", "write-out", "dump-header", "cookie-jar", "stderr", "trace", "trace-ascii", "libcurl",
        "etag-save",
    }
)  # fmt: skip
_TAKES_A_VALUE = _IMPORTED | _OUTPUT_WITH_VALUE
_CREDENTIALS = "Keep the credentials as a secret, and send -H 'Authorization: {} {{{{secrets.NAME}}}}' instead of {}."
_REFUSED = {
    "location": "Hourhand follows no redirects: call their final URL, without -L.",
    "location-trusted": "Hourhand follows no redirects: call their final URL.",
    "user": _CREDENTIALS.format("Basic", "-u"),
    "oauth2-bearer": _CREDENTIALS.format("Bearer", "--oauth2-bearer"),
    "netrc": _CREDENTIALS.format("Basic", "-n"),
    "upload-file": "Files can't be read for -T: write the data itself after -d, with -X PUT.",
    "form": "Multipart forms are not supported: write fields after -d or --data-urlencode instead of -F.",
    "proxy": "Proxies are not supported: remove -x.",
    "cacert": "Files can't be read for --cacert: set request.ca_cert of the job.",
    "next": "--next starts another call: write one command per call.",
    "config": "Files can't be read for -K: write the options themselves.",
}
_ALWAYS_SENT = frozenset({"host", "user-agent", "content-length", "transfer-encoding", "accept-encoding", "connection"})


def read_curl(words: list[Word], call: Call) -> None:
    """Apply the words after `curl` to the call. Raises ReadError."""
    options = _Options(call)
    for option, value in _parse(words):
        options.apply(option, value)
    options.finish()


def _parse(words: list[Word]) -> Iterator[tuple[str, str]]:
    """Yield each option by its long name, with its value; arguments are `url`."""
    rest = iter(words)
    for word in rest:
        text = word.value
        if text == "--":
            yield from (("url", other.value) for other in rest)
        elif text.startswith("--"):
            yield _long(text[2:], rest)
        elif text.startswith("-") and len(text) > 1:
            yield from _short(text, rest)
        else:
            yield "url", text


def _long(name: str, rest: Iterator[Word]) -> tuple[str, str]:
    _refuse(name, f"--{name}")
    return name, _value(rest, name, f"--{name}") if name in _TAKES_A_VALUE else ""


def _short(text: str, rest: Iterator[Word]) -> Iterator[tuple[str, str]]:
    for position, letter in enumerate(text[1:], start=2):
        name = _LONG_OF_SHORT.get(letter, letter)
        _refuse(name, f"-{letter}")
        if name in _TAKES_A_VALUE:
            yield name, text[position:] or _value(rest, name, f"-{letter}")
            return
        yield name, ""


def _refuse(name: str, written: str) -> None:
    if name in _REFUSED:
        raise ReadError(_REFUSED[name])
    if name not in _TAKES_A_VALUE | _IMPORTED_FLAGS | _IGNORED | _OUTPUT:
        raise ReadError(f"curl's {written[:40]} is not supported: remove it, or create the job yourself.")


def _value(rest: Iterator[Word], name: str, written: str) -> str:
    word = next(rest, None)
    if word is None:
        raise ReadError(f"curl's {written} needs a value.")
    return word.text if name in _OUTPUT_WITH_VALUE and word.one else word.value


class _Options:
    """The options so far. `finish` applies those that depend on others."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._data: list[tuple[bool, str]] = []  # whether an & separates it from the previous text, and the text
        self._json = self._get = self._head = self._literal = False
        self._agent: str | None = None
        self._referer: str | None = None
        self._cookie: str | None = None
        self._max_time: float | None = None
        self._removed: set[str] = set()

    def apply(self, option: str, value: str) -> None:
        call = self._call
        match option:
            case "url":
                call.set_url(value)
            case "request":
                call.method = _method(value)
            case _ if option in _IMPORTED_FLAGS:
                self._apply_flag(option)
            case "max-time" | "connect-timeout" | "retry" | "retry-delay":
                self._apply_policy(option, value)
            case "header":
                self._add_header(value)
            case "user-agent":
                self._agent = _checked(value, "-A")
            case "referer":
                self._referer = _checked(value, "-e")
            case "cookie":
                self._set_cookie(value)
            case _ if option in _IMPORTED:
                self._add_data(option, value)
            case _ if option not in _IGNORED:
                call.output_options.append(f"--{option}")

    def _apply_flag(self, option: str) -> None:
        match option:
            case "head":
                self._head = True
            case "get":
                self._get = True
            case "globoff":
                self._literal = True
            case "insecure":
                self._call.tls_verify = False
            case "retry-connrefused":
                self._call.retry["on_connection_error"] = True

    def _apply_policy(self, option: str, value: str) -> None:
        call = self._call
        match option:
            case "max-time":
                self._max_time = decimal(value, "-m")
                if not self._max_time:
                    raise ReadError("-m 0 means no timeout: Hourhand waits at most 300 seconds, so write -m 300.")
            case "connect-timeout":
                decimal(value, "--connect-timeout")
                call.note("--connect-timeout is left out: request.timeout_seconds is for the whole call.")
            case "retry":
                call.retry["max_attempts"] = integer(value, "--retry") + 1
            case "retry-delay" if seconds := integer(value, "--retry-delay"):
                call.retry |= {"backoff": "fixed", "delay_ms": seconds * 1000}

    def _add_header(self, written: str) -> None:
        name, colon, value = written.partition(":")
        value = value.strip(" \t")
        if written.startswith("@"):
            raise ReadError("Files can't be read for -H @: write the headers themselves.")
        if not colon and written.endswith(";") and ";" not in written[:-1]:
            self._call.add_header(written[:-1], "")
        elif not colon:
            raise ReadError("-H should look like 'Name: value'.")
        elif value:
            self._call.add_header(name, value)
        elif name.lower() in _ALWAYS_SENT:
            raise ReadError(f"The header {name} is always sent: remove -H '{name}:'.")
        else:
            self._removed.add(name.lower())

    def _set_cookie(self, value: str) -> None:
        if "=" not in value:
            raise ReadError("Files can't be read for -b: write the cookies themselves, as in -b 'name=value'.")
        if self._cookie is not None:
            raise ReadError("Write all cookies after one -b, as in -b 'a=1; b=2'.")
        self._cookie = value

    def _add_data(self, option: str, value: str) -> None:
        if option == "data-urlencode":
            self._data.append((True, self._encoded(value)))
        elif value.startswith("@") and option != "data-raw":
            self._data.append((option != "json", self._read(option, value[1:])))
        else:
            self._data.append((option != "json", value))
        self._json |= option == "json"

    def _read(self, option: str, file: str) -> str:
        if file != "-":
            raise ReadError("Files can't be read for @: write the data itself after -d.")
        text = self._call.read_stdin(f"--{option}")
        # "Carriage returns and newlines will be stripped out" (curl's manual, -d)
        return re.sub(r"[\r\n]", "", text) if option in ("data", "data-ascii") else text

    def _encoded(self, value: str) -> str:
        mark = re.search("=", value) or re.search("@", value)
        name, content = (value[: mark.start()], value[mark.end() :]) if mark else ("", value)
        if mark and mark[0] == "@":
            content = self._read("data-urlencode", content)
        encoded = quote(content, safe="-._~").replace("%20", "+")
        return f"{name}={encoded}" if name else encoded

    def finish(self) -> None:
        call = self._call
        if call.url is not None and not self._literal:
            refuse_globbing(call.url)
        if "max_attempts" not in call.retry:
            call.retry = {}  # The other options have no effect without --retry.
        if self._max_time is not None:
            call.limit(self._max_time)
        self._finish_data()
        if self._head:
            call.method = call.method or "HEAD"
        self._finish_headers()

    def _finish_data(self) -> None:
        if not self._data:
            return
        if any(not text for _, text in self._data[:-1]):
            raise ReadError("Write all data after one -d: versions of curl disagree on an empty one before others.")
        data = "".join(("&" if index and separate else "") + text for index, (separate, text) in enumerate(self._data))
        if self._json:
            self._default("Content-Type", "application/json")
            self._default("Accept", "application/json")
        if self._get:
            if self._call.url is not None:
                self._call.url = with_query(self._call.url, data)
            return
        if self._head or self._call.method == "HEAD":
            raise ReadError("A HEAD request has no body: remove -d, or -I and -X HEAD.")
        self._call.body = data
        self._default("Content-Type", FORM)

    def _finish_headers(self) -> None:
        if self._agent is not None:
            self._default("User-Agent", self._agent)
        if self._referer is not None:
            self._default("Referer", self._referer)
        if self._cookie is not None:
            if self._call.header("Cookie") is not None:
                raise ReadError("Write all cookies after one -b, or in one header Cookie.")
            self._call.add_header("Cookie", self._cookie)

    def _default(self, name: str, value: str) -> None:
        if name.lower() not in self._removed:
            self._call.default_header(name, value)


def _method(value: str) -> str:
    if value != value.upper():
        raise ReadError(f"HTTP methods are case-sensitive: write -X {value.upper()[:20]}.")
    return value


def _checked(value: str, option: str) -> str:
    if not value.strip(" \t") or value.endswith(";auto"):
        raise ReadError(f"curl's {option} {value[:40]!r} can't be imported: write the header itself, or remove it.")
    return value.strip(" \t")
