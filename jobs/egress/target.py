"""The strict parser of URLs that Hourhand may call. Pure.

Attackers bypass SSRF guards by URLs that two parsers read differently, so whatever another parser (libcurl's, a
browser's, Python's) might read differently is refused: RFC 3986 without user information, backslashes, spaces, control
characters, percent-encoded or non-ASCII hosts, zone ids, or numbers that some resolvers read as an IPv4 address.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

MAX_URL_LENGTH = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_PORT = 65_535
MAX_HOST_LENGTH = 253

_SPLIT = re.compile(
    r"""(?P<scheme>https?)://
        (?:\[(?P<ipv6>[^\[\]/?\#]*)\] | (?P<name>[^\[\]/?\#:@]+))
        (?::(?P<port>[1-9][0-9]{0,4}))?
        (?P<rest>[/?\#].*)?""",
    re.VERBOSE | re.IGNORECASE,
)
_UNSAFE = re.compile(r"[^\x21-\x5b\x5d-\x7e]")  # everything except printable ASCII, and the backslash
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_IPV6_TEXT = re.compile(r"[0-9a-f:.]+")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")


class InvalidUrl(ValueError):  # noqa: N818 - the name of the failure reason
    """Hourhand can't call this URL; the text says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL. `host` is in lower case, without a trailing dot or brackets; `address` is set if it is a literal.

    `rooted`: the URL has the trailing dot, which stops resolvers from trying search domains.
    """

    scheme: str
    host: str
    port: int
    address: IPv4Address | IPv6Address | None
    rooted: bool = False

    @property
    def name(self) -> str:
        """The host to resolve."""
        return f"{self.host}." if self.rooted else self.host

    @property
    def origin(self) -> str:
        """`scheme://host:port`, always with the port, IPv6 in brackets."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_target(url: str) -> Target:
    """Parse an http or https URL. Raises InvalidUrl, saying what is wrong."""
    _refuse_characters(url)
    split = _SPLIT.fullmatch(url)
    if split is None:
        raise InvalidUrl(_problem(url))
    scheme = split["scheme"].lower()
    port = int(split["port"]) if split["port"] else DEFAULT_PORTS[scheme]
    if port > MAX_PORT:
        raise InvalidUrl(f"The port {port} is too high: the highest is {MAX_PORT}.")
    if split["ipv6"] is not None:
        address = _ipv6(split["ipv6"])
        return Target(scheme, str(address), port, address)
    return _target(scheme, split["name"].lower(), port)


def parse_host(text: str) -> str:
    """Normalize a host name as in `Target.host`. Raises InvalidUrl, also for a literal address."""
    target = _target("http", text.lower(), 80)
    if target.address is not None:
        raise InvalidUrl(f"{text!r} is an address, not a host name.")
    return target.host


def _refuse_characters(url: str) -> None:
    if not url:
        raise InvalidUrl("The URL is empty.")
    if len(url) > MAX_URL_LENGTH:
        raise InvalidUrl(f"The URL has {len(url)} characters; at most {MAX_URL_LENGTH} are allowed.")
    unsafe = _UNSAFE.search(url)
    if unsafe is None:
        return
    character = unsafe[0]
    if character == "\\":
        raise InvalidUrl("The URL has a backslash.")
    if not character.isascii():
        raise InvalidUrl(f"The URL has {character!r}: write a host name in its xn-- form, and percent-encode others.")
    raise InvalidUrl(f"The URL has a space or control character ({character!r}); percent-encode it.")


def _problem(url: str) -> str:
    """Say why a URL does not split into scheme, host, port and path."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "The URL must start with http:// or https://."
    if scheme.lower() not in DEFAULT_PORTS:
        return f"The scheme {scheme[:20]!r} is not supported; use http or https."
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if not authority:
        return "The URL has no host."
    if "@" in authority:
        return "The URL has a user name or password; send an Authorization header instead."
    if authority.startswith("[") or authority.count(":") > 1:
        return "The URL's host is not a valid IPv6 address in brackets."
    if ":" in authority:
        return "The URL's port is not a number from 1 to 65535."
    return "The URL's host is not a valid host name."


def _ipv6(text: str) -> IPv6Address:
    if "%" in text:
        raise InvalidUrl("The URL's IPv6 address has a zone id.")
    try:
        if not _IPV6_TEXT.fullmatch(text.lower()):
            raise ValueError(text)
        return IPv6Address(text)
    except ValueError:
        raise InvalidUrl("The URL's host is not a valid IPv6 address in brackets.") from None


def _target(scheme: str, name: str, port: int) -> Target:
    """Return the target of a host name or dotted quad."""
    host = name.removesuffix(".")
    labels = host.split(".")
    if len(host) > MAX_HOST_LENGTH or not all(map(_LABEL.fullmatch, labels)):
        raise InvalidUrl(f"The URL's host {name[:80]!r} is not a valid host name.")
    if not _NUMERIC_LABEL.fullmatch(labels[-1]):
        return Target(scheme, host, port, None, rooted=host != name)
    try:
        address = IPv4Address(name)  # four decimal numbers without leading zeros, and no trailing dot
    except ValueError:
        raise InvalidUrl(
            f"The URL's host {name[:80]!r} ends in a number but is not an IPv4 address of four decimal numbers."
        ) from None
    return Target(scheme, host, port, address)
