"""The table of IP addresses that are not public, with reasons. Pure.

`ipaddress.is_private` and `is_global` are both wrong for this: Python 3.11's `is_global` lets multicast, 192.0.0.192,
NAT64, 6to4, fec0::/10 and 3fff::/20 through. Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC
6890 and its successors), the IPv6 Global Unicast Address Assignments, and the multicast registries. IPv6 addresses with
an embedded IPv4 address are refused, whatever that address is.
"""

import enum
from bisect import bisect_right
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address


class AddressRefusal(enum.StrEnum):
    """Why a connection is refused. The values are stable, for logs and metrics."""

    UNSPECIFIED = "unspecified"
    THIS_NETWORK = "this_network"
    PRIVATE = "private"
    SHARED = "shared"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link_local"
    SITE_LOCAL = "site_local"
    PROTOCOL_ASSIGNMENT = "protocol_assignment"
    DOCUMENTATION = "documentation"
    BENCHMARKING = "benchmarking"
    MULTICAST = "multicast"
    BROADCAST = "broadcast"
    RESERVED = "reserved"
    DISCARD = "discard"
    CLOUD_PLATFORM = "cloud_platform"
    EMBEDDED_IPV4 = "embedded_ipv4"
    NOT_AN_ADDRESS = "not_an_address"
    PORT = "port"

    @property
    def description(self) -> str:
        """A noun phrase that completes "it is ..."."""
        return _DESCRIPTIONS[self]


_DESCRIPTIONS = {
    AddressRefusal.UNSPECIFIED: "the unspecified address",
    AddressRefusal.THIS_NETWORK: "an address of the local network (0.0.0.0/8)",
    AddressRefusal.PRIVATE: "a private address",
    AddressRefusal.SHARED: "a carrier-grade NAT address (100.64.0.0/10)",
    AddressRefusal.LOOPBACK: "a loopback address",
    AddressRefusal.LINK_LOCAL: "a link-local address",
    AddressRefusal.SITE_LOCAL: "a site-local address (fec0::/10)",
    AddressRefusal.PROTOCOL_ASSIGNMENT: "an address assigned to a network protocol",
    AddressRefusal.DOCUMENTATION: "a documentation address",
    AddressRefusal.BENCHMARKING: "a benchmarking address",
    AddressRefusal.MULTICAST: "a multicast address",
    AddressRefusal.BROADCAST: "the broadcast address",
    AddressRefusal.RESERVED: "a reserved address",
    AddressRefusal.DISCARD: "a discard-only address",
    AddressRefusal.CLOUD_PLATFORM: "a cloud platform's internal address",
    AddressRefusal.EMBEDDED_IPV4: "an IPv6 address with an IPv4 address inside",
    AddressRefusal.NOT_AN_ADDRESS: "not an IP address",
    AddressRefusal.PORT: "a port that is not allowed",
}

#: Every IPv4 range that is not an ordinary public destination. The narrowest range wins.
IPV4_RANGES: tuple[tuple[str, AddressRefusal], ...] = (
    ("0.0.0.0/8", AddressRefusal.THIS_NETWORK),  # RFC 791
    ("0.0.0.0/32", AddressRefusal.UNSPECIFIED),  # RFC 1122
    ("10.0.0.0/8", AddressRefusal.PRIVATE),  # RFC 1918
    ("100.64.0.0/10", AddressRefusal.SHARED),  # RFC 6598; some clouds keep their metadata service in it
    ("127.0.0.0/8", AddressRefusal.LOOPBACK),  # RFC 1122
    (
        "168.63.129.16/32",
        AddressRefusal.CLOUD_PLATFORM,
    ),  # Azure's host agent: public by number, reachable only from inside
    ("169.254.0.0/16", AddressRefusal.LINK_LOCAL),  # RFC 3927; 169.254.169.254 is the metadata service of most clouds
    ("172.16.0.0/12", AddressRefusal.PRIVATE),  # RFC 1918
    ("192.0.0.0/24", AddressRefusal.PROTOCOL_ASSIGNMENT),  # RFC 6890; 192.0.0.192 is Oracle's metadata service
    ("192.0.2.0/24", AddressRefusal.DOCUMENTATION),  # RFC 5737
    ("192.31.196.0/24", AddressRefusal.PROTOCOL_ASSIGNMENT),  # AS112, RFC 7535
    ("192.52.193.0/24", AddressRefusal.PROTOCOL_ASSIGNMENT),  # AMT, RFC 7450
    ("192.88.99.0/24", AddressRefusal.PROTOCOL_ASSIGNMENT),  # 6to4 relays, RFC 7526
    ("192.168.0.0/16", AddressRefusal.PRIVATE),  # RFC 1918
    ("192.175.48.0/24", AddressRefusal.PROTOCOL_ASSIGNMENT),  # AS112, RFC 7534
    ("198.18.0.0/15", AddressRefusal.BENCHMARKING),  # RFC 2544
    ("198.51.100.0/24", AddressRefusal.DOCUMENTATION),  # RFC 5737
    ("203.0.113.0/24", AddressRefusal.DOCUMENTATION),  # RFC 5737
    ("224.0.0.0/4", AddressRefusal.MULTICAST),  # RFC 5771
    ("240.0.0.0/4", AddressRefusal.RESERVED),  # RFC 1112
    ("255.255.255.255/32", AddressRefusal.BROADCAST),  # RFC 919
)

