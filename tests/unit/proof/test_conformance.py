"""Transitions that the model allows, and violations found in a log."""

import datetime
import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proof.conformance import Move, Seen, Transition, allowed, moves, single_steps, violations
from proof.model.state import Bounds
from runs.states import TERMINAL, TRANSITIONS

START = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
DUE = Seen("pending", 0, None, leased=False, queued=False, due=True)
LATER, QUEUED = DUE._replace(due=False), DUE._replace(due=False, queued=True)
RUNNING = Seen("running", 1, "worker-1", leased=True, queued=False, due=False)
#: A workflow's row: due at one of its steps, and waiting at one.
BEGUN = Seen("pending", 1, None, leased=False, queued=False, due=True, begun=True)
WAITING = BEGUN._replace(status="waiting", due=False)
AGAIN, SECOND = DUE._replace(attempts=1), RUNNING._replace(attempts=2)


def ended(status: str, attempts: int = 1) -> Seen:
    return Seen(status, attempts, None, leased=False, queued=False, due=False)


BEGUN_RUNNING = RUNNING._replace(begun=True)


def log(*seen: Seen | None, execution: str = "e") -> list[Transition]:
    """Return the transitions of one execution through these states, a second apart."""
    return [
        Transition(execution, START + datetime.timedelta(seconds=second), before, after)
        for second, (before, after) in enumerate(itertools.pairwise(seen))
        if after is not None
    ]


LIVES = [
    (None, DUE, RUNNING, ended("succeeded")),
    (None, LATER, ended("canceled", 0)),
    (None, QUEUED, DUE, RUNNING, ended("failed")),
    (None, QUEUED, LATER, ended("canceled", 0)),
    (None, DUE, RUNNING, AGAIN, SECOND._replace(owner="worker-2"), ended("succeeded", 2)),
    (None, DUE, RUNNING, LATER, RUNNING._replace(owner="worker-2"), ended("canceled")),
    (None, DUE, RUNNING, AGAIN, SECOND, AGAIN, SECOND, ended("failed", 2)),
    (
        None,
        DUE,
        BEGUN_RUNNING,
        BEGUN,
        WAITING,
        BEGUN,
        BEGUN_RUNNING._replace(attempts=2),
        BEGUN._replace(attempts=2),
        ended("succeeded", 2)._replace(begun=True),
    ),
    (None, DUE, WAITING._replace(attempts=0), ended("canceled", 0)._replace(begun=True)),
    (None, ended("skipped", 0)),
    (None, ended("canceled", 0)),
]


def with_due_rows(life: tuple[Seen | None, ...]) -> list[Transition]:
    """A row can become due between two logged transitions."""
    return [
        replace(one, before=one.before._replace(due=True)) if one.before and one.after.status == "running" else one
        for one in log(*life)
    ]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: " > ".join(one.status for one in life[1:]))
def test_an_ordinary_execution_conforms(life: tuple[Seen | None, ...]) -> None:
    assert violations(with_due_rows(life)) == []


