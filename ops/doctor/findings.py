"""A finding: whether one thing is well, and what to do if it is not. Pure."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Severity(enum.StrEnum):
    """From good to bad. `skipped`: another problem prevented the examination."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    PROBLEM = "problem"


_ORDER = list(Severity)


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence on the state of one thing, and one on what to do: empty for ok and skipped."""

    name: str
    verdict: Severity
    says: str
    advice: str = ""


def ok(name: str, says: str) -> Finding:
    return Finding(name, Severity.OK, says)


def skipped(name: str, says: str) -> Finding:
    return Finding(name, Severity.SKIPPED, says)


def warning(name: str, says: str, advice: str) -> Finding:
    return Finding(name, Severity.WARNING, says, advice)


def problem(name: str, says: str, advice: str) -> Finding:
    return Finding(name, Severity.PROBLEM, says, advice)


def worst(verdicts: Iterable[Severity]) -> Severity:
    """The worst of them; ok if the iterable is empty."""
    return max(verdicts, key=_ORDER.index, default=Severity.OK)
