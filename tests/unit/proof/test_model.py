"""The protocol as a model: every invariant holds in every state, and each guard is necessary."""

import pytest

from proof.__main__ import STANDARD, main
from proof.model.guards import NAMES, Guards, location, says, without
from proof.model.invariants import CAN_END, INVARIANTS, SUCCESS_KEPT
from proof.model.reasons import CORE, REPEATED, SECOND_LINES, Reason, core_without, missed, still_held
from proof.model.search import Search, search
from proof.model.state import Bounds
from proof.model.stories import story, words
from proof.model.transitions import Action


def guard_of(reason: Reason) -> str:
    return reason.guard


def test_the_protocol_keeps_every_invariant_in_every_state() -> None:
    found = search(STANDARD, Guards())
    assert found.violation is None, list(story(found.violation))
    assert found.states > 5_000, "a search that finds next to nothing proves nothing"


@pytest.mark.parametrize(
    "bounds",
    [Bounds(1, 1, 2), Bounds(1, 3, 2), Bounds(2, 3, 2), Bounds(3, 2, 2)],
    ids=lambda one: "-".join(map(str, one)),
)
def test_the_invariants_hold_with_other_numbers_of_workers_and_attempts(bounds: Bounds) -> None:
    found = search(bounds, Guards())
    assert found.violation is None, list(story(found.violation))


def test_the_invariants_hold_without_any_second_line() -> None:
    found = search(STANDARD, core_without())
    assert found.violation is None, list(story(found.violation))


@pytest.mark.parametrize("reason", CORE, ids=guard_of)
def test_without_a_core_guard_its_invariant_breaks(reason: Reason) -> None:
    found = missed(reason)
    assert found.violation is not None
    assert found.violation.invariant is reason.invariant, list(story(found.violation))


@pytest.mark.parametrize("reason", SECOND_LINES, ids=guard_of)
def test_a_second_line_holds_without_the_guard_that_it_repeats(reason: Reason) -> None:
    held, broken = still_held(reason), missed(reason)
    assert held.violation is None, list(story(held.violation))
    assert broken.violation is not None


def test_every_guard_has_one_reason_and_every_invariant_needs_a_guard() -> None:
    assert sorted(reason.guard for reason in (*CORE, *SECOND_LINES)) == sorted(NAMES)
    assert set(REPEATED) <= set(NAMES)
    #: Invariants held by several guards together.
    of_all = {CAN_END.name, "terminal is counted", "lease while running"}
    assert {one.name for one in INVARIANTS} - {reason.invariant.name for reason in (*CORE, *SECOND_LINES)} <= of_all


@pytest.mark.parametrize("guard", NAMES)
def test_a_guard_has_a_description_and_a_file(guard: str) -> None:
    assert says(guard)
    assert location(guard).endswith(".py")


def test_attempts_held_by_execution_are_found_to_be_wrong() -> None:
    """A worker holding by execution forgets the attempt in flight when it records the previous one: a 200 is lost."""
    bounds = Bounds(faults=1)
    found = search(bounds, without("forget_by_attempt"))
    assert found.violation is not None
    assert found.violation.invariant is SUCCESS_KEPT
    told = list(story(found.violation))
    assert told[-2].startswith("The target answers attempt 2")
    assert told[-2].endswith("succeeded.")


def test_a_state_without_an_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proof.model.transitions.db.reap", lambda *_: None)
    found = search(Bounds(faults=1), Guards())
    assert found.violation is not None
    assert found.violation.invariant is CAN_END
    with_reaper_only = {action.kind for action, _ in found.violation.steps}
    assert with_reaper_only & {"claim", "kill"}


def test_a_violation_has_a_shortest_counterexample() -> None:
    found = search(Bounds(faults=1), without("give_back_unsent"))
    assert found.violation is not None
    assert list(story(found.violation)) == [
        "Worker A claims attempt 1.",
        "Worker A hands attempt 1 to its engine.",
        "Worker A sends the request of attempt 1.",
        "Worker A gives attempt 1 back.",
        "Broken: Every exchange whose attempt is over has a run. (the row: pending, attempts 0)",
    ]


def test_every_step_has_a_description() -> None:
    seen: set[Action] = set()
    bounds = Bounds(faults=2)
    for guards in (Guards(), core_without("doubt_settled"), without("record_attempt", "sent_in_lease")):
        run = Search(bounds, guards, [])
        run.run()
        seen |= run.actions()
    assert len({action.kind for action in seen}) >= 18
    for action in seen:
        told = words(action)
        assert told.endswith("."), told
        assert "{" not in told


@pytest.mark.parametrize("unknown", ["", "claim", "record_fence"])
def test_an_unknown_switch_is_refused(unknown: str) -> None:
    with pytest.raises(TypeError):
        without(unknown)


def test_the_command_prints_the_number_of_states_and_the_reason_of_each_guard(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--faults", "1", "--stories"]) == 0
    printed = capsys.readouterr().out
    assert "every invariant holds" in printed
    assert "all as expected" in printed
    for name in NAMES:
        assert f"\n{name}" in printed


def test_the_command_fails_if_a_guard_is_unnecessary(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Reason("claim_due", SUCCESS_KEPT)
    monkeypatch.setattr("proof.__main__.CORE", (wrong,))
    monkeypatch.setattr("proof.__main__.SECOND_LINES", ())
    assert main(["--faults", "1"]) == 1
    assert "NOT AS LISTED" in capsys.readouterr().out