FORGED = {
    "ended twice": (ended("succeeded"), ended("failed")),
    "alive again": (ended("failed"), AGAIN),
    "taken up again": (ended("failed"), SECOND),
    "a skipped one claimed": (ended("skipped", 0), RUNNING),
    "canceled after the end": (ended("succeeded"), ended("canceled")),
    "claimed before it is due": (LATER, RUNNING),
    "claimed while it queues": (QUEUED, RUNNING._replace(queued=True)),
    "claimed without an attempt": (AGAIN, RUNNING),
    "claimed with two attempts": (DUE, SECOND),
    "claimed without an owner": (DUE, RUNNING._replace(owner=None)),
    "claimed without a lease": (DUE, RUNNING._replace(leased=False)),
    "taken from its owner": (RUNNING, RUNNING._replace(owner="worker-2")),
    "claimed while it runs": (RUNNING, SECOND),
    "claimed by another while it runs": (RUNNING, SECOND._replace(owner="worker-2")),
    "given back with its owner": (RUNNING, LATER._replace(owner="worker-1", leased=True)),
    "given back twice": (SECOND, LATER),
    "given back to the queue": (RUNNING, QUEUED),
    "repeated with an attempt too many": (RUNNING, DUE._replace(attempts=2)),
    "succeeded without an attempt": (DUE, ended("succeeded", 0)),
    "failed while it waits": (AGAIN, ended("failed")),
    "ended with its owner": (RUNNING, ended("succeeded")._replace(owner="worker-1")),
    "ended with its lease": (RUNNING, ended("failed")._replace(leased=True)),
    "ended with another attempt": (RUNNING, ended("succeeded", 2)),
    "queued again": (LATER, QUEUED),
    "skipped late": (DUE, ended("skipped", 0)),
    "running without an attempt": (RUNNING._replace(attempts=0), ended("succeeded", 0)),
    "in a status that there is not": (RUNNING, ended("lost")),
    "a wait of what is no workflow": (DUE, ended("waiting", 0)),
    "a wait that counts as an attempt": (BEGUN, WAITING._replace(attempts=2)),
    "a wait that is held": (BEGUN, WAITING._replace(owner="worker-1", leased=True)),
    "claimed while it waits": (WAITING, RUNNING._replace(attempts=2, begun=True)),
    "succeeded while it waits": (WAITING, ended("succeeded")._replace(begun=True)),
    "failed while it waits for a step": (WAITING, ended("failed")._replace(begun=True)),
    "ended by a claim without a step": (DUE, ended("succeeded", 0)),
    "resumed with an attempt too many": (WAITING, BEGUN._replace(attempts=2)),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_step_unknown_to_the_model_is_a_violation(kind: str) -> None:
    before, after = FORGED[kind]
    (told,) = violations(log(before, after))
    assert told.startswith("execution e at 2026-03-01T12:00:00+00:00: ")
    assert "no step of the model" in told


@pytest.mark.parametrize("born", [RUNNING, ended("succeeded"), ended("failed", 0), AGAIN, DUE._replace(owner="w")])
def test_an_execution_with_a_wrong_first_state_is_a_violation(born: Seen) -> None:
    (told,) = violations(log(None, born))
    assert "no execution is inserted like this" in told


def test_an_unlogged_move_is_a_violation() -> None:
    first, second = log(None, DUE), log(RUNNING._replace(owner="worker-2"), ended("succeeded"))
    (told,) = violations([*first, *second])
    assert "a change was not logged" in told
    assert "pending (due), attempts 0" in told


def test_a_second_insert_is_a_violation() -> None:
    (told,) = violations(log(None, DUE) + log(None, LATER))
    assert "already inserted" in told


def test_executions_are_checked_separately() -> None:
    mixed = sorted(log(None, DUE, RUNNING) + log(None, DUE, RUNNING, execution="f"), key=lambda one: one.at)
    assert violations(mixed) == []
    (told,) = violations([*mixed, *log(RUNNING, SECOND, execution="f")])
    assert told.startswith("execution f ")


def test_a_log_may_begin_after_an_execution_was_inserted() -> None:
    assert violations(log(RUNNING, ended("succeeded"))) == []


@pytest.mark.parametrize("bounds", [Bounds(1, 3, 2), Bounds(1, 2, 2), Bounds(2, 3, 2)], ids=str)
def test_more_workers_attempts_or_faults_add_no_row_transitions(bounds: Bounds) -> None:
    assert moves(bounds) == single_steps()


def test_the_products_transition_table_agrees() -> None:
    """A claim that moves a workflow on takes two steps at once, as does a record that claims what follows."""
    lead = {(one.before.partition(" ")[0], one.after.partition(" ")[0]) for one in allowed()}
    legal = {(before.value, after.value) for before, afters in TRANSITIONS.items() for after in afters}
    claims = {("pending", after) for before, after in legal if before == "running"}
    assert legal <= lead <= legal | claims | {("running", "running")}
    assert not {before for before, _ in lead} & {status.value for status in TERMINAL}


SEEN = st.builds(
    Seen,
    st.sampled_from(["pending", "running", "waiting", "succeeded", "failed", "canceled", "skipped"]),
    st.integers(0, 3),
    st.sampled_from([None, "worker-1", "worker-2"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@given(SEEN, SEEN)
def test_an_allowed_move_keeps_the_rules_of_leases_and_attempts(before: Seen, after: Seen) -> None:
    """An independent oracle: only running executions have a lease, and only a claim adds an attempt."""
    if violations(log(before, after)):
        return
    for seen in (before, after):
        assert (seen.status == "running") == (seen.owner is not None) == seen.leased
    assert before.status in ("pending", "running", "waiting")
    assert "waiting" not in (before.status, after.status) or after.begun
    claimed = (before.status, after.status) == ("pending", "running")
    assert (after.attempts - before.attempts == 1) == claimed
    if claimed:
        assert before.due


def test_moves_abstract_from_workers_and_numbers() -> None:
    claim = {"more": 1, "owner": "comes", "leased": (False, True), "begun": (False, False)}
    assert Move("pending (due)", "running", tried=True, **claim) in allowed()
    assert all("worker" not in str(one) for one in allowed())
