"""The HTTP call of a command, built option by option. What Hourhand would do differently is refused."""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from jobs.definition.headers import is_name
from jobs.imports.items import ReadError

FORM = "application/x-www-form-urlencoded"
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_WITHOUT_SCHEME = re.compile(
    r"(?!https?[:/])(?P<host>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?(?:[/?].*)?", re.IGNORECASE | re.DOTALL
)
_OTHER_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
#: curl guesses the protocol from these prefixes.
_PROTOCOL_PREFIXES = ("ftp.", "dict.", "ldap.", "imap.", "smtp.", "pop3.")
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?=[/?#]|$)", re.IGNORECASE)
_UNSAFE = re.compile(r"[^!-\[\]-~]")
_IN_GLOB = re.compile(r"[\[\]{}]")
_IPV6_HOST = re.compile(r"https?://\[[0-9A-Fa-f:.]+\]", re.IGNORECASE)
_DECIMAL = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_INTEGER = re.compile(r"[0-9]{1,9}")
_SECRET = re.compile(r"\{\{\s*secrets\.[A-Z][A-Z0-9_]{0,63}\s*\}\}")
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie"})


@dataclass(slots=True)
class Call:
    """A call under construction. `output_options` only affect what the command prints or saves."""

    url: str | None = None
    method: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    timeout_seconds: float | None = None
    tls_verify: bool = True
    retry: dict[str, Any] = field(default_factory=dict)
    overlap: str | None = None
    lock: str | None = None
    delay_seconds: int = 0
    output_options: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: The command's standard input, and whether an option reads it.
    stdin: str | None = None
    stdin_read: bool = False
    null_input: bool = False

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def set_url(self, written: str) -> None:
        """Set the URL. Raises ReadError for a second one, and for one that a client would change."""
        if self.url is not None:
            raise ReadError("The command has two URLs: write one command per URL.")
        if not _SCHEME.match(written):
            host = _WITHOUT_SCHEME.fullmatch(written)
            if host is None or _OTHER_SCHEME.match(written) or host["host"].lower().startswith(_PROTOCOL_PREFIXES):
                raise ReadError("The URL should start with http:// or https://.")
            written = f"http://{written}"
        if _UNSAFE.search(written):
            raise ReadError("The URL has a space, a backslash or a non-ASCII character: percent-encode it.")
        if _DOT_SEGMENT.search(re.split(r"[?#]", written, maxsplit=1)[0]):
            raise ReadError("The URL's path should have no . or .. as a segment.")
        self.url = written

    def add_header(self, name: str, value: str) -> None:
        if not is_name(name):
            raise ReadError(f"{name[:80]!r} is not a valid header name.")
        if any(name.lower() == given.lower() for given in self.headers):
            raise ReadError(f"The header {name[:80]} is given twice: Hourhand sends each header once.")
        self.headers[name] = value

    def header(self, name: str) -> str | None:
        return next((value for given, value in self.headers.items() if given.lower() == name.lower()), None)

    def default_header(self, name: str, value: str) -> None:
        if self.header(name) is None:
            self.headers[name] = value

    def limit(self, seconds: float) -> None:
        """Lower the timeout to `seconds`."""
        shortest = seconds if self.timeout_seconds is None else min(seconds, self.timeout_seconds)
        self.timeout_seconds = int(shortest) if float(shortest).is_integer() else shortest

    def read_stdin(self, option: str) -> str:
        if self.null_input:
            return ""
        if self.stdin is None:
            raise ReadError(f"{option} has no input to read: write the data itself.")
        self.stdin_read = True
        return self.stdin

    def definition(self) -> dict[str, Any]:
        """Return the fields of a job object for this call. Raises ReadError."""
        if self.url is None:
            raise ReadError("The command has no URL.")
        if self.stdin is not None and not self.stdin_read:
            raise ReadError("The text after % is the command's input, which only curl -d @- reads.")
        request: dict[str, Any] = {"url": self.url, "method": self.method or ("GET" if self.body is None else "POST")}
        if self.headers:
            request["headers"] = self.headers
        if self.body is not None:
            request["body"] = self.body
        if self.timeout_seconds is not None:
            request["timeout_seconds"] = self.timeout_seconds
        if not self.tls_verify:
            request["tls_verify"] = False
        self._refuse_variables()
        fields: dict[str, Any] = {"request": request}
        if self.overlap:
            fields["overlap"] = self.overlap
        if self.retry:
            fields["retry"] = self.retry
        return fields

    def _refuse_variables(self) -> None:
        """Refuse {{, which the command sends as it is and Hourhand reads as a variable; except for secrets."""
        for text in (self.url or "", self.body or "", *self.headers.values()):
            if "{{" in _SECRET.sub("", text):
                raise ReadError(
                    "{{ starts a variable in Hourhand, but the command sends it as text: only use {{secrets.NAME}}."
                )

    def all_notes(self) -> tuple[str, ...]:
        notes = list(self.notes)
        if self.output_options:
            names = ", ".join(dict.fromkeys(self.output_options))
            notes.append(f"Left out, since it only affects what is printed or saved: {names}. See the history instead.")
        if plain := [name for name in self.headers if name.lower() in _CREDENTIALS and "{{" not in self.headers[name]]:
            notes.append(f"{', '.join(plain)} is stored in the job as plain text: use a secret, {{{{secrets.NAME}}}}.")
        return tuple(notes)


def refuse_globbing(url: str) -> None:
    """Refuse a URL that curl expands to several."""
    if _IN_GLOB.search(_IPV6_HOST.sub("", url)):
        raise ReadError(
            "curl expands [1-3] and {a,b} in a URL to several calls: write one command per call, or add -g."
        )


def is_url(word: str) -> bool:
    return _SCHEME.match(word) is not None


def decimal(written: str, option: str) -> float:
    """Read a number as curl and wget do. Raises ReadError."""
    if not _DECIMAL.fullmatch(written):
        raise ReadError(f"{option} should be followed by a number, such as 30.")
    return float(written) if "." in written else int(written)


def integer(written: str, option: str) -> int:
    if not _INTEGER.fullmatch(written):
        raise ReadError(f"{option} should be followed by a whole number, such as 3.")
    return int(written)


def with_query(url: str, more: str) -> str:
    """Add to a URL's query. Raises ReadError for ambiguous cases."""
    if not more or "#" in url or re.search(r"[^!-~]|[#\"<>\\^`{|}\[\]]", more):
        raise ReadError("Write the whole URL, with its query percent-encoded, instead of -G.")
    query = urlsplit(url).query
    if url.endswith("?") or (query and query.endswith("&")):
        raise ReadError("Write the whole URL, with its query, instead of -G.")
    if not urlsplit(url).path and not query:
        url += "/"
    return f"{url}{'&' if query else '?'}{more}"
