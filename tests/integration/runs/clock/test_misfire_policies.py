"""A clock that was away for five minutes: the effect of each misfire policy."""

import datetime

import pytest

from runs.clock.fire import fire_due
from runs.models import Execution
from tests.support.jobs import EPOCH, MakeJob
from tests.support.recorded_executions import recorded

SECOND = datetime.timedelta(seconds=1)
MINUTE = datetime.timedelta(minutes=1)


def at(minute: float) -> datetime.datetime:
    return EPOCH + minute * MINUTE


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"misfire": "fire_once"}, [("missed", at(1), at(4), 4), ("pending", at(5), None, 1)]),
        ({"misfire": "fire_all"}, [("pending", at(minute), None, 1) for minute in (1, 2, 3, 4, 5)]),
        (
            {"misfire": "fire_all", "misfire_grace_seconds": 149},
            [("missed", at(1), at(3), 3), ("pending", at(4), None, 1), ("pending", at(5), None, 1)],
        ),
        ({"misfire": "skip"}, [("missed", at(1), at(5), 5)]),
        ({"misfire": "fire_once", "misfire_grace_seconds": 29}, [("missed", at(1), at(5), 5)]),
        (
            {"misfire": "fire_once", "misfire_grace_seconds": 30},
            [("missed", at(1), at(4), 4), ("pending", at(5), None, 1)],
        ),
    ],
)
def test_after_an_outage_of_five_minutes(make_job: MakeJob, policy, expected):
    row = make_job(schedule={"every_seconds": 60}, **policy)
    fired = fire_due(at(5.5))
    assert recorded() == expected
    assert len(fired.execution_ids) == sum(1 for reason, *_ in expected if reason == "pending")
    assert fired.skipped["missed"] == sum(count for reason, _, _, count in expected if reason == "missed")
    row.refresh_from_db()
    assert row.next_fire_at == at(6)
    fire_due(at(6))
    assert recorded() == [*expected, ("pending", at(6), None, 1)]


def test_skip_fires_the_punctual_one_after_an_outage(make_job: MakeJob):
    make_job(schedule={"every_seconds": 60}, misfire="skip")
    fire_due(at(5) + 15 * SECOND)
    assert recorded() == [("missed", at(1), at(4), 4), ("pending", at(5), None, 1)]


def test_fire_all_stops_at_a_hundred_and_counts_the_rest(make_job: MakeJob):
    make_job(schedule={"every_seconds": 1}, misfire="fire_all")
    fired = fire_due(at(5))
    assert len(fired.execution_ids) == 100
    rows = recorded()
    assert rows[0] == ("missed", EPOCH + SECOND, EPOCH + 200 * SECOND, 200)
    assert [row[1] for row in rows[1:]] == [EPOCH + second * SECOND for second in range(201, 301)]


def test_repeated_misses_stay_one_row(make_job: MakeJob):
    make_job(schedule={"every_seconds": 60}, misfire="skip")
    for minute in (2.5, 4.5, 5.5):
        fire_due(at(minute))
    assert recorded() == [("missed", at(1), at(5), 5)]


def test_a_new_version_begins_a_new_range(make_job: MakeJob):
    row = make_job(schedule={"every_seconds": 60}, misfire="skip")
    fire_due(at(2.5))
    row.job.versions.create(number=2, config=row.job.current_version.config)
    row.job.current_version = row.job.versions.get(number=2)
    row.job.save(update_fields=["current_version"])
    fire_due(at(4.5))
    assert recorded() == [("missed", at(1), at(2), 2), ("missed", at(3), at(4), 2)]


def test_a_schedule_with_start_and_end_fires_between_them_and_completes(make_job: MakeJob):
    row = make_job(
        schedule={"every_seconds": 60},
        starts_at=at(2).isoformat(),
        ends_at=at(4).isoformat(),
        misfire="fire_all",
    )
    assert fire_due(at(1)).due == 0
    fire_due(at(10))
    assert [row[1] for row in recorded()] == [at(2), at(3), at(4)]
    row.refresh_from_db()
    assert (row.enabled, row.next_fire_at) == (False, None)
    states = list(row.periods.order_by("from_at").values_list("state", "followed_by", "until_at"))
    assert states == [("active", "ended", at(10)), ("ended", "", None)]


def test_a_time_in_a_dst_gap_is_recorded_as_such(make_job: MakeJob):
    make_job(schedule="30 2 * * *", timezone="Europe/Berlin", dst_gap="skip", now=at(0))
    jump = datetime.datetime(2026, 3, 29, 1, 0, tzinfo=datetime.UTC)
    for day in range(30):
        fire_due(datetime.datetime(2026, 3, 2, 1, 30, tzinfo=datetime.UTC) + day * 24 * 60 * MINUTE)
    swallowed = [row for row in recorded() if row[0] != "pending"]
    assert swallowed == [("dst_gap", jump, None, 1)]
    assert len(recorded()) == 30


class TestJitter:
    def test_moves_the_start_and_not_the_occurrence(self, make_job: MakeJob):
        make_job(schedule={"every_seconds": 60}, jitter_seconds=30)
        assert fire_due(at(1)).execution_ids == []
        execution = Execution.objects.get()
        assert 0 < execution.jitter_ms <= 30_000
        assert execution.scheduled_for == at(1)
        assert execution.next_attempt_at == at(1) + execution.jitter_ms * SECOND / 1000
        assert execution.enqueued_at is None

    def test_is_the_same_whenever_an_occurrence_is_fired_and_another_for_the_next(self, make_job: MakeJob):
        row = make_job(schedule={"every_seconds": 60}, jitter_seconds=30, misfire="fire_all")
        fire_due(at(1))
        fire_due(at(2))
        before = list(Execution.objects.order_by("scheduled_for").values_list("jitter_ms", flat=True))
        Execution.objects.all().delete()
        type(row).objects.filter(pk=row.pk).update(next_fire_at=at(1))
        fired = fire_due(at(2.5))
        assert list(Execution.objects.order_by("scheduled_for").values_list("jitter_ms", flat=True)) == before
        assert len(set(before)) == 2
        assert len(fired.execution_ids) == 2
