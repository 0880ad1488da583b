"""The verbs that show executions."""

from collections.abc import Sequence
from typing import Any

import click

from hourhand.client import Client
from hourhand.client.types import Execution
from hourhand.commands import filters
from hourhand.commands.executions.group import executions
from hourhand.commands.executions.shown import LISTED, SHOWN, identity, progress
from hourhand.exits import Exit
from hourhand.failures import Failure
from hourhand.invocation import Invocation, pass_invocation


@executions.command(
    "list",
    examples=[
        "hourhand executions list --job nightly-report",
        "hourhand executions list --status failed --from 24h",
        "hourhand executions list --from 2026-03-01 --to 2026-03-02 --limit 0 -o jsonl",
    ],
)
@filters.executions
@click.option(
    "--sort", type=click.Choice(("scheduled_for", "created_at", "duration")), help="Order. Default: scheduled_for."
)
@click.option("--order", type=click.Choice(("asc", "desc")), help="Direction of the order. Default: desc.")
@filters.limit(filters.HISTORY_LIMIT, "executions")
@pass_invocation
def list_executions(invocation: Invocation, limit: int, **options: Any) -> None:
    """List executions, latest first."""
    found = invocation.client.executions.list(limit=limit + 1 if limit else None, **filters.given(options))
    invocation.out.many(invocation.limited(found, limit, "executions"), LISTED, name=identity)


@executions.command(
    "get",
    examples=[
        "hourhand executions get 0197d6b2-4c1e-7d2b-9f40-2b6f1c9d8e7a",
        "hourhand executions get 0197d6b2-4c1e-7d2b-9f40-2b6f1c9d8e7a -o json | jq .runs",
    ],
)
@click.argument("execution")
@pass_invocation
def get_execution(invocation: Invocation, execution: str) -> None:
    """Show an execution; as JSON or YAML with its runs and steps."""
    invocation.out.one(invocation.client.executions.get(execution), SHOWN, name=identity)


@executions.command(
    "watch",
    examples=[
        "hourhand executions watch 0197d6b2-4c1e-7d2b-9f40-2b6f1c9d8e7a",
        "hourhand executions watch 0197d6b2-4c1e-7d2b-9f40-2b6f1c9d8e7a --timeout 600 -o json",
    ],
)
@click.argument("execution", nargs=-1, required=True)
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Give up after this time (exit 1).")
@pass_invocation
def watch(invocation: Invocation, execution: Sequence[str], timeout: float | None) -> None:
    """Wait until executions have ended, and show them.

    Exits with 3 unless all succeeded.
    """
    ended = [wait_for_end(invocation, invocation.client, one, timeout=timeout) for one in execution]
    if len(ended) == 1:
        invocation.out.one(ended[0], SHOWN, name=identity)
    else:
        invocation.out.many(ended, LISTED, name=identity)
    require_success(ended)


def wait_for_end(invocation: Invocation, client: Client, execution: str, *, timeout: float | None) -> Execution:
    """Return an execution once it has ended, and say how it goes meanwhile."""
    lines: list[str] = []

    def say(current: Execution) -> None:
        line = progress(current)
        if line not in lines[-1:]:
            invocation.note(line)
        lines.append(line)

    return client.executions.wait(execution, timeout_seconds=timeout, on_change=say)


def require_success(ended: Sequence[Execution]) -> None:
    """Raise Failure unless all of these succeeded."""
    others = [one for one in ended if one["status"] != "succeeded"]
    if others:
        words = ", ".join(f"{one['id']} {one['status']}" for one in others)
        raise Failure(f"Without success: {words}.", Exit.EXECUTION_FAILED)
