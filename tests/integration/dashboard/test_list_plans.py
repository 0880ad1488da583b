"""Lists of the dashboard with a long history read index ranges of the page's size, and never count."""

import html
import re
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from runs.models import Execution
from tests.support.admin_rows import execution_of, person, signed_in
from tests.support.explain_plans import QueryCost
from tests.support.seeded_history import NEWEST, Seeded, seed_executions, seed_jobs

pytestmark = pytest.mark.django_db
COUNT, JOBS, PAGE = 20_000, 120, 51
#: By the filter: how many ranges of an index a list of executions may read a page of. A job of few pages may be sorted
#: whole.
RANGES = {
    "": 1, "status=failed": 10, "status=pending": 1, "trigger=replay": 8, "environment=quiet": 20,
    "failure_reason=ssl_error": 1, "job=job-4": 4, "job_name=Job 1": 60, "tag=once": 4,
    "from=2026-03-01T09:00": 1, "search=nowhere": 42,
}  # fmt: skip
_SEARCHED = 2000  # failures that a search looks through
#: The same of runs.
RUN_RANGES = {
    "": 4, "status=failed": 4, "trigger=replay": 2, "failure_reason=ssl_error": 1, "job=job-4": 2,
    "environment=quiet": 4, "to=2026-03-01T09:00": 4,
}  # fmt: skip


@pytest.fixture
def seeded(fresh_tables: None) -> Seeded:
    found = seed_jobs(jobs=JOBS)
    seed_executions(COUNT)
    return found


def test_a_page_reads_no_more_than_its_size_with_any_filter(seeded: Seeded) -> None:
    member = signed_in(person("mara", workspace=seeded.workspace))
    root = signed_in(person("root", superuser=True))
    counts = []
    for client, workspaces in ((member, 1), (root, 2)):
        for query, ranges in RANGES.items():
            for sql in _asked(client, "runs_execution", query, counts):
                findings = QueryCost.of(sql)
                assert "runs_execution" not in findings.scanned_whole, query
                looked = _SEARCHED if query.startswith("search") else 0
                most = workspaces * (ranges * PAGE + looked) + PAGE
                assert findings.read.get("runs_execution", 0) <= most, (query, findings)
        for query, ranges in RUN_RANGES.items():
            for sql in _asked(client, "runs_run", query, counts):
                findings = QueryCost.of(sql)
                assert "runs_run" not in findings.scanned_whole, query
                assert findings.read.get("runs_run", 0) <= workspaces * (ranges + 1) * PAGE + PAGE, (query, findings)
    # The session, the person, their workspaces, the rows; and what a filter names.
    assert max(counts) <= 14, counts


def test_replays_of_an_execution_are_found_by_index(seeded: Seeded) -> None:
    oldest = Execution.objects.filter(workspace=seeded.workspace, facet__isnull=False).order_by("due_at")[0]
    row = oldest.job_environment
    execution_of(row, trigger="replay", replay_of=oldest, created_at=NEWEST)
    member = signed_in(person("mara", workspace=seeded.workspace))
    url = reverse("admin:runs_execution_change", args=[oldest.pk])
    with CaptureQueriesContext(connection) as queries:
        assert "Replayed as" in member.get(url).content.decode()
    for sql in _of_table(queries, "runs_execution"):
        findings = QueryCost.of(sql)
        assert "runs_execution" not in findings.scanned_whole
        assert findings.read.get("runs_execution", 0) <= 2 * PAGE, findings


def _asked(client: Client, table: str, query: str, counts: list[int]) -> Iterator[str]:
    """Return the queries of the first two pages on a table of history."""
    path, following = reverse(f"admin:{table}_changelist"), f"?{query}"
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(path + following)
        assert answer.status_code == 200
        assert "hh-error" not in answer.content.decode()
        counts.append(len(queries))
        yield from _of_table(queries, table)
        link = re.search(r'rel="next" href="([^"]+)"', answer.content.decode())
        if link is None:
            return
        following = html.unescape(link[1])


def _of_table(queries: CaptureQueriesContext, table: str) -> list[str]:
    return [query["sql"] for query in queries if table in query["sql"] and query["sql"].startswith("SELECT")]
