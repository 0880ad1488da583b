"""Occurrences against records: every kind of difference is reported."""

import datetime
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.schedule import Interval
from runs.ledger.comparison import Entry, PlannedSchedule, TooManyPlannedError, compare

START = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)
EVERY_MINUTE = Interval(60, START - 60 * MINUTE)


def at(minute: float) -> datetime.datetime:
    return START + minute * MINUTE


def plan(state="active", since=-60.0, until=None, owed_after=None, schedule=EVERY_MINUTE):
    return PlannedSchedule(
        state, schedule, at(since), None if until is None else at(until), None if owed_after is None else at(owed_after)
    )


def fired(minute, name="f"):
    return Entry(f"{name}{minute}", at(minute), at(minute), 1, "")


def skipped(first, last, reason="missed", count=None):
    return Entry(f"s{first}", at(first), at(last), count or last - first + 1, reason)


def ledger(plans, entries, *, start=1.0, end=5.5):
    return compare(plans, entries, start=at(start), end=at(end))


def differences(found):
    return [(difference.kind, difference.scheduled_for) for difference in found.differences]


def test_fired_and_counted_occurrences_reconcile():
    found = ledger([plan()], [fired(1), skipped(2, 4), fired(5)])
    assert (found.planned, found.fired, found.skipped, found.due) == (5, 2, {"missed": 3}, 0)
    assert found.differences == ()


def test_unfired_due_occurrences_are_due():
    found = ledger([plan(owed_after=3.5)], [fired(1), fired(2), fired(3)])
    assert (found.fired, found.due, found.differences) == (3, 2, ())


def test_occurrences_during_a_pause_are_paused():
    found = ledger([plan(until=2.5), plan("paused", since=2.5, owed_after=2.5)], [fired(1), fired(2)])
    assert (found.fired, found.skipped, found.due) == (2, {"paused": 3}, 0)


def test_an_unrecorded_occurrence_is_lost():
    assert differences(ledger([plan()], [fired(1), fired(2), fired(4), fired(5)])) == [("lost", at(3))]


def test_an_occurrence_recorded_twice_is_doubled():
    found = ledger([plan()], [skipped(1, 3), fired(2), fired(4), fired(5)])
    assert differences(found) == [("doubled", at(2))]


def test_a_recorded_instant_without_an_occurrence_is_unplanned():
    found = ledger([plan(until=4.5)], [fired(1), fired(2), fired(2.5), fired(3), fired(4), fired(5)])
    assert differences(found) == [("unplanned", at(2.5)), ("unplanned", at(5))]


def test_a_range_with_a_wrong_count_is_reported():
    assert differences(ledger([plan()], [skipped(1, 5, count=4)])) == [("lost", at(1))]
    assert differences(ledger([plan()], [skipped(1, 5, count=6)])) == [("unplanned", at(1))]


def test_a_range_across_the_boundary_counts_its_part():
    found = ledger([plan()], [skipped(-10, 3), fired(4), skipped(5, 20)])
    assert (found.skipped, found.fired, found.differences) == ({"missed": 4}, 1, ())


def test_without_occurrences_nothing_is_missing():
    found = ledger([plan("disabled", schedule=None)], [])
    assert (found.planned, found.differences) == (0, ())


def test_the_boundary_of_two_periods_belongs_to_the_earlier():
    found = ledger([plan(until=3), plan(since=3)], [fired(minute) for minute in (1, 2, 3, 4, 5)])
    assert (found.planned, found.fired) == (5, 5)


def test_too_long_a_span_is_refused():
    with pytest.raises(TooManyPlannedError):
        ledger([plan(schedule=Interval(1, at(0)))], [], end=400)


@given(
    changes=st.lists(st.integers(1, 100), max_size=5, unique=True),
    fates=st.lists(st.sampled_from(["fired", "missed", "paused"]), min_size=120, max_size=120),
    harm=st.sampled_from(["none", "lost", "doubled", "unplanned"]),
    where=st.integers(0, 99),
)
def test_one_error_anywhere_is_one_difference(changes, fates, harm, where):
    edges = [-1, *sorted(changes), 200]
    plans = [plan(since=begin, until=end) for begin, end in itertools.pairwise(edges)]
    entries = [
        fired(minute) if fate == "fired" else skipped(minute, minute, fate) for minute, fate in enumerate(fates[:100])
    ]
    if harm == "lost":
        entries.pop(where)
    elif harm == "doubled":
        entries.append(fired(where, "again"))
    elif harm == "unplanned":
        entries.append(fired(where + 0.5))
    found = ledger(plans, entries, start=0, end=100)
    assert [difference.kind for difference in found.differences] == ([] if harm == "none" else [harm])
    assert found.planned == 100
