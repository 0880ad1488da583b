"""The cost of the dashboard's pages in a long history against a short one: time and number of queries.

    manage.py with_services -- python -m bench.pages [--short 10000] [--long 1000000] [--rounds 9]

Each history has its own database, with two workspaces that share 2,000 jobs. Both are queried alternately, in one
process, by an owner of the first workspace. A page's cost is the minimum of its rounds, because other work on the
machine only adds to it, and includes queries, templates and the test client. If a list shows more rows of the long
history, the pages are not comparable.
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

#: Pages and filtered lists. `{job}`, `{execution}` and `{run}` are the ids of the newest ones, `{workspace}` is the
#: workspace's.
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
class History:
    """One of the two databases, with a signed-in client and the paths of its pages."""

    name: str
    client: Client
    paths: dict[str, str]
    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    queries: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    def open(self, page: str) -> None:
        """Open a page once and record its time."""
        started = time.perf_counter()
        response = self.client.get(self.paths[page], headers={"host": "localhost"})
        self.milliseconds.setdefault(page, []).append((time.perf_counter() - started) * 1000)
        assert response.status_code == 200, (self.paths[page], response.status_code)

    def count(self, page: str) -> None:
        with CaptureQueriesContext(connection) as captured:
            response = self.client.get(self.paths[page], headers={"host": "localhost"})
        self.queries[page] = len(captured)
        self.rows[page] = response.content.count(b"<tr")


def prepared(name: str, count: int) -> History:
    """Create a history that ends now, with rollups as the maintenance tasks leave them, and an owner's client."""
    database = seeded(name, count, newest=timezone.now())
    while rollups.fold() >= rollups.FOLD_BATCH:
        pass
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE runs_digest, runs_endedslip")
    client = signed_in(person("owner", workspace=database.workspace, role="owner"))
    newest = {
        "workspace": database.workspace.pk,
        "job": Job.objects.filter(workspace=database.workspace).latest("pk").pk,
        "execution": Execution.objects.filter(workspace=database.workspace, status="failed").latest("pk").pk,
        "run": Run.objects.filter(workspace=database.workspace).latest("pk").pk,
    }
    return History(name, client, {page: page.format(**newest) for page in PAGES})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--short", type=int, default=10_000)
    parser.add_argument("--long", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    short, long = prepared("short_pages", options.short), prepared("long_pages", options.long)
    # Alternately, so that other work on the machine affects both.
    for _ in range(options.rounds):
        for page in PAGES:
            for history in (short, long):
                use(history.name)
                connection.ensure_connection()
                history.open(page)
    for history in (short, long):
        use(history.name)
        for page in PAGES:
            history.count(page)
    print(f"{'page':50} {'short ms':>9} {'rows':>5} {'long ms':>9} {'rows':>5} {'ratio':>6}  queries, short and long")
    for page in PAGES:
        before, after = min(short.milliseconds[page]), min(long.milliseconds[page])
        print(
            f"{page:50} {before:9.1f} {short.rows[page]:5} {after:9.1f} {long.rows[page]:5} {after / before:6.2f}"
            f"  {short.queries[page]} {long.queries[page]}"
        )


if __name__ == "__main__":
    main()