#: Every IPv6 range that is not an ordinary public destination: all outside 2000::/3, and the exceptions inside it.
IPV6_RANGES: tuple[tuple[str, AddressRefusal], ...] = (
    ("::/3", AddressRefusal.RESERVED),  # RFC 4291: except the narrower ranges below
    ("::/96", AddressRefusal.EMBEDDED_IPV4),  # IPv4-compatible, RFC 4291
    ("::/128", AddressRefusal.UNSPECIFIED),  # RFC 4291
    ("::1/128", AddressRefusal.LOOPBACK),  # RFC 4291
    ("::ffff:0:0/96", AddressRefusal.EMBEDDED_IPV4),  # IPv4-mapped, RFC 4291
    ("::ffff:0:0:0/96", AddressRefusal.EMBEDDED_IPV4),  # IPv4-translated, RFC 2765
    ("64:ff9b::/96", AddressRefusal.EMBEDDED_IPV4),  # NAT64, RFC 6052
    ("64:ff9b:1::/48", AddressRefusal.EMBEDDED_IPV4),  # local-use NAT64, RFC 8215
    ("100::/64", AddressRefusal.DISCARD),  # RFC 6666
    ("100:0:0:1::/64", AddressRefusal.DISCARD),  # RFC 9780
    (
        "2001::/23",
        AddressRefusal.PROTOCOL_ASSIGNMENT,
    ),  # RFC 2928, with ORCHID (RFC 4843, 7343), AMT and PCP anycast inside
    ("2001::/32", AddressRefusal.EMBEDDED_IPV4),  # Teredo, RFC 4380
    ("2001:2::/48", AddressRefusal.BENCHMARKING),  # RFC 5180
    ("2001:db8::/32", AddressRefusal.DOCUMENTATION),  # RFC 3849
    ("2002::/16", AddressRefusal.EMBEDDED_IPV4),  # 6to4, RFC 3056
    ("2620:4f:8000::/48", AddressRefusal.PROTOCOL_ASSIGNMENT),  # AS112, RFC 7534
    ("3ffe::/16", AddressRefusal.RESERVED),  # the 6bone, returned: RFC 3701
    ("3fff::/20", AddressRefusal.DOCUMENTATION),  # RFC 9637
    ("4000::/2", AddressRefusal.RESERVED),  # RFC 4291, with SRv6 segment identifiers (5f00::/16, RFC 9602) inside
    ("8000::/1", AddressRefusal.RESERVED),  # RFC 4291: except the narrower ranges below
    ("fc00::/7", AddressRefusal.PRIVATE),  # unique local, RFC 4193; fd00:ec2::254 is a metadata service
    ("fe80::/10", AddressRefusal.LINK_LOCAL),  # RFC 4291
    ("fec0::/10", AddressRefusal.SITE_LOCAL),  # RFC 3879
    ("ff00::/8", AddressRefusal.MULTICAST),  # RFC 4291
)


class _Table:
    """The ranges of one IP version as disjoint pieces, so that a lookup is one bisection."""

    def __init__(self, ranges: tuple[tuple[str, AddressRefusal], ...]) -> None:
        networks = [(ip_network(cidr), refusal) for cidr, refusal in ranges]
        edges = {0}
        for network, _ in networks:
            edges |= {int(network.network_address), int(network.broadcast_address) + 1}
        self._starts = sorted(edges)
        self._refusals = [_narrowest(start, networks) for start in self._starts]

    def __getitem__(self, number: int) -> AddressRefusal | None:
        return self._refusals[bisect_right(self._starts, number) - 1]


def _narrowest(number: int, networks: list[tuple[IPv4Network | IPv6Network, AddressRefusal]]) -> AddressRefusal | None:
    around = [
        (network.prefixlen, refusal)
        for network, refusal in networks
        if int(network.network_address) <= number <= int(network.broadcast_address)
    ]
    return max(around)[1] if around else None


_IPV4 = _Table(IPV4_RANGES)
_IPV6 = _Table(IPV6_RANGES)


def classify(ip: str | Address) -> AddressRefusal | None:
    """Return why `ip` is not a public address, or None. Text that is not an address, and zone ids, are refused."""
    if isinstance(ip, str):
        try:
            ip = ip_address(ip)
        except ValueError:
            return AddressRefusal.NOT_AN_ADDRESS
    if isinstance(ip, IPv4Address):
        return _IPV4[int(ip)]
    if ip.scope_id is not None:
        return _IPV6[int(ip)] or AddressRefusal.LINK_LOCAL
    return _IPV6[int(ip)]
