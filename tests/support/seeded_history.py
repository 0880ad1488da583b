"""A long history, generated in the database: two workspaces, many jobs, every outcome."""

import datetime
from dataclasses import dataclass

from django.db import connection

from accounts.models import Environment, Workspace
from accounts.services import create_workspace
from jobs.models import Job, JobEnvironment, JobVersion, ScheduleType
from tests.support.jobs import job_config

NEWEST = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
#: One of so many executions has a rare failure reason or trigger.
RARE = 5000
_EXECUTIONS = """
    INSERT INTO runs_execution (id, workspace_id, job_id, environment_id, job_environment_id, job_version_id, trigger,
        status, scheduled_for, occurrences, skip_reason, created_at, started_at, finished_at, attempts, next_attempt_at,
        failure_reason, error)
    SELECT uuidv7((%(newest)s - n * interval '1 second') - clock_timestamp()), state.workspace_id, state.job_id,
        state.environment_id, state.id, job.current_version_id, made.trigger, ending.status,
        CASE WHEN made.trigger = 'schedule' THEN due.at END, 1,
        CASE WHEN ending.status = 'skipped' THEN 'missed' ELSE '' END, due.at, due.at,
        CASE WHEN ending.status <> 'pending' THEN due.at + (n %% 977) * interval '1 millisecond' END, 1,
        CASE WHEN ending.status = 'pending' THEN due.at END,
        CASE WHEN ending.status <> 'failed' THEN '' WHEN n %% %(rare)s = 11 THEN 'ssl_error' ELSE 'timeout' END,
        CASE WHEN ending.status <> 'failed' THEN '' WHEN n %% %(rare)s = 11 THEN 'certificate expired'
             ELSE 'timed out after 30 s' END
      FROM generate_series(0, %(count)s - 1) AS n
      CROSS JOIN LATERAL (SELECT %(newest)s - n * interval '1 second' AS at) AS due
      CROSS JOIN LATERAL (SELECT CASE WHEN n %% %(rare)s = 3 THEN 'replay' WHEN n %% 50 = 1 THEN 'manual'
                                      ELSE 'schedule' END AS trigger) AS made
      CROSS JOIN LATERAL (SELECT CASE WHEN n < 40 THEN 'pending' WHEN n %% %(rare)s = 11 OR n %% 20 = 2 THEN 'failed'
                                      WHEN n %% %(rare)s = 7 THEN 'canceled' WHEN n %% 100 = 5 THEN 'skipped'
                                      ELSE 'succeeded' END AS status) AS ending
      JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place FROM jobs_jobenvironment) AS state
           ON state.place = (n * 7919::bigint) %% %(states)s
      JOIN jobs_job AS job ON job.id = state.job_id
     ORDER BY n DESC
"""
_RUNS = """
    INSERT INTO runs_run (id, workspace_id, job_id, environment_id, job_version_id, execution_id, step, number, trigger,
        status, failure_reason, error, started_at, finished_at, duration_ms, request_method, request_url,
        request_headers, request_body_encoding, response_status, response_headers, response_body,
        response_body_encoding, body_truncated, http_version, worker)
    SELECT uuidv7(started_at - clock_timestamp()), workspace_id, job_id, environment_id, job_version_id, id, '', 1,
        trigger, status, failure_reason, error, started_at, finished_at, 100, 'GET', 'http://receiver.test/ok', '{}',
        'utf-8', 200, '{}', repeat('x', 100), 'utf-8', FALSE, '1.1', 'worker'
      FROM runs_execution WHERE status IN ('succeeded', 'failed') ORDER BY created_at
"""


@dataclass(frozen=True)
class Seeded:
    """The first workspace, which has half of the history."""

    workspace: Workspace
    #: An environment with few jobs.
    quiet: Environment


def seed_jobs(*, jobs: int) -> Seeded:
    """Create two workspaces with `jobs` jobs together, all in production, every fiftieth in `quiet` too."""
    workspaces = [create_workspace(slug=slug, name=slug) for slug in ("acme", "other")]
    quiet = [Environment.objects.create(workspace=workspace, slug="quiet", name="Quiet") for workspace in workspaces]
    busy = [workspace.environments.get(slug="production") for workspace in workspaces]
    config = job_config()
    made = [
        Job(workspace=workspaces[n % 2], slug=f"job-{n}", name=f"Job {n}", schedule_type=ScheduleType.RECURRING,
            url=f"http://receiver.test/{n}", tags=["often"] if n % 5 == 0 else ["once"] if n < 2 else [])
        for n in range(jobs)
    ]  # fmt: skip
    Job.objects.bulk_create(made)
    versions = [JobVersion(job=job, number=1, config=config) for job in made]
    JobVersion.objects.bulk_create(versions)
    for job, version in zip(made, versions, strict=True):
        job.current_version = version
    Job.objects.bulk_update(made, ["current_version"], batch_size=500)
    JobEnvironment.objects.bulk_create(
        JobEnvironment(workspace=job.workspace, job=job, environment=place[n % 2])
        for n, job in enumerate(made)
        for place in ([busy, quiet] if n % 100 < 2 else [busy])
    )
    return Seeded(workspaces[0], quiet[0])


def seed_executions(count: int, *, runs: bool = True, newest: datetime.datetime = NEWEST) -> None:
    """Create executions of the existing jobs, one per second up to `newest`, and with `runs` their runs."""
    columns = {"count": count, "newest": newest, "rare": RARE, "states": JobEnvironment.objects.count()}
    with connection.cursor() as cursor:
        cursor.execute(_EXECUTIONS, columns)
        if runs:
            cursor.execute(_RUNS)
        cursor.execute("ANALYZE runs_execution, runs_run, jobs_job, jobs_jobenvironment, jobs_jobversion")
