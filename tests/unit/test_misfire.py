"""What is fired and what is only counted when the clock looks late."""

import datetime

from jobs.misfire import FiringPlan, plan_firing
from jobs.schedule import Interval, Once, Stretch

DUE = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)
EVERY_MINUTE = Interval(60, DUE - 60 * MINUTE)


def plan(schedule, late, grace=60 * MINUTE):
    return plan_firing(schedule, due_at=DUE, now=DUE + late, grace=grace)


def test_an_occurrence_on_time_is_fired():
    assert plan(EVERY_MINUTE, MINUTE / 60) == FiringPlan(DUE, None, DUE + MINUTE)


def test_of_several_due_the_last_is_fired_and_the_others_counted():
    assert plan(EVERY_MINUTE, 3.5 * MINUTE) == FiringPlan(
        DUE + 3 * MINUTE, Stretch(DUE, DUE + 2 * MINUTE, 3), DUE + 4 * MINUTE
    )


def test_past_the_grace_nothing_is_fired_and_all_are_counted():
    assert plan(Interval(7200, DUE), 61 * MINUTE) == FiringPlan(None, Stretch(DUE, DUE, 1), DUE + 120 * MINUTE)


def test_a_one_off_is_fired_late_and_has_no_next():
    assert plan(Once(DUE), 5 * MINUTE) == FiringPlan(DUE, None, None)


def test_a_stored_occurrence_counts_though_the_schedule_was_changed_since():
    assert plan(Interval(3600, DUE + 10 * MINUTE), MINUTE).fire_at == DUE
