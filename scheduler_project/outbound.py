"""The egress policy of the operator's settings."""

from django.core.exceptions import ImproperlyConfigured

from jobs.egress import EgressPolicy


def outbound_policy(*, allow: str, ports: str) -> EgressPolicy:
    """Parse both settings. Raises ImproperlyConfigured, naming the wrong one."""
    for name, values in (("HOURHAND_OUTBOUND_PORTS", ("", ports)), ("HOURHAND_OUTBOUND_ALLOW", (allow, ports))):
        try:
            policy = EgressPolicy.parse(*values)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}: {error}") from error
    return policy
