"""What a page of the dashboard costs in a long history, beside a short one: its time, and the queries it makes.

    manage.py with_services -- python -m bench.pages [--short 10000] [--long 1000000] [--rounds 9]

Each has a database of its own, with two workspaces that share 2,000 jobs, and both are asked by turns, in one process,
by an owner of the first. A page's cost is the least of its rounds, since other work on the machine only adds to it: the
queries, the template, the test client. Where a list shows more rows of the long history, the ratio is that of unlike
pages.
"""

import argparse
import os
import time
from dataclasses import dataclass, field

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
django.setup()

from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.utils import timezone  # noqa: E402

from bench.history import seeded, use  # noqa: E402
from jobs.models import Job  # noqa: E402
from runs.models import Execution, Run  # noqa: E402
from runs.stats import rollups  # noqa: E402
from tests.support.admin_rows import person, signed_in  # noqa: E402

#: Pages of lists, by what people filter by; `{job}`, `{execution}` and `{run}` stand for the newest ones' ids, and
#: `{workspace}` for that of the workspace.
PAGES = (
    "/admin/",
    "/admin/jobs/job/",
    "/admin/jobs/job/?q=job-4",
    "/admin/jobs/job/?state=failing",
    "/admin/jobs/job/{job}/",
    "/admin/jobs/job/{job}/change/",
    "/admin/jobs/job/add/",
    "/admin/runs/execution/",
    "/admin/runs/execution/?status=failed",
    "/admin/runs/execution/?status=pending",
    "/admin/runs/execution/?trigger=manual",
    "/admin/runs/execution/?environment=quiet",
    "/admin/runs/execution/?failure_reason=ssl_error",
    "/admin/runs/execution/?since=24h",
    "/admin/runs/execution/?job={job}",
    "/admin/runs/execution/{execution}/change/",
    "/admin/runs/run/",
    "/admin/runs/run/?status=failed",
    "/admin/runs/run/{run}/change/",
    "/admin/accounts/workspace/{workspace}/change/",
    "/admin/accounts/environment/",
    "/admin/accounts/auditentry/",
)


@dataclass
class Place:
    """One of the two databases, with the person who looks and the addresses of the pages there."""

    name: str
    client: Client
    addresses: dict[str, str]
    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    queries: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    def look(self, page: str) -> None:
        """Open a page once and note what it took."""
        started = time.perf_counter()
        answer = self.client.get(self.addresses[page], headers={"host": "localhost"})
        self.milliseconds.setdefault(page, []).append((time.perf_counter() - started) * 1000)
        assert answer.status_code == 200, (self.addresses[page], answer.status_code)

    def count(self, page: str) -> None:
        with CaptureQueriesContext(connection) as captured:
            answer = self.client.get(self.addresses[page], headers={"host": "localhost"})
        self.queries[page] = len(captured)
        self.rows[page] = answer.content.count(b"<tr")


def prepared(name: str, count: int) -> Place:
    """A history up to now, for pages that look back from now, folded as the chores leave it, and somebody who may see
    it."""
    place = seeded(name, count, newest=timezone.now())
    while rollups.fold() >= rollups.FOLD_BATCH:
        pass
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE runs_digest, runs_endedslip")
    client = signed_in(person("owner", workspace=place.workspace, role="owner"))
    newest = {
        "workspace": place.workspace.pk,
        "job": Job.objects.filter(workspace=place.workspace).latest("pk").pk,
        "execution": Execution.objects.filter(workspace=place.workspace, status="failed").latest("pk").pk,
        "run": Run.objects.filter(workspace=place.workspace).latest("pk").pk,
    }
    return Place(name, client, {page: page.format(**newest) for page in PAGES})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--short", type=int, default=10_000)
    parser.add_argument("--long", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    short, long = prepared("short_pages", given.short), prepared("long_pages", given.long)
    # Each page is asked of one right after the other, so that whatever else the machine does falls on both.
    for _ in range(given.rounds):
        for page in PAGES:
            for place in (short, long):
                use(place.name)
                connection.ensure_connection()
                place.look(page)
    for place in (short, long):
        use(place.name)
        for page in PAGES:
            place.count(page)
    print(f"{'page':50} {'short ms':>9} {'rows':>5} {'long ms':>9} {'rows':>5} {'ratio':>6}  queries, short and long")
    for page in PAGES:
        before, after = min(short.milliseconds[page]), min(long.milliseconds[page])
        print(
            f"{page:50} {before:9.1f} {short.rows[page]:5} {after:9.1f} {long.rows[page]:5} {after / before:6.2f}"
            f"  {short.queries[page]} {long.queries[page]}"
        )


if __name__ == "__main__":
    main()
