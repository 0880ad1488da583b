"""Begins the ledger of the jobs that there are: a period for the plan that is in force, from now on."""

from django.db import migrations

_ACCOUNTED = """
    UPDATE jobs_jobenvironment
       SET accounted_until = least(statement_timestamp(), next_fire_at - interval '1 microsecond')
"""
_IN_FORCE = """
    INSERT INTO jobs_scheduleperiod
           (id, job_environment_id, job_version_id, state, from_at, until_at, note, unsettled_from, followed_by)
    SELECT gen_random_uuid(), row.id, job.current_version_id,
           CASE WHEN job.deleted_at IS NOT NULL THEN 'ended'
                WHEN NOT row.enabled AND job.schedule_type = 'one_off' AND row.last_fired_at IS NOT NULL THEN 'ended'
                WHEN NOT row.enabled THEN 'disabled'
                WHEN row.paused_at IS NOT NULL AND coalesce(row.paused_until > row.accounted_until, true) THEN 'paused'
                ELSE 'active' END,
           row.accounted_until, NULL, row.pause_note, NULL, ''
      FROM jobs_jobenvironment AS row JOIN jobs_job AS job ON job.id = row.job_id
     WHERE job.current_version_id IS NOT NULL
"""
_PAUSED_UNTIL = """
    WITH paused AS (
        UPDATE jobs_scheduleperiod AS period
           SET until_at = row.paused_until, unsettled_from = period.from_at, followed_by = 'active'
          FROM jobs_jobenvironment AS row
         WHERE row.id = period.job_environment_id AND period.state = 'paused' AND row.paused_until IS NOT NULL
     RETURNING period.job_environment_id, period.job_version_id, period.until_at
    )
    INSERT INTO jobs_scheduleperiod
           (id, job_environment_id, job_version_id, state, from_at, until_at, note, unsettled_from, followed_by)
    SELECT gen_random_uuid(), job_environment_id, job_version_id, 'active', until_at, NULL, '', NULL, '' FROM paused
"""


class Migration(migrations.Migration):
    dependencies = [("jobs", "0003_schedule_periods")]

    operations = [migrations.RunSQL([_ACCOUNTED, _IN_FORCE, _PAUSED_UNTIL], migrations.RunSQL.noop)]
