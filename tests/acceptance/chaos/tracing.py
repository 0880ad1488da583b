"""Follows each step of every execution through a storm, and asks afterwards whether the protocol knows them all.

Who knows the protocol is handed in: `Trace(install, read, violations)`, as `rage(..., trace=...)`. Without one a storm
is judged by its history alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.acceptance.chaos.house import House


@dataclass(frozen=True, slots=True)
class Trace:
    """`install` makes the database note each transition, `read` tells them, `violations` says what is wrong."""

    install: Callable[[Any], None]
    read: Callable[[Any], Sequence[Any]]
    violations: Callable[[Sequence[Any]], list[str]]


def begin(house: House, trace: Trace | None) -> None:
    """Before the first execution is made."""
    if trace is not None:
        with house.services.database() as cursor:
            trace.install(cursor)


def unknown_steps(house: House, trace: Trace | None) -> list[str] | None:
    """Once all has come to rest. None: nobody followed them."""
    if trace is None:
        return None
    with house.services.database() as cursor:
        return trace.violations(trace.read(cursor))
