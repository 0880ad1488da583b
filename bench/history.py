"""The cost of a page of executions in a long history against a short one, by filter and by EXPLAIN.

    manage.py with_services -- python -m bench.history [--short 10000] [--long 1000000] [--rounds 15] [--only job_name]

Each history has its own database, with two workspaces that share 2,000 jobs. Both are queried alternately, in one
process, through the API: a page's cost is the median of its rounds, including queries, serialization and the test
client. If a filter shows more rows of the long history, the pages are not comparable.
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
    "trigger=manual", "trigger=replay", "environment=production", "environment=quiet", "failure_reason=timeout",
    "failure_reason=ssl_error", "job=job-4", "job_name=job 1", "job_name=none", "tag=often", "tag=once",
    "from=2026-03-01T11:00:00Z", "to=2026-03-01T11:00:00Z", "search=receiver.test/1", "search=certificate",
    "search=nowhere", "last_only=true", "sort=created_at", "sort=duration",
)  # fmt: skip


def measured(
    databases: dict[str, Seeded], queries: Sequence[str], rounds: int
) -> dict[str, dict[str, tuple[float, int]]]:
    """By database and filter: the milliseconds of a page and its rows. The databases alternate."""
    taken: dict[str, dict[str, list[float]]] = {name: {query: [] for query in queries} for name in databases}
    shown: dict[str, dict[str, int]] = {name: {} for name in databases}
    clients = {name: client(name, database) for name, database in databases.items()}
    for _ in range(rounds):
        for name, api in clients.items():
            use(name)
            api.ask("GET", "/executions/", expect=200)
            for query in queries:
                started = time.perf_counter()
                response = api.ask("GET", f"/executions/?{query}", expect=200)
                taken[name][query].append((time.perf_counter() - started) * 1000)
                shown[name][query] = len(response["results"])
    return {
        name: {query: (statistics.median(times), shown[name][query]) for query, times in by_query.items()}
        for name, by_query in taken.items()
    }


def use(name: str) -> None:
    """Connect to another database from now on."""
    connection.close()
    connection.settings_dict["NAME"] = name


def client(name: str, database: Seeded) -> Caller:
    use(name)
    api = caller(database.workspace)
    api.defaults["SERVER_NAME"] = "localhost"
    return api


def findings(api: Caller, query: str) -> QueryCost:
    """EXPLAIN ANALYZE of a page's main query, which is its longest."""
    with CaptureQueriesContext(connection) as queries:
        api.ask("GET", f"/executions/?{query}", expect=200)
    pages = [query["sql"] for query in queries if 'FROM "runs_execution"' in query["sql"]]
    return QueryCost.of(max(pages, key=len))


def seeded(name: str, count: int, *, newest: datetime.datetime = NEWEST) -> Seeded:
    """Create a database with `count` executions, the last of them due at `newest`."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    use(name)
    call_command("migrate", verbosity=0)
    started = time.monotonic()
    database = seed_jobs(jobs=JOBS)
    seed_executions(count, newest=newest)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    stage.report(f"{count:,} executions created in {time.monotonic() - started:.0f} s")
    return database


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the short and the long history: milliseconds and rows. `cost` is EXPLAIN's of the latter."""

    query: str
    before: float
    few: int
    after: float
    many: int
    cost: QueryCost

    @property
    def ratio(self) -> float:
        return self.after / self.before

    @property
    def scanned(self) -> str:
        return ", ".join(sorted(self.cost.scanned_whole)) or "none"


@contextlib.contextmanager
def databases(sizes: Mapping[str, int]) -> Iterator[dict[str, Seeded]]:
    """Create databases with the given numbers of executions; drop them afterwards."""
    first = connection.settings_dict["NAME"]
    try:
        yield {name: seeded(name, count) for name, count in sizes.items()}
    finally:
        use(first)
        with connection.cursor() as cursor:
            for name in sizes:
                cursor.execute(f"DROP DATABASE IF EXISTS {name}")


def compared(short: int, long: int, *, rounds: int, queries: Sequence[str] = QUERIES) -> list[Page]:
    """Each page of both histories, alternately."""
    with databases({"short_history": short, "long_history": long}) as histories:
        before, after = measured(histories, queries, rounds).values()
        api = client("long_history", histories["long_history"])
        return [Page(query, *before[query], *after[query], findings(api, query)) for query in queries]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--short", type=int, default=10_000)
    parser.add_argument("--long", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--only", default="", help="only filters with this prefix, or one of several separated by commas"
    )
    options = parser.parse_args()
    queries = [query for query in QUERIES if query.startswith(tuple(options.only.split(",")))]
    pages = compared(options.short, options.long, rounds=options.rounds, queries=queries)
    print(f"{'filter':28} {'short ms':>9} {'rows':>5} {'long ms':>9} {'rows':>5} {'ratio':>6}  EXPLAIN of the long")
    for page in pages:
        print(
            f"{page.query or '(none)':28} {page.before:9.1f} {page.few:5} {page.after:9.1f} {page.many:5}"
            f" {page.ratio:6.2f}  read {page.cost.read.get('runs_execution', 0)}, largest sort {page.cost.sorted},"
            f" scanned whole: {page.scanned}"
        )


if __name__ == "__main__":
    main()
