"""The client's address of a request. `X-Forwarded-For` counts only as far as the operator's own proxies wrote it."""

import ipaddress
from collections.abc import Mapping

_IPV6_NETWORK_BITS = 64  # providers give a customer a whole /64


def client_address(meta: Mapping[str, str], *, trusted_proxies: int) -> str:
    """The address to count a request under; of IPv6 the /64 network; `unknown` without an address.

    Each proxy appends the address of its client, so the last `trusted_proxies` entries are true, and the caller may
    have made up all before them.
    """
    peer = meta.get("REMOTE_ADDR", "")
    if trusted_proxies:
        forwarded = [part.strip() for part in meta.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
        peer = forwarded[-trusted_proxies:][0] if forwarded else peer
    try:
        address = ipaddress.ip_address(peer.strip("[]"))
    except ValueError:
        return "unknown"  # a unix socket has no peer address
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), _IPV6_NETWORK_BITS), strict=False))
