"""`hourhand runs`."""

from typing import Any

import click

from hourhand.commands import filters
from hourhand.commands.executions.shown import RUN, RUNS, identity
from hourhand.invocation import Invocation, pass_invocation
from hourhand.tree import Noun


@click.group(cls=Noun)
def runs() -> None:
    """List the attempts of executions."""


@runs.command(
    "list",
    examples=[
        "hourhand runs list --job nightly-report",
        "hourhand runs list --status failed --failure-reason timeout --from 1h",
    ],
)
@filters.history
@click.option("--execution", metavar="ID", help="Of this execution.")
@filters.limit(filters.HISTORY_LIMIT, "runs")
@pass_invocation
def list_runs(invocation: Invocation, limit: int, **options: Any) -> None:
    """List runs, newest first. Bodies are cut to 2 KiB."""
    found = invocation.client.runs.list(limit=limit + 1 if limit else None, **filters.given(options))
    invocation.out.many(invocation.limited(found, limit, "runs"), RUNS, name=identity)


@runs.command(
    "get",
    examples=[
        "hourhand runs get 0197d6b2-4c1e-7d2b-9f40-2b6f1c9d8e7a",
        "hourhand runs get 0197d6b2-4c1e-7d2b-9f40-2b6f1c9d8e7a -o json | jq -r .response.body",
    ],
)
@click.argument("run")
@pass_invocation
def get_run(invocation: Invocation, run: str) -> None:
    """Show a run; as JSON or YAML with its request and response."""
    invocation.out.one(invocation.client.runs.get(run), RUN, name=identity)
