"""Edits, pauses and deletes concurrent with the clock: no occurrence is lost or doubled."""

import datetime
from importlib import import_module

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.actors import SYSTEM
from jobs.models import JobEnvironment, SchedulePeriod
from jobs.services.save import EnvironmentChange, delete_job, pause, resume, save_job
from runs.clock.due_state import read_due_state
from runs.clock.fire import fire_due
from runs.clock.reconcile import settle_due
from runs.models import Execution
from tests.support.jobs import EPOCH, MakeJob, job_config
from tests.support.recorded_executions import recorded
from tests.support.threads import run_in_thread, start_in_thread

SECOND = datetime.timedelta(seconds=1)
MINUTE = datetime.timedelta(minutes=1)
EVERY_MINUTE = {"every_seconds": 60}


def at(minute: float) -> datetime.datetime:
    return EPOCH + minute * MINUTE


def edit(row: JobEnvironment, *, now: datetime.datetime, enabled: bool | None = None, **changes) -> None:
    environments = None if enabled is None else [EnvironmentChange(row.environment, enabled=enabled)]
    save_job(
        workspace=row.job.workspace, job=row.job, slug=None, config=job_config(**changes), environments=environments,
        now=now, actor=SYSTEM,
    )  # fmt: skip


def periods(row: JobEnvironment) -> list[tuple[str, datetime.datetime, datetime.datetime | None]]:
    return list(row.periods.order_by("from_at").values_list("state", "from_at", "until_at"))


def tick(now: datetime.datetime) -> None:
    """Run the clock at an instant."""
    while settle_due(now).due:
        pass
    fire_due(now)


def assert_adjoining(row: JobEnvironment) -> None:
    """Assert that every instant since the job's creation belongs to one period."""
    found = periods(row)
    assert [until for _, _, until in found] == [*[begin for _, begin, _ in found[1:]], None]


