"""What a page of executions costs in a long history, beside a short one: by the filter, and by what EXPLAIN says.

    manage.py with_services -- python -m bench.history [--short 10000] [--long 1000000] [--rounds 15] [--only job_name]

Each has a database of its own, with two workspaces that share 2,000 jobs, and both are asked by turns, in one process,
through the API itself: a page's cost is the median of its rounds, with the queries, the serialisation and the client.
Where a filter shows more rows of the long history, the ratio is that of unlike pages.
"""

import argparse
import contextlib
import datetime
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from bench import stage  # noqa: E402
from tests.support.api_caller import Caller, caller  # noqa: E402
from tests.support.explain_plans import QueryCost  # noqa: E402
from tests.support.seeded_history import NEWEST, Seeded, seed_executions, seed_jobs  # noqa: E402

JOBS = 2000
QUERIES = (
    "", "order=asc", "status=succeeded", "status=failed", "status=canceled", "status=pending", "trigger=schedule",
    "trigger=manual", "trigger=webhook", "environment=production", "environment=quiet", "failure_reason=timeout",
    "failure_reason=ssl_error", "job=job-4", "job_name=job 1", "job_name=none", "tag=often", "tag=once",
    "from=2026-03-01T11:00:00Z", "to=2026-03-01T11:00:00Z", "search=receiver.test/1", "search=certificate",
    "search=nowhere", "last_only=true", "sort=created_at", "sort=duration",
)  # fmt: skip


def measured(places: dict[str, Seeded], queries: Sequence[str], rounds: int) -> dict[str, dict[str, tuple[float, int]]]:
    """By database and filter: the milliseconds of a page, and how many rows it shows. The databases take turns."""
    taken: dict[str, dict[str, list[float]]] = {name: {query: [] for query in queries} for name in places}
    shown: dict[str, dict[str, int]] = {name: {} for name in places}
    keys = {name: asker(name, place) for name, place in places.items()}
    for _ in range(rounds):
        for name, api in keys.items():
            use(name)
            api.ask("GET", "/executions/", expect=200)
            for query in queries:
                started = time.perf_counter()
                answer = api.ask("GET", f"/executions/?{query}", expect=200)
                taken[name][query].append((time.perf_counter() - started) * 1000)
                shown[name][query] = len(answer["results"])
    return {
        name: {query: (statistics.median(times), shown[name][query]) for query, times in found.items()}
        for name, found in taken.items()
    }


def use(name: str) -> None:
    """Connect to another database from now on."""
    connection.close()
    connection.settings_dict["NAME"] = name


def asker(name: str, place: Seeded) -> Caller:
    use(name)
    api = caller(place.workspace)
    api.defaults["SERVER_NAME"] = "localhost"
    return api


def findings(api: Caller, query: str) -> QueryCost:
    """What EXPLAIN ANALYZE tells of a page's own query: the longest of those that are asked."""
    with CaptureQueriesContext(connection) as queries:
        api.ask("GET", f"/executions/?{query}", expect=200)
    pages = [query["sql"] for query in queries if 'FROM "runs_execution"' in query["sql"]]
    return QueryCost.of(max(pages, key=len))


def seeded(name: str, count: int, *, newest: datetime.datetime = NEWEST) -> Seeded:
    """A database of that name with so many executions, the last of them due at `newest`."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    use(name)
    call_command("migrate", verbosity=0)
    started = time.monotonic()
    place = seed_jobs(jobs=JOBS)
    seed_executions(count, newest=newest)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    stage.tell(f"{count:,} executions made in {time.monotonic() - started:.0f} s")
    return place


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the short history and of the long one: milliseconds and rows shown. EXPLAIN tells of the latter."""

    query: str
    before: float
    few: int
    after: float
    many: int
    found: QueryCost

    @property
    def ratio(self) -> float:
        return self.after / self.before

    @property
    def scanned(self) -> str:
        return ", ".join(sorted(self.found.scanned_whole)) or "none"


@contextlib.contextmanager
def databases(sizes: Mapping[str, int]) -> Iterator[dict[str, Seeded]]:
    """Databases of those names, each with so many executions; gone afterwards, and the first one used again."""
    first = connection.settings_dict["NAME"]
    try:
        yield {name: seeded(name, count) for name, count in sizes.items()}
    finally:
        use(first)
        with connection.cursor() as cursor:
            for name in sizes:
                cursor.execute(f"DROP DATABASE IF EXISTS {name}")


def compared(short: int, long: int, *, rounds: int, queries: Sequence[str] = QUERIES) -> list[Page]:
    """Each of these pages of both histories, by turns."""
    with databases({"short_history": short, "long_history": long}) as places:
        before, after = measured(places, queries, rounds).values()
        api = asker("long_history", places["long_history"])
        return [Page(query, *before[query], *after[query], findings(api, query)) for query in queries]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--short", type=int, default=10_000)
    parser.add_argument("--long", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="filters that begin so, or one of several with commas")
    given = parser.parse_args()
    queries = [query for query in QUERIES if query.startswith(tuple(given.only.split(",")))]
    pages = compared(given.short, given.long, rounds=given.rounds, queries=queries)
    print(f"{'filter':28} {'short ms':>9} {'rows':>5} {'long ms':>9} {'rows':>5} {'ratio':>6}  EXPLAIN of the long one")
    for page in pages:
        print(
            f"{page.query or '(none)':28} {page.before:9.1f} {page.few:5} {page.after:9.1f} {page.many:5}"
            f" {page.ratio:6.2f}  read {page.found.read.get('runs_execution', 0)}, largest sort {page.found.sorted},"
            f" scanned whole: {page.scanned}"
        )


if __name__ == "__main__":
    main()
