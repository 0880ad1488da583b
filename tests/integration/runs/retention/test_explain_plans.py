"""Retention in a long history reads index ranges, never a whole table."""

from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from jobs.models import Job
from runs.retention import prune, purge
from runs.retention import rules as retention
from tests.support.explain_plans import ExplainingCursor
from tests.support.seeded_history import NEWEST, seed_executions, seed_jobs

COUNT, JOBS = 30_000, 20
LIMIT = 100


@pytest.fixture(autouse=True)
def _long_history(fresh_tables: None) -> None:
    seed_jobs(jobs=JOBS)
    seed_executions(COUNT)


@pytest.fixture
def asked() -> Iterator[ExplainingCursor]:
    with connection.cursor() as cursor:
        yield ExplainingCursor(cursor)


def job_with_most() -> Job:
    return Job.objects.order_by("pk")[1]


def test_a_batch_reads_only_what_it_removes_by_index(asked: ExplainingCursor) -> None:
    rule = retention.Rule(job_with_most().pk, keep_last=200, keep_days=None)
    history = retention.Prunable(rule, retention.cuts([rule])[rule.job_id], NEWEST)
    with transaction.atomic():
        assert history.prune(asked, LIMIT).executions == LIMIT
    assert len(asked.explained) == 8
    for sql, findings in asked.explained:
        assert not {"runs_execution", "runs_run"} & findings.scanned_whole, sql
        # Failures that are kept are skipped; of each scheduled one its environment's last is looked up.
        assert findings.read.get("runs_execution", 0) <= 6 * LIMIT, (sql, findings)


def test_cuts_are_found_without_reading_further(asked: ExplainingCursor) -> None:
    rules = [retention.Rule(job, keep_last=50, keep_days=None) for job in Job.objects.values_list("pk", flat=True)]
    asked.execute(retention._CUTS, [[str(rule.job_id) for rule in rules], [50] * len(rules)])
    [(_, findings)] = asked.explained
    assert "runs_execution" not in findings.scanned_whole
    # Live ones among them are skipped; there are 40.
    assert findings.read["runs_execution"] <= JOBS * 2 * 51 + 40


def test_a_purged_job_is_removed_by_index_too(asked: ExplainingCursor) -> None:
    job = job_with_most()
    asked.execute(purge._ENDED, [job.pk, LIMIT])
    ids = [row[0] for row in asked.fetchall()]
    assert len(ids) == LIMIT
    prune.remove(asked, ids)
    for sql, findings in asked.explained:
        assert not {"runs_execution", "runs_run"} & findings.scanned_whole, sql
        assert findings.read.get("runs_execution", 0) <= 2 * LIMIT, sql


def test_no_other_query_of_a_purge_scans_a_table() -> None:
    """Foreign keys too: each column that refers to removed rows has an index."""
    indexed = """
        SELECT DISTINCT index.indrelid::regclass::text, attribute.attname
          FROM pg_index AS index JOIN pg_attribute AS attribute
            ON attribute.attrelid = index.indrelid AND attribute.attnum = index.indkey[0]
         WHERE index.indpred IS NULL
    """
    removed = (
        "jobs_job",
        "jobs_jobversion",
        "jobs_jobenvironment",
        "jobs_scheduleperiod",
        "runs_execution",
        "runs_run",
    )
    referring = """
        SELECT conrelid::regclass::text, attribute.attname
          FROM pg_constraint JOIN pg_attribute AS attribute
            ON attribute.attrelid = conrelid AND attribute.attnum = conkey[1]
         WHERE contype = 'f' AND confrelid::regclass::text = ANY(%s)
    """
    with connection.cursor() as cursor:
        cursor.execute(indexed)
        known = set(cursor.fetchall())
        cursor.execute(referring, [list(removed)])
        assert set(cursor.fetchall()) - known == set()
