"""The cost per run of the indexes that only the history's filters use: WAL and time, alternately with and without them.

    manage.py with_services -- python -m bench.history_writes [--runs 10000] [--rounds 6]

Each round creates executions, claims them, inserts a run for each and finishes them, 500 at a time, as clock, claimer
and recorder do, in plain SQL.
"""

import argparse
import os
import statistics
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from tests.support.seeded_history import seed_jobs  # noqa: E402

BATCH = 500
INDEXES = ("execution_ended", "execution_failures")
_CREATE = """
    INSERT INTO runs_execution (id, workspace_id, job_id, environment_id, job_environment_id, job_version_id, trigger,
        status, scheduled_for, occurrences, skip_reason, created_at, enqueued_at, attempts, next_attempt_at,
        failure_reason, error)
    SELECT uuidv7(), state.workspace_id, state.job_id, state.environment_id, state.id, job.current_version_id,
        'schedule', 'pending', now() + %s * interval '1 second', 1, '', now(), now(), 0, now(), '', ''
      FROM (SELECT * FROM jobs_jobenvironment ORDER BY id LIMIT %s) AS state
      JOIN jobs_job AS job ON job.id = state.job_id
 RETURNING id::text
"""
_CLAIM = """
    UPDATE runs_execution SET status = 'running', attempts = 1, lease_owner = 'worker', lease_expires_at = now(),
        started_at = now() WHERE id = ANY(%s::uuid[])
"""
_RUNS = """
    INSERT INTO runs_run (id, workspace_id, job_id, environment_id, job_version_id, execution_id, step, number, trigger,
        status, failure_reason, error, started_at, finished_at, request_method, request_url, request_headers,
        request_body_encoding, response_headers, response_body, response_body_encoding, body_truncated, http_version,
        worker)
    SELECT uuidv7(), workspace_id, job_id, environment_id, job_version_id, id, '', 1, trigger, 'succeeded', '', '',
        now(), now(), 'GET', 'http://receiver.test/ok', '{"user-agent": "Hourhand"}', 'utf-8',
        '{"content-type": "text/plain"}', repeat('x', 200), 'utf-8', FALSE, '1.1', 'worker-1@host'
      FROM runs_execution WHERE id = ANY(%s::uuid[])
"""
_END = """
    UPDATE runs_execution SET status = 'succeeded', lease_owner = NULL, lease_expires_at = NULL, finished_at = now(),
        next_attempt_at = NULL WHERE id = ANY(%s::uuid[])
"""


def one_round(runs: int) -> tuple[float, float]:
    """Microseconds and bytes of WAL per run."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE runs_run, runs_execution")
        cursor.execute("SELECT pg_current_wal_insert_lsn()")
        before = cursor.fetchone()[0]
        started = time.perf_counter()
        for number in range(runs // BATCH):
            cursor.execute(_CREATE, [number, BATCH])
            ids = [row[0] for row in cursor.fetchall()]
            cursor.execute(_CLAIM, [ids])
            cursor.execute(_RUNS, [ids])
            cursor.execute(_END, [ids])
        seconds = time.perf_counter() - started
        cursor.execute("SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", [before])
        return seconds / runs * 1e6, float(cursor.fetchone()[0]) / runs


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    call_command("migrate", verbosity=0)
    seed_jobs(jobs=BATCH)
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE indexname = ANY(%s)", [list(INDEXES)])
        definitions = dict(cursor.fetchall())
    taken: dict[str, list[tuple[float, float]]] = {"without": [], "with": []}
    for _ in range(options.rounds):
        for variant, measured in taken.items():
            with connection.cursor() as cursor:
                for name, definition in definitions.items():
                    cursor.execute(f"DROP INDEX {name}" if variant == "without" else definition)
            measured.append(one_round(options.runs))
    for variant, measured in taken.items():
        micros, wal = (statistics.median(column) for column in zip(*measured, strict=True))
        print(f"{variant:8} the indexes: {micros:6.1f} us and {wal:6.0f} bytes of WAL per run")
    pairs = list(zip(taken["with"], taken["without"], strict=True))
    for column, name in enumerate(("time", "WAL")):
        ratio = statistics.median(more[column] / less[column] for more, less in pairs)
        print(f"{name}, median ratio of {options.rounds} rounds: {ratio:.3f}")


if __name__ == "__main__":
    main()
