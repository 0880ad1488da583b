"""The list of jobs in each sort order: pages from an index, and the same few queries."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Environment, Workspace
from jobs.models import JobEnvironment
from tests.support.api_caller import Caller, caller
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
SORTS = ["name", "-name", "created_at", "-created_at", "next_fire_at", "-next_fire_at", "last_status", "-last_status"]
#: The key, its use, the jobs, their environments.
QUERIES = 5


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def slugs(page: dict[str, Any]) -> list[str]:
    return [row["slug"] for row in page["results"]]


def following(page: dict[str, Any]) -> str | None:
    return page["next"] and page["next"].partition("/api/v1")[2]


def test_the_worst_status_counts_and_unrun_jobs_come_last(api: Caller, make_job: MakeJob, workspace: Workspace) -> None:
    staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    rows = {slug: make_job(slug=slug) for slug in ("good", "bad", "new", "half")}
    for slug, status in (("good", "succeeded"), ("bad", "failed"), ("half", "succeeded")):
        JobEnvironment.objects.filter(pk=rows[slug].pk).update(last_status=status)
    JobEnvironment.objects.create(workspace=workspace, job=rows["half"].job, environment=staging, last_status="failed")
    assert slugs(api.ask("GET", "/jobs/?sort=last_status", expect=200)) == ["bad", "half", "good", "new"]
    assert slugs(api.ask("GET", "/jobs/?sort=-last_status", expect=200)) == ["good", "half", "bad", "new"]
    assert slugs(api.ask("GET", "/jobs/?sort=last_status&environment=production&limit=1")) == ["bad"]


@pytest.mark.parametrize("sort", SORTS)
def test_pages_cover_every_sort_order(api: Caller, make_job: MakeJob, sort: str) -> None:
    for number in range(7):
        row = make_job(slug=f"job-{number}", name="Same" if number % 2 else "Other")
        JobEnvironment.objects.filter(pk=row.pk).update(last_status=["", "failed", "succeeded"][number % 3])
    whole = slugs(api.ask("GET", f"/jobs/?sort={sort}", expect=200))
    path: str | None = f"/jobs/?sort={sort}&limit=2"
    found: list[str] = []
    while path:
        with CaptureQueriesContext(connection) as queries:
            page = api.ask("GET", path, expect=200)
        assert len(queries) <= QUERIES
        found += slugs(page)
        path = following(page)
    assert found == whole


@pytest.mark.usefixtures("fresh_tables")
@pytest.mark.parametrize(("sort", "index"), [("name", "job_list_name"), ("-created_at", "job_list_created")])
def test_a_page_by_name_or_age_is_read_from_an_index(api: Caller, make_job: MakeJob, sort: str, index: str) -> None:
    for _ in range(3):
        make_job()
    path = following(api.ask("GET", f"/jobs/?sort={sort}&limit=1"))
    with CaptureQueriesContext(connection) as queries:
        api.ask("GET", path or "", expect=200)
    [page] = [query["sql"] for query in queries if "ROW(" in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN (COSTS OFF) {page}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert f"using {index}" in plan.lower(), plan
    assert "Sort" not in plan, plan
