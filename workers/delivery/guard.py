"""The address guard's two questions, with their answers as outcomes: before a request is sent, and as it dials."""

from jobs.egress import AddressRefusal, EgressPolicy, InvalidUrl, Target, parse_target
from runs.failures import FailureReason
from workers.delivery.outcome import Outcome


def judge(policy: EgressPolicy, url: str) -> Target | Outcome:
    """Where `url` leads, or the outcome of a request that must not even start to resolve it."""
    try:
        target = parse_target(url)
    except InvalidUrl as invalid:
        return FailureReason.INVALID_URL, str(invalid)
    refusal = policy.check_target(target)
    if refusal is None:
        return target
    if refusal is AddressRefusal.PORT:
        return FailureReason.SSRF_BLOCKED, f"blocked: port {target.port} is not allowed"
    return FailureReason.SSRF_BLOCKED, f"blocked: {target.host} is {refusal.description}"


def blocked(target: Target, ip: str, refusal: AddressRefusal) -> Outcome:
    """The outcome of a transfer none of whose addresses may be connected to; `ip` is the last of them."""
    return FailureReason.SSRF_BLOCKED, f"blocked: {target.host} resolves to {ip}, {refusal.description}"
