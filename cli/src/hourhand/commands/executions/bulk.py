"""Executions in bulk: all that a filter matches, after a question that names their number."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from hourhand.client.types import BulkOperation
from hourhand.commands import filters
from hourhand.invocation import Invocation
from hourhand.output import column

Function = TypeVar("Function", bound=Callable[..., Any])
_POLL_SECONDS = 1.0
_OF_BULK = ("dry_run", "limit", "rate_per_second", "yes", "wait")
MATCHED = (column("Matched"), column("More"))
OPERATION = (
    column("Id"),
    column("Kind"),
    column("State"),
    column("Matched"),
    column("Done"),
    column("Skipped"),
    column("Remaining"),
)


def bulk_options(function: Function) -> Function:
    """Add the options of a verb that takes one execution or, with --all, a filter."""
    for option in reversed(
        (
            click.argument("execution", required=False),
            click.option("--all", "everything", is_flag=True, help="All executions that the filters match."),
            click.option("--dry-run", is_flag=True, help="With --all: only show what matches."),
            click.option("--limit", type=click.IntRange(1, 10_000), help="With --all: at most this many, the latest."),
            click.option(
                "--rate", "rate_per_second", type=click.IntRange(1, 1000), help="With --all: executions per second."
            ),
            click.option("--yes", is_flag=True, help="With --all: do not ask."),
            click.option("--wait", is_flag=True, help="Wait until it has ended."),
        )
    ):
        function = option(function)
    return filters.executions(function)


class Selection:
    """What the options of a verb select: one execution, or a filter with the way to process it."""

    def __init__(self, *, execution: str | None, everything: bool, **options: Any) -> None:
        self.execution = execution
        self.bulk = {name: options.pop(name) for name in _OF_BULK}
        self.filter = {name.rstrip("_"): value for name, value in filters.given(options).items()}
        if everything == (execution is not None):
            raise click.UsageError("Name an execution, or use --all with filters.")
        of_all = any(self.bulk[name] for name in ("dry_run", "limit", "rate_per_second"))
        if execution is not None and (self.filter or of_all):
            raise click.UsageError("Filters, --dry-run, --limit and --rate belong to --all.")

    @property
    def waits(self) -> bool:
        return bool(self.bulk["wait"])


def process(invocation: Invocation, verb: str, selection: Selection, **options: Any) -> None:
    """Start a bulk operation, or show what it would process."""
    executions = invocation.client.executions
    bulk = selection.bulk
    limits = {"limit": bulk["limit"]} if bulk["limit"] else {}
    matched = executions.match(verb, selection.filter, **limits, **options)
    if bulk["dry_run"]:
        invocation.out.one(matched, MATCHED, name=lambda one: "\n".join(one["ids"]))
        return
    if not matched["matched"]:
        invocation.note("Nothing matches.")
        return
    count = f"{matched['matched']} executions" if matched["matched"] > 1 else "1 execution"
    more = " (more match than --limit)" if matched["more"] else ""
    invocation.confirm(f"{verb.capitalize()} {count}{more}?", yes=bulk["yes"])
    rate = {"rate_per_second": bulk["rate_per_second"]} if bulk["rate_per_second"] else {}
    operation = executions.bulk(verb, selection.filter, **limits, **rate, **options)
    if selection.waits:
        operation = _wait(invocation, operation)
    invocation.out.one(operation, OPERATION, name=lambda one: str(one["id"]))


def _wait(invocation: Invocation, operation: BulkOperation) -> BulkOperation:
    while operation["state"] == "running":
        invocation.note(f"{operation['done']} of {operation['matched']} done.")
        time.sleep(_POLL_SECONDS)
        operation = invocation.client.executions.operation(operation["id"])
    return operation
