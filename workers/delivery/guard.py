"""The egress policy's refusals as outcomes: of a URL before a request is sent, and of an address as it dials."""

from jobs.egress import AddressRefusal, EgressPolicy, InvalidUrl, Target, parse_target
from runs.failures import FailureReason
from workers.delivery.outcome import Outcome


def check_url(policy: EgressPolicy, url: str) -> Target | Outcome:
    """Return the target of `url`, or the outcome of a request whose host may not even be resolved."""
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
    """The outcome of a transfer whose every address is refused; `ip` is the last of them."""
    return FailureReason.SSRF_BLOCKED, f"blocked: {target.host} resolves to {ip}, {refusal.description}"
