"""System check of what jobs may call besides public addresses: exceptions that are wider than necessary."""

from ipaddress import ip_address, ip_network
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004 - Django's name

from jobs.egress import EgressPolicy
from jobs.egress.policy import Network
from ops.checks.tag import TAG

#: Where clouds hand out credentials to any process inside.
METADATA = tuple(
    map(ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"))
)
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
#: Shorter prefixes, by IP version, count as very wide.
_MIN_PREFIX = {4: 8, 6: 16}


@register(TAG, Tags.security, deploy=True)
def outbound(**_: Any) -> list[CheckMessage]:
    policy: EgressPolicy = settings.OUTBOUND_POLICY
    messages = []
    wide = [str(network) for network in policy.networks if network.prefixlen < _MIN_PREFIX[network.version]]
    if wide:
        messages.append(_too_wide(f"{', '.join(wide)}, which is very wide.", "Name the networks that jobs call."))
    if metadata := _reachable(policy, METADATA):
        messages.append(
            _too_wide(
                f"{metadata}, where clouds hand out credentials to any process inside.",
                "Name smaller networks, or the hosts.",
            )
        )
    if any(_overlap(network, loopback) for network in policy.networks for loopback in _LOOPBACK):
        messages.append(
            _too_wide(
                "loopback, the worker's own host, where services may trust every local caller.",
                "Remove loopback, except for trying Hourhand out.",
            )
        )
    if policy.ports is None:
        messages.append(
            Warning(
                "HOURHAND_OUTBOUND_PORTS is *: jobs may also connect to mail servers and databases.",
                hint="Name the ports that your endpoints listen on.",
                id="hourhand.outbound",
            )
        )
    return messages


def described(policy: EgressPolicy) -> str:
    """What jobs may call: `public addresses on ports 80, 443, and 10.1.0.0/16`."""
    ports = "any port" if policy.ports is None else f"ports {', '.join(map(str, sorted(policy.ports)))}"
    exceptions = [*map(str, policy.networks), *sorted(policy.hosts)]
    return ", ".join([f"public addresses on {ports}", *([f"and {', '.join(exceptions)}"] if exceptions else [])])


def _too_wide(what: str, hint: str) -> CheckMessage:
    return Warning(f"HOURHAND_OUTBOUND_ALLOW includes {what}", hint=hint, id="hourhand.outbound")


def _reachable(policy: EgressPolicy, addresses: tuple[object, ...]) -> str:
    return ", ".join(str(address) for address in addresses if any(address in network for network in policy.networks))


def _overlap(network: Network, other: Network) -> bool:
    return network.version == other.version and network.overlaps(other)
