"""Follows each step of every execution through a storm, and asks afterwards whether the model has them all."""

from proof import transition_log
from proof.conformance import violations
from tests.acceptance.chaos.house import House


def begin(house: House) -> None:
    """Let the database log each transition. Call it before the first execution is made."""
    with house.services.database() as cursor:
        transition_log.install(cursor)


def unknown_steps(house: House) -> list[str]:
    """The steps that the model does not have, once all has come to rest."""
    with house.services.database() as cursor:
        return violations(transition_log.read(cursor))
