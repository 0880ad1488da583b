"""Allowed targets of outbound calls: the strict URL parser, the address table and the operator's policy. Pure."""

from jobs.egress.addresses import AddressRefusal, classify
from jobs.egress.policy import EgressPolicy
from jobs.egress.target import InvalidUrl, Target, parse_target

__all__ = ["AddressRefusal", "EgressPolicy", "InvalidUrl", "Target", "classify", "parse_target"]
