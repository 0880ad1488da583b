"""Which occurrences fire and which are recorded as missed when the clock is late."""

import datetime
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.schedule import Interval, OccurrenceRange
from jobs.schedule.misfire import FIRE_ALL_LIMIT, Misfire, apply_misfire_policy, count_all_missed

DUE = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
SECOND = datetime.timedelta(seconds=1)
MINUTE = datetime.timedelta(minutes=1)
EVERY_MINUTE = Interval(60, DUE - 60 * MINUTE)


@dataclass(frozen=True)
class ListedTimes:
    """A schedule given by its occurrences, some of which fall into a DST gap."""

    occurrences: list[datetime.datetime]
    swallowed: set[datetime.datetime] = field(default_factory=set)

    def next_after(self, instant):
        return next((at for at in self.occurrences if at > instant), None)

    def drops(self, occurrence):
        return occurrence in self.swallowed

    def occurrences_between(self, after, until):
        found = [at for at in self.occurrences if after < at <= until]
        return OccurrenceRange(found[0], found[-1], len(found)) if found else None


def plan(schedule, late, *, misfire="fire_once", grace=60 * MINUTE, until=None):
    return apply_misfire_policy(
        schedule, due_at=DUE, now=DUE + late, misfire=Misfire(misfire), grace=grace, until=until and DUE + until
    )


def minutes(*numbers):
    return tuple(DUE + number * MINUTE for number in numbers)


@pytest.mark.parametrize("misfire", list(Misfire))
def test_an_occurrence_on_time_is_fired_whatever_the_policy(misfire):
    found = plan(EVERY_MINUTE, 15 * SECOND, misfire=misfire)
    assert (found.fires, found.missed, found.next_fire_at) == ((DUE,), None, DUE + MINUTE)


def test_fire_once_fires_the_latest_and_counts_the_others_as_missed():
    found = plan(EVERY_MINUTE, 3.5 * MINUTE)
    assert (found.fires, found.missed) == (minutes(3), OccurrenceRange(DUE, DUE + 2 * MINUTE, 3))
    assert found.next_fire_at == DUE + 4 * MINUTE


def test_fire_all_fires_those_within_the_grace_and_counts_older_ones_as_missed():
    found = plan(EVERY_MINUTE, 5 * MINUTE, misfire="fire_all", grace=2 * MINUTE)
    assert (found.fires, found.missed) == (minutes(3, 4, 5), OccurrenceRange(DUE, DUE + 2 * MINUTE, 3))


def test_fire_all_fires_at_most_the_newest_hundred():
    found = plan(EVERY_MINUTE, 30 * 60 * MINUTE, misfire="fire_all", grace=48 * 60 * MINUTE)
    assert found.fires == minutes(*range(1701, 1801))
    assert found.missed == OccurrenceRange(DUE, DUE + 1700 * MINUTE, 1701)


def test_skip_counts_all_except_the_punctual_one_as_missed():
    found = plan(EVERY_MINUTE, 5 * MINUTE + 16 * SECOND, misfire="skip")
    assert (found.fires, found.missed) == ((), OccurrenceRange(DUE, DUE + 5 * MINUTE, 6))
    found = plan(EVERY_MINUTE, 5 * MINUTE + 15 * SECOND, misfire="skip")
    assert (found.fires, found.missed) == (minutes(5), OccurrenceRange(DUE, DUE + 4 * MINUTE, 5))


@pytest.mark.parametrize(
    ("grace", "late", "fires"),
    [
        (60 * SECOND, 60 * SECOND, True),
        (60 * SECOND, 60.001 * SECOND, False),
        (5 * SECOND, 6 * SECOND, False),
        (0 * SECOND, 1 * SECOND, True),
        (0 * SECOND, 1.001 * SECOND, False),
    ],
)
@pytest.mark.parametrize("misfire", ["fire_once", "fire_all"])
def test_the_grace_is_inclusive_and_one_second_is_never_late(misfire, grace, late, fires):
    found = plan(Interval(7200, DUE), late, misfire=misfire, grace=grace)
    assert bool(found.fires) is fires
    assert (found.missed is None) is fires
    assert found.next_fire_at == DUE + 120 * MINUTE


def test_a_one_off_is_fired_late_and_has_no_next():
    found = plan(ListedTimes([DUE]), 5 * MINUTE)
    assert (found.fires, found.missed, found.next_fire_at) == ((DUE,), None, None)


def test_a_stored_occurrence_counts_though_the_schedule_no_longer_has_it():
    assert plan(Interval(3600, DUE + 10 * MINUTE), MINUTE).fires == (DUE,)


def test_a_dropped_occurrence_is_neither_fired_nor_missed():
    swallowed = ListedTimes(list(minutes(0, 5)), {DUE})
    found = plan(swallowed, SECOND)
    assert (found.fires, found.missed, found.dropped, found.next_fire_at) == ((), None, (DUE,), DUE + 5 * MINUTE)


def test_a_dropped_latest_occurrence_gives_way_to_the_one_before():
    found = plan(ListedTimes(list(minutes(0, 5, 6)), set(minutes(6))), 7 * MINUTE)
    assert (found.fires, found.missed, found.dropped) == (minutes(5), OccurrenceRange(DUE, DUE, 1), minutes(6))


@given(late=st.integers(0, 10_000))
def test_when_firing_is_not_allowed_even_punctual_occurrences_are_missed(late):
    found = count_all_missed(EVERY_MINUTE, due_at=DUE, now=DUE + late * SECOND)
    assert (found.fires, found.dropped) == ((), ())
    assert found.missed == OccurrenceRange(DUE, DUE + late // 60 * MINUTE, 1 + late // 60)
    assert found.next_fire_at == DUE + (late // 60 + 1) * MINUTE


def test_a_closed_period_records_nothing_after_its_end():
    found = plan(EVERY_MINUTE, 10 * MINUTE, until=3 * MINUTE)
    assert (found.fires, found.missed) == (minutes(3), OccurrenceRange(DUE, DUE + 2 * MINUTE, 3))


@given(
    gaps=st.lists(st.integers(1, 400), min_size=1, max_size=400),
    swallowed=st.sets(st.integers(0, 400), max_size=5),
    late=st.integers(0, 40_000),
    grace=st.integers(0, 50_000),
    misfire=st.sampled_from(list(Misfire)),
)
def test_every_occurrence_is_accounted_for_exactly_once(gaps, swallowed, late, grace, misfire):
    occurrences = [DUE]
    for gap in gaps:
        occurrences.append(occurrences[-1] + gap * SECOND)
    dropped = {occurrences[index] for index in swallowed if index < len(occurrences)}
    found = plan(ListedTimes(occurrences, dropped), late * SECOND, misfire=misfire, grace=grace * SECOND)
    now = DUE + late * SECOND
    due = [at for at in occurrences if at <= now]
    counted = [at for at in due if found.missed and found.missed.first <= at <= found.missed.last]
    assert sorted([*counted, *found.fires, *found.dropped]) == due
    assert found.missed is None or found.missed.count == len(counted)
    assert set(found.dropped) <= dropped
    assert not set(found.fires) & dropped
    window = max(grace, 1) if misfire != "skip" else min(max(grace, 1), 15)
    in_time = [at for at in due if at not in dropped and (now - at) <= window * SECOND]
    assert list(found.fires) == in_time[-(FIRE_ALL_LIMIT if misfire == "fire_all" else 1) :]
    assert found.next_fire_at == next((at for at in occurrences if at > now), None)
