"""Judges a history by the invariants of the design. Pure: it knows arithmetic, and takes nobody's word.

A firing that was planned must be recorded once, as fired or as counted with its cause; one that was fired must have
reached the target in time; each exchange there is one run; and one that was called twice must have been held, then, by
a worker that was dead or silent for longer than its lease.
"""

from tests.acceptance.chaos import deliveries, occurrences, promises, skips, workflows
from tests.acceptance.chaos.deliveries import doubled
from tests.acceptance.chaos.findings import Finding, Index, Invariant, Rule
from tests.acceptance.chaos.history import History

__all__ = ["Finding", "Invariant", "doubled", "judge"]

_RULES: tuple[Rule, ...] = (
    deliveries.lost,
    deliveries.doubled_by,
    deliveries.not_terminal,
    deliveries.not_one_to_one,
    deliveries.unrecorded,
    occurrences.unreconciled,
    occurrences.plans_unasked,
    skips.without_cause,
    promises.overlapping,
    promises.too_many_at_once,
    promises.by_hand,
    promises.late,
    promises.not_apart,
    workflows.flows,
)


def judge(history: History) -> list[Finding]:
    """Return all violations in a history."""
    index = Index(history)
    found = [finding for rule in _RULES for finding in rule(history, index)]
    found += [Finding(Invariant.LEASES, one.execution, f"{one.seconds:.1f} s overdue") for one in history.overdue]
    found += [Finding(Invariant.SECRETS, where, "shows the value") for where in history.secrets_seen]
    found += [Finding(Invariant.PROTOCOL, "a step", step) for step in history.steps_unknown]
    return found
