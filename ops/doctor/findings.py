"""What the doctor says of one thing: well, or not, and what to do about it. Pure."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Severity(enum.StrEnum):
    """From good to bad; what could not be looked at, for something else is wrong, is skipped."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    PROBLEM = "problem"


_ORDER = list(Severity)


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence on what was found, and one on what to do, which only what is well goes without."""

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
    """The worst of them; ok if there is none."""
    return max(verdicts, key=_ORDER.index, default=Severity.OK)