class TestWithSomethingDue:
    """At 1:00.5 the occurrence of 1:00 is due and has not fired."""

    now = at(1) + SECOND / 2

    def test_an_edit_fires_it_in_the_version_in_force_when_due(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        edit(row, now=self.now, schedule={"every_seconds": 90})
        tick(at(1) + SECOND)
        tick(at(1.5))
        first, second = Execution.objects.order_by("scheduled_for")
        assert (first.scheduled_for, first.job_version.number) == (at(1), 1)
        assert (second.scheduled_for, second.job_version.number) == (at(1.5), 2)

    def test_an_edit_fires_it_in_the_latest_version_before_the_edit(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        edit(row, now=at(0.5), schedule=EVERY_MINUTE, request={"body": "second"})
        edit(row, now=self.now, schedule={"every_seconds": 90}, request={"body": "third"})
        tick(at(1) + SECOND)
        assert Execution.objects.get().job_version.number == 2

    def test_an_edit_of_other_fields_leaves_it_due(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        edit(row, now=self.now, schedule=EVERY_MINUTE, request={"body": "x"})
        tick(at(1) + SECOND)
        assert Execution.objects.get().job_version.number == 2
        assert len(periods(row)) == 1

    def test_a_pause_records_it_as_paused(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        pause(job_environments=[row], until=None, note="", now=self.now, actor=SYSTEM)
        tick(at(4))
        assert recorded() == [("paused", at(1), None, 1)]
        resume(job_environments=[row], now=at(4.5), actor=SYSTEM)
        tick(at(4.5))
        assert recorded() == [("paused", at(1), at(4), 4)]

    @pytest.mark.parametrize("how", ["disable", "delete"])
    def test_disabling_and_deleting_record_it_as_ended(self, make_job: MakeJob, how):
        row = make_job(schedule=EVERY_MINUTE)
        if how == "disable":
            edit(row, now=self.now, schedule=EVERY_MINUTE, enabled=False)
        else:
            delete_job(job=row.job, now=self.now, actor=SYSTEM)
        tick(at(5))
        assert recorded() == [("ended", at(1), None, 1)]

    def test_an_edit_after_an_outage_uses_the_previous_misfire_policy(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE, misfire="fire_once")
        edit(row, now=at(5.5), schedule={"every_seconds": 3600}, misfire="skip")
        tick(at(5.6))
        assert recorded() == [("missed", at(1), at(4), 4), ("pending", at(5), None, 1)]

    def test_the_clock_learns_of_unsettled_occurrences(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        pause(job_environments=[row], until=None, note="", now=self.now, actor=SYSTEM)
        assert read_due_state().settling_due
        tick(at(2))
        assert read_due_state().next_settling_at is None


class TestWithNothingDue:
    def test_a_change_with_nothing_due_leaves_nothing_unsettled(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        edit(row, now=at(0.5), schedule={"every_seconds": 90})
        assert not SchedulePeriod.objects.filter(unsettled_from__isnull=False).exists()
        assert periods(row) == [("active", EPOCH, at(0.5)), ("active", at(0.5), None)]

    def test_no_change_fires_at_once_or_catches_up(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        for number, change in enumerate(
            [
                lambda now: edit(row, now=now, schedule={"every_seconds": 120}),
                lambda now: edit(row, now=now, schedule={"every_seconds": 120}, enabled=False),
                lambda now: edit(row, now=now, schedule={"every_seconds": 120}, enabled=True),
                lambda now: pause(job_environments=[row], until=None, note="", now=now, actor=SYSTEM),
                lambda now: resume(job_environments=[row], now=now, actor=SYSTEM),
            ]
        ):
            now = at(0.1 + 10 * number)
            Execution.objects.all().delete()
            JobEnvironment.objects.filter(next_fire_at__lt=now).update(next_fire_at=now + SECOND)
            SchedulePeriod.objects.update(unsettled_from=None)
            change(now)
            tick(now)
            assert not Execution.objects.exclude(skip_reason="paused").exists()
            assert_adjoining(row)

    def test_two_changes_at_one_instant_leave_one_period(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        pause(job_environments=[row], until=None, note="", now=at(0.5), actor=SYSTEM)
        resume(job_environments=[row], now=at(0.5), actor=SYSTEM)
        assert periods(row) == [("active", EPOCH, at(0.5)), ("active", at(0.5), None)]

    def test_a_change_by_a_slow_clock_does_not_reach_back(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        tick(at(1))
        edit(row, now=at(0.5), schedule={"every_seconds": 30})
        row.refresh_from_db()
        assert row.next_fire_at == at(1.5)
        tick(at(1.5))
        assert [execution.scheduled_for for execution in Execution.objects.order_by("scheduled_for")] == [
            at(1), at(1.5),
        ]  # fmt: skip
        assert_adjoining(row)

    def test_a_schedule_of_now_fires_at_once_after_an_edit(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        edit(row, now=at(1), schedule=at(1).isoformat())
        tick(at(1))
        assert Execution.objects.get().job_version.number == 2
        assert_adjoining(row)


class TestPause:
    def test_until_an_instant_ends_by_itself_and_records_its_occurrences(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        pause(job_environments=[row], until=at(5), note="audit", now=at(0.5), actor=SYSTEM)
        for minute in range(1, 8):
            tick(at(minute))
        assert recorded() == [("paused", at(1), at(5), 5), ("pending", at(6), None, 1), ("pending", at(7), None, 1)]
        assert [state for state, _, _ in periods(row)] == ["active", "paused", "active"]
        assert row.periods.get(state="paused").note == "audit"

    def test_resumed_early_covers_only_its_duration(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        pause(job_environments=[row], until=at(5), note="", now=at(0.5), actor=SYSTEM)
        resume(job_environments=[row], now=at(2.5), actor=SYSTEM)
        for minute in (3, 4):
            tick(at(minute))
        assert recorded() == [("paused", at(1), at(2), 2), ("pending", at(3), None, 1), ("pending", at(4), None, 1)]
        assert_adjoining(row)

    def test_survives_an_edit(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        pause(job_environments=[row], until=at(5), note="audit", now=at(0.5), actor=SYSTEM)
        edit(row, now=at(2.5), schedule={"every_seconds": 120})
        tick(at(6))
        assert recorded() == [("paused", at(1), at(2), 2), ("paused", at(4), None, 1), ("pending", at(6), None, 1)]
        assert_adjoining(row)

    def test_of_a_one_off_past_its_time_completes_it(self, make_job: MakeJob):
        row = make_job(schedule=at(2).isoformat())
        pause(job_environments=[row], until=at(5), note="", now=at(1), actor=SYSTEM)
        tick(at(5))
        row.refresh_from_db()
        assert (row.enabled, row.next_fire_at) == (False, None)
        assert recorded() == [("paused", at(2), None, 1)]

    def test_resumed_after_the_only_time_of_a_one_off_completes_it(self, make_job: MakeJob):
        row = make_job(schedule=at(2).isoformat())
        pause(job_environments=[row], until=None, note="", now=at(1), actor=SYSTEM)
        resume(job_environments=[row], now=at(3), actor=SYSTEM)
        tick(at(3))
        row.refresh_from_db()
        assert not row.enabled
        assert recorded() == [("paused", at(2), None, 1)]

    def test_of_years_is_recorded_in_parts_as_one_row(self, make_job: MakeJob):
        row = make_job(schedule={"every_seconds": 3600})
        pause(job_environments=[row], until=None, note="", now=EPOCH, actor=SYSTEM)
        resume(job_environments=[row], now=EPOCH + datetime.timedelta(days=100, minutes=1), actor=SYSTEM)
        tick(EPOCH + datetime.timedelta(days=100, minutes=1))
        assert recorded() == [("paused", at(60), EPOCH + datetime.timedelta(days=100), 2400)]


@pytest.mark.django_db(transaction=True)
class TestClockLock:
    """Each change waits for the clock, and then sees its effect."""

    def changed_during_a_firing(self, row: JobEnvironment, change) -> None:
        with transaction.atomic():
            fire_due(at(1))
            waiting = start_in_thread(change)
        waiting()
        tick(at(1.6))

    def test_an_edit_continues_after_the_fired_occurrence(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        self.changed_during_a_firing(row, lambda: edit(row, now=at(1), schedule={"every_seconds": 90}))
        assert recorded() == [("pending", at(1), None, 1), ("pending", at(1.5), None, 1)]

    def test_a_pause_keeps_the_fired_occurrence(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        self.changed_during_a_firing(
            row, lambda: pause(job_environments=[row], until=None, note="", now=at(1), actor=SYSTEM)
        )
        assert recorded() == [("pending", at(1), None, 1)]
        assert not SchedulePeriod.objects.filter(unsettled_from__isnull=False).exists()

    def test_a_delete_keeps_the_fired_occurrence(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        self.changed_during_a_firing(row, lambda: delete_job(job=row.job, now=at(1), actor=SYSTEM))
        assert recorded() == [("pending", at(1), None, 1)]

    def test_the_clock_skips_a_job_being_changed_and_settles_it_later(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        with transaction.atomic():
            edit(row, now=at(1), schedule={"every_seconds": 90})
            assert run_in_thread(lambda: fire_due(at(1) + SECOND)).due == 0
            assert run_in_thread(lambda: settle_due(at(1) + SECOND)).due == 0
        tick(at(1) + SECOND)
        assert recorded() == [("pending", at(1), None, 1)]

    def test_two_clocks_settle_once(self, make_job: MakeJob):
        row = make_job(schedule=EVERY_MINUTE)
        pause(job_environments=[row], until=None, note="", now=at(3), actor=SYSTEM)
        with transaction.atomic():
            assert settle_due(at(3)).due == 1
            assert run_in_thread(lambda: settle_due(at(3))).due == 0
        assert recorded() == [("paused", at(1), at(3), 3)]


def test_the_migration_gives_existing_jobs_their_current_period(make_job: MakeJob):
    active, paused, until, disabled, late = (make_job(schedule=EVERY_MINUTE) for _ in range(5))
    now = timezone.now()
    pause(job_environments=[paused], until=None, note="audit", now=now, actor=SYSTEM)
    pause(job_environments=[until], until=now + 60 * MINUTE, note="", now=now, actor=SYSTEM)
    edit(disabled, now=now, schedule=EVERY_MINUTE, enabled=False)
    for row in (active, paused, until, disabled):
        JobEnvironment.objects.filter(pk=row.pk, next_fire_at__lt=now).update(next_fire_at=now + MINUTE)
    SchedulePeriod.objects.all().delete()
    JobEnvironment.objects.update(accounted_until=None)
    (first_periods,) = import_module("jobs.migrations.0004_first_periods").Migration.operations
    with connection.cursor() as cursor:
        for statement in first_periods.sql:
            cursor.execute(statement)
    states = [[state for state, _, _ in periods(row)] for row in (active, paused, until, disabled, late)]
    assert states == [["active"], ["paused"], ["paused", "active"], ["disabled"], ["active"]]
    assert paused.periods.get().note == "audit"
    assert_adjoining(until)
    assert late.periods.get().from_at < at(1)
    tick(at(1))
    assert Execution.objects.get().job_environment == late
