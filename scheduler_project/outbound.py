"""What the operator lets jobs call, from the two settings that say it."""

from django.core.exceptions import ImproperlyConfigured

from jobs.egress import EgressPolicy


def outbound_policy(*, allow: str, ports: str) -> EgressPolicy:
    """Raises ImproperlyConfigured, naming the setting that is wrong."""
    for name, given in (("HOURHAND_OUTBOUND_PORTS", ("", ports)), ("HOURHAND_OUTBOUND_ALLOW", (allow, ports))):
        try:
            policy = EgressPolicy.parse(*given)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}: {error}") from error
    return policy
