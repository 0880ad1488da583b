"""A page of a long history reads index ranges of the page's size with any filter."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runs.models import Execution
from tests.support.api_caller import Caller, caller
from tests.support.explain_plans import QueryCost
from tests.support.seeded_history import seed_executions, seed_jobs

pytestmark = pytest.mark.usefixtures("fresh_tables")
COUNT, JOBS = 40_000, 300
PAGE = 51
#: By filter: the number of index ranges from which it may read a page.
RANGES = {
    "": 1,
    "order=asc": 1,
    "status=succeeded": 10,
    "status=failed": 10,
    "status=canceled": 10,
    "status=pending": 1,
    "status=failed,skipped": 20,
    "trigger=schedule": 8,
    "trigger=manual": 8,
    "trigger=replay": 8,
    "environment=production": 20,
    "environment=quiet": 20,
    "failure_reason=timeout": 1,
    "failure_reason=ssl_error": 1,
    "failure_reason=dns_error": 1,
    "job=job-4": 2,
    "job_name=JOB 1": 60,
    "job_name=none": 1,
    "tag=often": 60,
    "tag=once": 2,
    "from=2026-03-01T09:00:00Z": 1,
    "to=2026-03-01T09:00:00Z": 1,
    "search=receiver.test/1": 55,
    "search=certificate": 42,
    "search=nowhere": 42,
    "last_only=true": 12,
}


def test_a_page_is_read_from_index_ranges_of_its_size_whatever_the_filter() -> None:
    seeded = seed_jobs(jobs=JOBS)
    seed_executions(COUNT, runs=False)
    api = caller(seeded.workspace)
    assert Execution.objects.count() == COUNT
    counts = {}
    for query, ranges in RANGES.items():
        with CaptureQueriesContext(connection) as queries:
            first = api.ask("GET", f"/executions/?{query}", expect=200)
        counts[query] = len(queries)
        asked = [*_pages(queries), *_second_page(api, first["next"])]
        for sql in asked:
            findings = QueryCost.of(sql)
            looked_through = 2000 if query.startswith("search") else 0
            assert "runs_execution" not in findings.scanned_whole, query
            assert findings.sorted <= ranges * PAGE, query
            # The rows are read once more by id; a search reads failures until it has enough.
            assert findings.read.get("runs_execution", 0) <= (ranges + 1) * PAGE + looked_through, query
    # Environments are listed if a filter needs a range for each.
    assert max(counts.values()) <= 7, counts
    _orders(api)


#: By filter of runs: the number of index ranges from which it may read a page. None of them is rare enough to read far.
RUN_RANGES = {
    "": 4,
    "status=succeeded": 4,
    "status=failed": 4,
    "status=canceled": 1,
    "trigger=schedule": 4,
    "trigger=manual": 4,
    "trigger=replay": 2,
    "trigger=retry": 1,
    "environment=quiet": 4,
    "environment=production&status=failed": 2,
    "failure_reason=ssl_error": 1,
    "failure_reason=dns_error": 1,
    "to=2026-03-01T09:00:00Z": 4,
    "from=2026-03-01T11:59:00Z": 4,
    "job=job-4": 2,
}


def test_a_page_of_runs_is_read_from_index_ranges_of_its_size_whatever_the_filter() -> None:
    seeded = seed_jobs(jobs=JOBS)
    seed_executions(COUNT // 2)
    api = caller(seeded.workspace)
    for query, ranges in RUN_RANGES.items():
        with CaptureQueriesContext(connection) as queries:
            first = api.ask("GET", f"/runs/?{query}", expect=200)
            if first["next"]:
                api.ask("GET", first["next"].partition("/api/v1")[2], expect=200)
        pages = [query["sql"] for query in queries if 'ORDER BY "runs_run"."id"' in query["sql"]]
        assert pages, query
        for sql in pages:
            findings = QueryCost.of(sql)
            assert "runs_run" not in findings.scanned_whole, query
            # A job with little more than a page may be sorted in full.
            assert findings.sorted <= (ranges + 1) * PAGE, query
            # The page's ranges of ids, its rows, and the first attempt of each. Ten minutes before `from` hold 300.
            early = 300 if query.startswith("from") else 0
            assert findings.read["runs_run"] <= (ranges + 3) * PAGE + early, query


def _orders(api: Caller) -> None:
    for query in ("sort=created_at", "sort=created_at&order=asc"):
        with CaptureQueriesContext(connection) as queries:
            api.ask("GET", f"/executions/?{query}", expect=200)
        [sql] = [query["sql"] for query in queries if 'ORDER BY "runs_execution"."id"' in query["sql"]]
        assert QueryCost.of(sql).sorted == 0


def _second_page(api: Caller, link: str | None) -> list[str]:
    if link is None:
        return []
    with CaptureQueriesContext(connection) as queries:
        api.ask("GET", link.partition("/api/v1")[2], expect=200)
    return _pages(queries)


def _pages(queries: CaptureQueriesContext) -> list[str]:
    return [query["sql"] for query in queries if re.search(r'ORDER BY "runs_execution"."due_at"', query["sql"])]
