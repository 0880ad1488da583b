"""Whose address a request came from. `X-Forwarded-For` counts only as far as the operator's own proxies wrote it."""

import ipaddress
from collections.abc import Mapping

_IPV6_NETWORK_BITS = 64  # what one customer of a provider has all of


def client_address(meta: Mapping[str, str], *, trusted_proxies: int) -> str:
    """The address to count a request under; an IPv6 one as its /64 network.

    Each proxy appends whom it was called by, so the last `trusted_proxies` entries are true, and whatever stands before
    them is the caller's own invention.
    """
    peer = meta.get("REMOTE_ADDR", "")
    if trusted_proxies:
        forwarded = [part.strip() for part in meta.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
        peer = forwarded[-trusted_proxies:][0] if forwarded else peer
    try:
        address = ipaddress.ip_address(peer.strip("[]"))
    except ValueError:
        return "unknown"  # a unix socket names no peer
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), _IPV6_NETWORK_BITS), strict=False))
