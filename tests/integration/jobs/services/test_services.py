"""Saving, pausing and resuming jobs: versions, and no unscheduled firing."""

import datetime

import pytest

from accounts.actors import SYSTEM
from accounts.models import Environment
from jobs.errors import SlugTakenError
from jobs.models import Job, JobEnvironment, JobVersion
from jobs.services.save import EnvironmentChange, delete_job, pause, resume, save_job
from runs.clock.fire import fire_due
from tests.support.jobs import EPOCH, MakeJob, job_config

MINUTE = datetime.timedelta(minutes=1)
LATER = EPOCH + 90 * MINUTE


def edit(row: JobEnvironment, *, now: datetime.datetime = LATER, environments=None, **changes) -> JobEnvironment:
    save_job(
        workspace=row.job.workspace,
        job=row.job,
        slug=None,
        config=job_config(**changes),
        environments=environments,
        now=now,
        actor=SYSTEM,
    )
    return JobEnvironment.objects.select_related("job__current_version", "environment").get(pk=row.pk)


def test_every_change_makes_a_version_and_no_change_makes_none(make_job: MakeJob):
    row = make_job(schedule="0 * * * *")
    edit(row, schedule="0 * * * *")
    assert JobVersion.objects.count() == 1
    edited = edit(row, schedule="0 * * * *", request={"body": "x"})
    assert edited.job.current_version.number == 2
    assert JobVersion.objects.get(number=1).config["request"]["body"] is None


def test_an_edit_that_leaves_the_timing_alone_leaves_the_next_firing_alone(make_job: MakeJob):
    row = make_job(schedule={"every_seconds": 60})
    assert edit(row, schedule={"every_seconds": 60}, description="x").next_fire_at == row.next_fire_at


def test_neither_an_edit_nor_enabling_nor_resuming_fires_at_once_or_catches_up(make_job: MakeJob):
    row = make_job(schedule={"every_seconds": 3600})
    edited = edit(row, schedule={"every_seconds": 1800})
    assert edited.next_fire_at == EPOCH + 120 * MINUTE
    off = edit(
        edited, schedule={"every_seconds": 1800}, environments=[EnvironmentChange(row.environment, enabled=False)]
    )
    assert (off.enabled, off.next_fire_at) == (False, None)
    on = edit(
        off,
        now=EPOCH + 200 * MINUTE,
        schedule={"every_seconds": 1800},
        environments=[EnvironmentChange(row.environment, enabled=True)],
    )
    assert on.next_fire_at == EPOCH + 210 * MINUTE
    pause(job_environments=[on], until=None, note="audit", now=EPOCH + 205 * MINUTE, actor=SYSTEM)
    on.refresh_from_db()
    assert (on.next_fire_at, on.pause_note) == (None, "audit")
    resume(job_environments=[on], now=EPOCH + 400 * MINUTE, actor=SYSTEM)
    on.refresh_from_db()
    assert (on.next_fire_at, on.paused_at, on.pause_note) == (EPOCH + 420 * MINUTE, None, "")


def test_a_pause_until_a_date_ends_by_itself(make_job: MakeJob):
    row = make_job(schedule={"every_seconds": 3600})
    pause(job_environments=[row], until=EPOCH + 150 * MINUTE, note="", now=EPOCH, actor=SYSTEM)
    row.refresh_from_db()
    assert row.next_fire_at == EPOCH + 180 * MINUTE
    fire_due(EPOCH + 180 * MINUTE)
    row.refresh_from_db()
    assert (row.paused_at, row.paused_until, row.last_fired_at) == (None, None, EPOCH + 180 * MINUTE)


def test_a_completed_one_off_is_enabled_again_by_a_new_time(make_job: MakeJob):
    row = make_job(schedule="2026-03-01T12:30:00Z")
    fire_due(EPOCH + 30 * MINUTE)
    again = edit(row, schedule="2026-03-02T12:30:00Z")
    assert (again.enabled, again.next_fire_at) == (True, EPOCH + 24 * 60 * MINUTE + 30 * MINUTE)


def test_a_new_time_does_not_enable_a_disabled_job(make_job: MakeJob):
    row = make_job(schedule="2026-03-01T12:30:00Z")
    JobEnvironment.objects.update(enabled=False, next_fire_at=None)
    assert not edit(row, schedule="2026-03-02T12:30:00Z").enabled


def test_the_schedule_now_fires_at_once(make_job: MakeJob):
    row = make_job(schedule=EPOCH.isoformat())
    assert row.next_fire_at == EPOCH
    assert len(fire_due(EPOCH).execution_ids) == 1


def test_a_slug_is_made_from_the_name_and_unique_among_live_jobs(make_job: MakeJob):
    first = make_job(name="Nächtlicher Report!")
    second = make_job(name="Nächtlicher Report!")
    assert (first.job.slug, second.job.slug) == ("nachtlicher-report", "nachtlicher-report-2")
    with pytest.raises(SlugTakenError):
        make_job(slug="nachtlicher-report")
    delete_job(job=first.job, now=LATER, actor=SYSTEM)
    assert make_job(slug="nachtlicher-report").job.pk != first.job.pk


def test_a_deleted_job_never_fires_again(make_job: MakeJob):
    row = make_job(schedule={"every_seconds": 60})
    delete_job(job=row.job, now=EPOCH, actor=SYSTEM)
    assert fire_due(LATER).due == 0
    assert not Job.objects.live().exists()


def test_a_new_job_is_enabled_in_the_first_environment_only(make_job: MakeJob, workspace):
    Environment.objects.create(workspace=workspace, slug="aaa-staging", name="Staging")
    row = make_job()
    assert row.environment.slug == "production"
