"""Records each transition of every execution, and compares them with the model afterwards."""

from proof import transition_log
from proof.conformance import violations
from tests.acceptance.chaos.house import House


def begin(house: House) -> None:
    """Make the database log each transition. Call it before the first execution is created."""
    with house.services.database() as cursor:
        transition_log.install(cursor)


def unknown_steps(house: House) -> list[str]:
    """Return the transitions that the model does not have."""
    with house.services.database() as cursor:
        return violations(transition_log.read(cursor))
