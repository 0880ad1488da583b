"""Reads the HTTP call that curl makes: each option is carried over, shapes only what is printed, or is refused."""

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
_CARRIED = frozenset(
    {
        "request", "header", "data", "data-ascii", "data-binary", "data-raw", "data-urlencode", "json", "max-time",
        "connect-timeout", "user-agent", "referer", "cookie", "retry", "retry-delay", "url",
    }
)  # fmt: skip
_CARRIED_FLAGS = frozenset({"head", "insecure", "get", "globoff", "retry-connrefused"})
#: What changes nothing of the call, and nothing that anybody would miss.
_SILENT = frozenset({"silent", "show-error", "fail", "fail-with-body", "disable", "fail-early", "no-progress-meter"})
_PRINTED = frozenset(
    {
        "verbose", "include", "remote-name", "remote-header-name", "remote-time", "no-buffer", "progress-bar",
        "compressed", "parallel", "create-dirs", "remove-on-error", "no-clobber", "remote-name-all", "xattr",
        "styled-output", "no-styled-output", "trace-time", "trace-ids", "show-headers",
    }
)  # fmt: skip
_PRINTED_WITH_VALUE = frozenset(
    {
        "output", "output-dir", "write-out", "dump-header", "cookie-jar", "stderr", "trace", "trace-ascii", "libcurl",
        "etag-save",
    }
)  # fmt: skip
_TAKES_A_VALUE = _CARRIED | _PRINTED_WITH_VALUE
_CREDENTIALS = "Keep the credentials as a secret, and send -H 'Authorization: {} {{{{secrets.NAME}}}}' instead of {}."
_REFUSED = {
    "location": "Hourhand follows no redirects: call the address that they lead to, without -L.",
    "location-trusted": "Hourhand follows no redirects: call the address that they lead to.",
    "user": _CREDENTIALS.format("Basic", "-u"),
    "oauth2-bearer": _CREDENTIALS.format("Bearer", "--oauth2-bearer"),
    "netrc": _CREDENTIALS.format("Basic", "-n"),
    "upload-file": "There is no file here for -T: write the data itself after -d, with -X PUT.",
    "form": "Forms in several parts are not sent: write fields after -d or --data-urlencode instead of -F.",
    "proxy": "Hourhand calls the address itself, without the proxy of -x.",
    "cacert": "There is no file here for --cacert: create the job with request.ca_cert.",
    "next": "One call per line: --next begins another.",
    "config": "There is no file here for -K: write the options themselves.",
}
_ALWAYS_SENT = frozenset({"host", "user-agent", "content-length", "transfer-encoding", "accept-encoding", "connection"})


def read_curl(words: list[Word], call: Call) -> None:
    """Take over what the words after `curl` say. Raises ReadError."""
    said = _Said(call)
    for option, value in _options(words):
        said.apply(option, value)
    said.end()


def _options(words: list[Word]) -> Iterator[tuple[str, str]]:
    """Each option by its long name, and its value; `url` for what is none."""
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
    for place, letter in enumerate(text[1:], start=2):
        name = _LONG_OF_SHORT.get(letter, letter)
        _refuse(name, f"-{letter}")
        if name in _TAKES_A_VALUE:
            yield name, text[place:] or _value(rest, name, f"-{letter}")
            return
        yield name, ""


def _refuse(name: str, written: str) -> None:
    if name in _REFUSED:
        raise ReadError(_REFUSED[name])
    if name not in _TAKES_A_VALUE | _CARRIED_FLAGS | _SILENT | _PRINTED:
        raise ReadError(f"curl's {written[:40]} is not understood here: what it does can't be carried over.")


def _value(rest: Iterator[Word], name: str, written: str) -> str:
    word = next(rest, None)
    if word is None:
        raise ReadError(f"curl's {written} needs a value.")
    return word.text if name in _PRINTED_WITH_VALUE and word.one else word.value


class _Said:
    """What the options say together, which is known at the end."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._data: list[tuple[bool, str]] = []  # whether it is set off by & from what is before, and the text
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
            case _ if option in _CARRIED_FLAGS:
                self._apply_flag(option)
            case "max-time" | "connect-timeout" | "retry" | "retry-delay":
                self._apply_policy(option, value)
            case "header":
                self._add_header(value)
            case "user-agent":
                self._agent = _given(value, "-A")
            case "referer":
                self._referer = _given(value, "-e")
            case "cookie":
                self._set_cookie(value)
            case _ if option in _CARRIED:
                self._add_data(option, value)
            case _ if option not in _SILENT:
                call.printed.append(f"--{option}")

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
                    raise ReadError("-m 0 is no limit: Hourhand waits at most 300 seconds, as -m 300 does.")
            case "connect-timeout":
                decimal(value, "--connect-timeout")
                call.note("--connect-timeout is not kept: request.timeout_seconds limits the whole call.")
            case "retry":
                call.retry["max_attempts"] = integer(value, "--retry") + 1
            case "retry-delay" if seconds := integer(value, "--retry-delay"):
                call.retry |= {"backoff": "fixed", "delay_ms": seconds * 1000}

    def _add_header(self, written: str) -> None:
        name, colon, value = written.partition(":")
        value = value.strip(" \t")
        if written.startswith("@"):
            raise ReadError("There is no file here for -H @: write the headers themselves.")
        if not colon and written.endswith(";") and ";" not in written[:-1]:
            self._call.add_header(written[:-1], "")
        elif not colon:
            raise ReadError("-H should be like 'Name: value'.")
        elif value:
            self._call.add_header(name, value)
        elif name.lower() in _ALWAYS_SENT:
            raise ReadError(f"The header {name} is always sent: leave out -H '{name}:'.")
        else:
            self._removed.add(name.lower())

    def _set_cookie(self, value: str) -> None:
        if "=" not in value:
            raise ReadError("There is no file here for -b: write the cookies themselves, as in -b 'name=value'.")
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
            raise ReadError("There is no file here for @: write the data itself after -d.")
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

    def end(self) -> None:
        """Bring together what depends on other options."""
        call = self._call
        if call.url is not None and not self._literal:
            refuse_globbing(call.url)
        if "max_attempts" not in call.retry:
            call.retry = {}  # as the others mean nothing alone
        if self._max_time is not None:
            call.limit(self._max_time)
        self._end_data()
        if self._head:
            call.method = call.method or "HEAD"
        self._end_headers()

    def _end_data(self) -> None:
        if not self._data:
            return
        if any(not text for _, text in self._data[:-1]):
            raise ReadError("Write all data after one -d: curls differ on one that is empty before others.")
        data = "".join(("&" if place and set_off else "") + text for place, (set_off, text) in enumerate(self._data))
        if self._json:
            self._default("Content-Type", "application/json")
            self._default("Accept", "application/json")
        if self._get:
            if self._call.url is not None:
                self._call.url = with_query(self._call.url, data)
            return
        if self._head or self._call.method == "HEAD":
            raise ReadError("HEAD carries no body: leave out -d, or -I and -X HEAD.")
        self._call.body = data
        self._default("Content-Type", FORM)

    def _end_headers(self) -> None:
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
        raise ReadError(f"curl sends a method as it is written: write -X {value.upper()[:20]}.")
    return value


def _given(value: str, option: str) -> str:
    if not value.strip(" \t") or value.endswith(";auto"):
        raise ReadError(
            f"curl's {option} {value[:40]!r} can't be carried over: write the header itself, or leave it out."
        )
    return value.strip(" \t")
