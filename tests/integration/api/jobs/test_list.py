"""The list of jobs through the API: filters, sort orders, pages and number of queries."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Workspace
from tests.support.api_caller import JOB, Caller, caller
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
#: Queries of a page of jobs: the key, its last use, the jobs, their environments.
LIST_QUERIES = 4


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def job(**changes: Any) -> dict[str, Any]:
    return {**JOB, **changes}


class TestListing:
    @pytest.fixture
    def three(self, api: Caller) -> None:
        api.ask("PUT", "/jobs/alpha/", job(name="Alpha", schedule="0 0 1 1 *", tags=["x"]))
        api.ask("PUT", "/jobs/beta/", job(name="Beta", environments={"production": {"enabled": False}}))
        gamma = job(name="Gamma", schedule="* * * * *", request={"url": "http://receiver.test/other"})
        api.ask("PUT", "/jobs/gamma/", gamma)

    @pytest.mark.parametrize(
        ("query", "slugs"),
        [
            ("", ["gamma", "beta", "alpha"]),
            ("?sort=created_at", ["alpha", "beta", "gamma"]),
            ("?sort=-name", ["gamma", "beta", "alpha"]),
            ("?sort=next_fire_at", ["gamma", "alpha", "beta"]),
            ("?sort=-next_fire_at", ["alpha", "gamma", "beta"]),
            ("?enabled=true&sort=name", ["alpha", "gamma"]),
            ("?enabled=false", ["beta"]),
            ("?environment=production&enabled=false", ["beta"]),
            ("?environment=nowhere", []),
            ("?kind=http&tag=x", ["alpha"]),
            ("?schedule_type=manual", ["beta"]),
            ("?search=OTHER", ["gamma"]),
            ("?search=alph", ["alpha"]),
            ("?offset=1&limit=1", ["beta"]),
        ],
    )
    def test_filters_and_sorts(self, api: Caller, three: None, query: str, slugs: list[str]) -> None:
        found = api.ask("GET", f"/jobs/{query}", expect=200)["results"]
        assert [row["slug"] for row in found] == slugs

    @pytest.mark.parametrize("sort", ["name", "-created_at", "next_fire_at", "-next_fire_at"])
    def test_pages_cover_every_job_in_both_directions(self, api: Caller, three: None, sort: str) -> None:
        whole = [row["slug"] for row in api.ask("GET", f"/jobs/?sort={sort}")["results"]]
        path, there, pages = f"/jobs/?sort={sort}&limit=1", [], []
        while path:
            page = api.ask("GET", path, expect=200)
            pages.append(page)
            there += [row["slug"] for row in page["results"]]
            path = page["next"] and page["next"].partition("/api/v1")[2]
        assert there == whole
        back = pages[-1]
        for expected in reversed(whole[:-1]):
            back = api.ask("GET", back["previous"].partition("/api/v1")[2], expect=200)
            assert [row["slug"] for row in back["results"]] == [expected]
        assert back["previous"] is None

    def test_takes_the_same_few_queries_for_any_number_of_jobs(self, api: Caller, make_job: MakeJob) -> None:
        for count in (1, 10):
            for _ in range(count):
                make_job(schedule="0 2 * * *")
            with CaptureQueriesContext(connection) as queries:
                api.ask("GET", "/jobs/", expect=200)
            assert len(queries) == LIST_QUERIES, [query["sql"][:120] for query in queries]
