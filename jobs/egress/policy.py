"""The operator's policy: public addresses, and exceptions by setting. Pure."""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from jobs.egress.addresses import Address, AddressRefusal, classify
from jobs.egress.target import MAX_PORT, InvalidUrl, Target, parse_host

Network = IPv4Network | IPv6Network
DEFAULT_PORTS = frozenset({80, 443})


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """The operator's exceptions to "public addresses on ports 80 and 443 only".

    `networks`: any host may resolve into them. `hosts`: these names may resolve to any address. `ports`: None is all.
    """

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = field(default_factory=frozenset)
    ports: frozenset[int] | None = DEFAULT_PORTS

    @classmethod
    def parse(cls, allow: str, ports: str) -> "EgressPolicy":
        """Parse HOURHAND_OUTBOUND_ALLOW and HOURHAND_OUTBOUND_PORTS. Raises ValueError that says what is right."""
        networks: list[Network] = []
        hosts: set[str] = set()
        for entry in _entries(allow):
            network = _network(entry)
            if network is None:
                hosts.add(_host(entry))
            else:
                networks.append(network)
        return cls(tuple(networks), frozenset(hosts), _ports(ports))

    def check_target(self, target: Target) -> AddressRefusal | None:
        """Return why `target` is refused before its name is resolved: its port, or the literal address in its URL."""
        if self.ports is not None and target.port not in self.ports:
            return AddressRefusal.PORT
        if target.address is not None:
            return self.refusal(target.address, target.host)
        return None

    def refusal(self, ip: str | Address, host: str) -> AddressRefusal | None:
        """Return why a connection to `ip`, an address of `host`, is refused. Called at connect time."""
        if host in self.hosts:
            return None
        refusal = classify(ip)
        if refusal is None or refusal is AddressRefusal.NOT_AN_ADDRESS:
            return refusal
        address = ip_address(ip) if isinstance(ip, str) else ip
        if any(address in network for network in self.networks):
            return None
        return refusal


def _entries(text: str) -> list[str]:
    return [entry for entry in re.split(r"[,\s]+", text) if entry]


def _network(entry: str) -> Network | None:
    """Parse a network; None if the entry looks like a host name instead."""
    try:
        return ip_network(entry)
    except ValueError:
        pass
    address, slash, _ = entry.partition("/")
    if not slash and ":" not in entry:
        return None
    try:
        wider = ip_network(entry, strict=False)
    except ValueError:
        if slash and isinstance(_address(address), IPv4Address | IPv6Address):
            raise ValueError(f"{entry!r} has no valid prefix length; write a network such as 10.0.0.0/8.") from None
        raise ValueError(
            f"{entry!r} is neither an address, a network such as 10.0.0.0/8, nor a host name such as app.internal "
            "(without scheme, port or path)."
        ) from None
    raise ValueError(f"{entry!r} has bits set beyond its prefix; write {wider} for the network.")


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _host(entry: str) -> str:
    try:
        return parse_host(entry)
    except InvalidUrl:
        raise ValueError(
            f"{entry!r} is neither an address, a network such as 10.0.0.0/8, nor a host name such as app.internal "
            "(no wildcards)."
        ) from None


def _ports(text: str) -> frozenset[int] | None:
    entries = _entries(text)
    if entries == ["*"]:
        return None
    wrong = [entry for entry in entries if not (entry.isascii() and entry.isdigit() and 0 < int(entry) <= MAX_PORT)]
    if wrong or not entries:
        entry = repr(wrong[0]) if wrong else "an empty list"
        raise ValueError(f"{entry} is not valid; write ports from 1 to {MAX_PORT} such as 80,443, or * for all.")
    return frozenset(map(int, entries))
