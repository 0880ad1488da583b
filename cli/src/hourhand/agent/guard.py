"""Which addresses the agent may call: its owner's allow-list, and the strict reading of URLs. Pure.

Nothing is allowed unless listed. A listed network allows its addresses under any name. A listed host name may resolve
to any address except those that only a listed network can allow: a name is controlled by others, who could point it at
this machine or at a cloud's metadata service.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL_LENGTH = 2048
_MAX_HOST_LENGTH, _MAX_PORT = 253, 65_535
_DEFAULT_PORTS = {"http": 80, "https": 443}
_WITHOUT_PORT = frozenset(_DEFAULT_PORTS.values())

#: Addresses that no host name is allowed to resolve to, unless a listed network holds them.
_BY_NETWORK_ONLY: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(text), description)
    for text, description in (
        ("0.0.0.0/8", "an address of this machine"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),  # with the metadata service of most clouds
        ("100.100.100.200/32", "a cloud's metadata service"),
        ("168.63.129.16/32", "a cloud's metadata service"),
        ("192.0.0.0/24", "an address assigned to a network protocol"),  # with a metadata service
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/96", "an address of this machine"),
        ("::ffff:0:0/96", "an IPv6 address with an IPv4 address inside"),
        ("::ffff:0:0:0/96", "an IPv6 address with an IPv4 address inside"),
        ("64:ff9b::/96", "an IPv6 address with an IPv4 address inside"),
        ("64:ff9b:1::/48", "an IPv6 address with an IPv4 address inside"),
        ("2001::/32", "an IPv6 address with an IPv4 address inside"),
        ("2002::/16", "an IPv6 address with an IPv4 address inside"),
        ("fd00:ec2::254/128", "a cloud's metadata service"),
        ("fe80::/10", "a link-local address"),
        ("ff00::/8", "a multicast address"),
    )
)

_SPLIT = re.compile(
    r"""(?P<scheme>https?)://
        (?:\[(?P<ipv6>[0-9a-f:.]+)\] | (?P<name>[^\[\]/?\#:@]+))
        (?::(?P<port>[1-9][0-9]{0,4}))?
        (?P<rest>[/?\#].*)?""",
    re.VERBOSE | re.IGNORECASE,
)
_UNSAFE = re.compile(r"[^\x21-\x5b\x5d-\x7e]")  # everything except printable ASCII, and the backslash
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_ENTRY = re.compile(r"(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<plain>[^:\[\]]+))(?::(?P<port>\*|[0-9]{1,5}))?")


class InvalidUrlError(ValueError):
    """The agent can't call this URL; the message says why."""


@dataclass(frozen=True)
class HttpTarget:
    """A parsed URL.

    `host` is in lower case, without a trailing dot or brackets. `name` is what to resolve. `address` is set for a
    literal. `path` is the target of the request line, exactly as in the URL.
    """

    scheme: str
    host: str
    name: str
    port: int
    path: str
    address: Address | None = None


@dataclass(frozen=True)
class AllowedTarget:
    """One entry of the list: a network or a host name, and the ports; None is all."""

    network: Network | None
    host: str | None
    ports: frozenset[int] | None

    def has_port(self, port: int) -> bool:
        return self.ports is None or port in self.ports


@dataclass(frozen=True)
class HttpRules:
    """The allow-list of `[http]`. `texts` are its entries as written."""

    texts: tuple[str, ...] = ()
    targets: tuple[AllowedTarget, ...] = ()

    @classmethod
    def parse(cls, texts: tuple[str, ...]) -> "HttpRules":
        """Parse entries such as `10.0.0.0/8`, `10.1.2.3:8080`, `[fd00::/8]:*` and `intranet.example:8443`.

        Without a port, 80 and 443 are allowed; `*` is all. Raises ValueError that says what is right.
        """
        return cls(texts, tuple(map(_allowed_target, texts)))

    def target_refusal(self, target: HttpTarget) -> str | None:
        """Return why `target` is refused before its name is resolved, or None if an address of it may be allowed."""
        entries = [entry for entry in self.targets if entry.host in {None, target.host}]
        if not entries:
            return f"blocked: the agent's [http] allow does not list {target.host}"
        if not any(entry.has_port(target.port) for entry in entries):
            return f"blocked: the agent's [http] allow has no port {target.port} for {target.host}"
        return self.address_refusal(target, target.address) if target.address is not None else None

    def address_refusal(self, target: HttpTarget, address: Address) -> str | None:
        """Return why a connection to `address`, one of `target`, is refused, or None. To be asked as it is dialled."""
        entries = [entry for entry in self.targets if entry.has_port(target.port)]
        if any(entry.network is not None and address in entry.network for entry in entries):
            return None
        where = target.host if address == target.address else f"{target.host} resolves to {address}, which"
        if all(entry.host != target.host for entry in entries):
            verb = "is not listed" if address == target.address else "is not in a network"
            return f"blocked: {where} {verb} of the agent's [http] allow with port {target.port}"
        for network, description in _BY_NETWORK_ONLY:
            if address in network:
                return f"blocked: {where} is {description}: only a network in the agent's [http] allow can allow it"
        return None


def parse_url(url: str) -> HttpTarget:
    """Parse an http or https URL. Whatever another parser might read differently is refused. Raises InvalidUrlError."""
    _refuse_characters(url)
    split = _SPLIT.fullmatch(url)
    if split is None:
        raise InvalidUrlError("The URL must be http:// or https://, a host, and no user name or password.")
    scheme = split["scheme"].lower()
    port = int(split["port"]) if split["port"] else _DEFAULT_PORTS[scheme]
    if port > _MAX_PORT:
        raise InvalidUrlError(f"The port {port} is too high: the highest is {_MAX_PORT}.")
    path = (split["rest"] or "").partition("#")[0]
    path = path if path.startswith("/") else f"/{path}"
    if split["ipv6"] is not None:
        try:
            address = IPv6Address(split["ipv6"])
        except ValueError:
            raise InvalidUrlError("The URL's host is not a valid IPv6 address in brackets.") from None
        return HttpTarget(scheme, str(address), str(address), port, path, address)
    name = split["name"].lower()
    literal = _host_or_address(name)
    host = name.removesuffix(".")
    return HttpTarget(scheme, host, name, port, path, literal)


def _refuse_characters(url: str) -> None:
    if len(url) > MAX_URL_LENGTH:
        raise InvalidUrlError(f"The URL has {len(url)} characters; at most {MAX_URL_LENGTH} are allowed.")
    unsafe = _UNSAFE.search(url)
    if unsafe is not None:
        raise InvalidUrlError(f"The URL has the character {unsafe[0]!r}, which must be percent-encoded.")


def _host_or_address(name: str) -> IPv4Address | None:
    """Return the address of a dotted quad, None for a host name. Raises InvalidUrlError for anything else."""
    host = name.removesuffix(".")
    labels = host.split(".")
    if len(host) > _MAX_HOST_LENGTH or not all(map(_LABEL.fullmatch, labels)):
        raise InvalidUrlError(f"{name[:80]!r} is not a valid host name.")
    if not _NUMERIC_LABEL.fullmatch(labels[-1]):
        return None
    try:
        return IPv4Address(name)  # four decimal numbers without leading zeros, and no trailing dot
    except ValueError:
        raise InvalidUrlError(f"{name[:80]!r} ends in a number but is not an IPv4 address.") from None


def _allowed_target(text: str) -> AllowedTarget:
    network = _network(text)  # an IPv6 address or network may be written without brackets if it has no port
    if network is not None:
        return AllowedTarget(network, None, _WITHOUT_PORT)
    match = _ENTRY.fullmatch(text)
    if match is None:
        raise ValueError(_wrong(text))
    place = match["bracketed"] or match["plain"]
    ports = _ports(match["port"], text)
    network = _network(place)
    if network is not None:
        return AllowedTarget(network, None, ports)
    try:
        if "/" in place or match["bracketed"] or _host_or_address(place.lower()) is not None:
            raise ValueError(place)
    except ValueError:
        raise ValueError(_wrong(text)) from None
    return AllowedTarget(None, place.lower().removesuffix("."), ports)


def _ports(text: str | None, entry: str) -> frozenset[int] | None:
    if text is None:
        return _WITHOUT_PORT
    if text == "*":
        return None
    if not 0 < int(text) <= _MAX_PORT:
        raise ValueError(f"{entry!r}: a port is a number from 1 to {_MAX_PORT}, or * for all.")
    return frozenset({int(text)})


def _network(text: str) -> Network | None:
    """Return a network or a single address; None if it is neither. Raises ValueError for bits beyond the prefix."""
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        wider = ip_network(text, strict=False)
    except ValueError:
        return None
    raise ValueError(f"{text!r} has bits set beyond its prefix; write {wider} for the network.")


def _wrong(text: str) -> str:
    return (
        f"{text!r} is neither a network such as 10.0.0.0/8, an address, nor a host name such as intranet.example "
        "(no wildcards), each with or without a port such as :8080 or :*; IPv6 with a port is written [fd00::/8]:8080."
    )


def address_of(text: str) -> Address:
    """Return the address that a resolver answered. Raises ValueError."""
    return ip_address(text)
