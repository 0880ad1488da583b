"""What jobs may call though it is not public, in words, and where that is wider than anybody means. Pure."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from jobs.egress import EgressPolicy
from jobs.egress.policy import Network
from ops.doctor.findings import Finding, ok, warning

#: Where clouds give credentials to whoever asks from inside.
METADATA = tuple(
    map(ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"))
)
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_WIDEST = {4: 8, 6: 16}


def outbound(policy: EgressPolicy) -> Iterator[Finding]:
    """What is allowed, then each exception that reaches further than it should."""
    yield ok("outbound", f"Jobs may call {_allowed(policy)}.")
    wide = [str(network) for network in policy.networks if network.prefixlen < _WIDEST[network.version]]
    if wide:
        yield _too_wide(f"{', '.join(wide)}, which is very wide.", "Name the networks that jobs have to reach.")
    if _reaching(policy, METADATA):
        yield _too_wide(
            f"{_reaching(policy, METADATA)}, where clouds hand out credentials to whoever asks.",
            "Name smaller networks, or the hosts.",
        )
    if any(_overlap(network, loopback) for network in policy.networks for loopback in _LOOPBACK):
        yield _too_wide(
            "the worker's own host (loopback), where services may listen that trust everybody there.",
            "Leave loopback out, but for trying things out.",
        )
    if policy.ports is None:
        yield warning(
            "outbound",
            "HOURHAND_OUTBOUND_PORTS is *: jobs may speak to mail servers and databases too.",
            "Name the ports that your endpoints listen on.",
        )


def _allowed(policy: EgressPolicy) -> str:
    ports = "any port" if policy.ports is None else f"ports {', '.join(map(str, sorted(policy.ports)))}"
    exceptions = [*map(str, policy.networks), *sorted(policy.hosts)]
    also = f", and besides {', '.join(exceptions)}" if exceptions else " only"
    return f"public addresses on {ports}{also}"


def _too_wide(what: str, advice: str) -> Finding:
    return warning("outbound", f"HOURHAND_OUTBOUND_ALLOW includes {what}", advice)


def _reaching(policy: EgressPolicy, addresses: tuple[object, ...]) -> str:
    return ", ".join(str(one) for one in addresses if any(one in network for network in policy.networks))


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)
