"""The start page with a long history reads roll-ups, and index ranges of a constant size."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.actors import Actor
from dashboard.base.access import DashboardAccess
from dashboard.base.figures import SPANS, Span
from dashboard.base.overview import Overview
from jobs.models import JobEnvironment
from runs.models import Execution
from runs.monitoring.problem_jobs import find_problem_jobs, newest_failures
from runs.stats import rollups
from runs.workflows.awaiting import ApproverAccess
from tests.support.admin_rows import person
from tests.support.explain_plans import QueryCost
from tests.support.seeded_history import NEWEST, Seeded, seed_executions, seed_jobs

COUNT, JOBS = 20_000, 2000
#: The failures of each environment and trigger, and the latest executions of each job that they lead to.
MOST_READ = 2 * 5 * 100 + 40 * 60

_PLANNED = "UPDATE jobs_jobenvironment SET next_fire_at = %s + abs(hashtext(id::text)) %% 86400 * interval '1 second'"


@pytest.mark.usefixtures("fresh_tables")
def test_no_query_of_the_start_page_scans_history_or_jobs() -> None:
    seeded = seed_jobs(jobs=JOBS)
    seed_executions(COUNT, runs=False)
    while rollups.fold():
        pass
    assert Execution.objects.count() == COUNT
    ids = list(JobEnvironment.objects.filter(workspace=seeded.workspace).values_list("pk", flat=True)[:8])
    JobEnvironment.objects.filter(pk__in=ids[:5]).update(consecutive_failures=3)
    JobEnvironment.objects.filter(pk__in=ids[5:]).update(paused_at=NEWEST)
    with connection.cursor() as cursor:
        cursor.execute(_PLANNED, [NEWEST])
        cursor.execute("ANALYZE jobs_jobenvironment, runs_digest")
    mara = person("mara", workspace=seeded.workspace)
    access = DashboardAccess.of(mara)
    approver = ApproverAccess(Actor.of_user(mara), access.roles, frozenset(access.roles))
    for span in SPANS:
        for sql in _asked(access, span, approver):
            findings = QueryCost.of(sql)
            assert not findings.scanned_whole & {"runs_execution", "runs_digest"}, sql
            assert findings.read.get("runs_execution", 0) <= MOST_READ, sql
            # A digest per environment and hour; those of jobs are not read.
            assert findings.read.get("runs_digest", 0) <= 2 * 24 * 31, sql
    _trouble(access, seeded)


def _trouble(access: DashboardAccess, seeded: Seeded) -> None:
    """Failing and paused jobs are found without reading the other jobs."""
    places = access.narrow(JobEnvironment.objects.all())
    with CaptureQueriesContext(connection) as queries:
        found = find_problem_jobs(places, newest_failures([seeded.quiet.pk], now=NEWEST), now=NEWEST)
    assert len(found) >= 8
    for query in queries:
        findings = QueryCost.of(query["sql"])
        assert "jobs_jobenvironment" not in findings.scanned_whole, query["sql"]
        assert findings.read.get("jobs_jobenvironment", 0) <= 100, query["sql"]


def _asked(access: DashboardAccess, span: Span, approver: ApproverAccess) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        overview = Overview.of(access, span, NEWEST, approver=approver)
        assert overview.failures
        assert overview.problems
        assert overview.measured.total.counts["succeeded"]
    return [query["sql"] for query in queries]
