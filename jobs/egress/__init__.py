"""Where outbound calls may go: the strict URL parse, the address table, and the operator's policy over both. Pure."""

from jobs.egress.addresses import AddressRefusal, classify
from jobs.egress.policy import EgressPolicy
from jobs.egress.target import InvalidUrl, Target, parse_target

__all__ = ["AddressRefusal", "EgressPolicy", "InvalidUrl", "Target", "classify", "parse_target"]
