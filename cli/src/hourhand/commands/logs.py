"""`hourhand logs`."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import Any

import click

from hourhand.client import Client, NotFoundError
from hourhand.client.following import Follower
from hourhand.client.types import Execution, Run
from hourhand.commands.executions.shown import RUNS, identity, log_body, log_line
from hourhand.commands.filters import environment
from hourhand.invocation import Invocation, pass_invocation
from hourhand.tree import Verb

#: Runs that are looked at when one begins to follow: attempts of what is still under way are among them.
_KNOWN = 100
_STREAMED = frozenset({"table", "jsonl", "name"})


@click.command(
    cls=Verb,
    examples=[
        "hourhand logs nightly-report",
        "hourhand logs -f nightly-report --environment production",
        "hourhand logs 0197d6b2-4c1e-7d2b-9f40-2b6f1c9d8e7a -o jsonl",
    ],
)
@click.argument("job_or_execution")
@click.option("-f", "--follow", is_flag=True, help="Go on with what follows: of an execution until it has ended.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=10, show_default=True, help="Most runs that are there already."
)
@environment("In this environment.")
@pass_invocation
def logs(invocation: Invocation, job_or_execution: str, follow: bool, limit: int, environment: str | None) -> None:
    """Show the runs of a job or an execution, oldest first, with the bodies of their responses."""
    if follow and invocation.output not in _STREAMED:
        raise click.UsageError(f"-o {invocation.output} has no end with --follow: use -o jsonl.")
    client = invocation.client
    execution = _execution(client, job_or_execution)
    filters = {"execution": execution["id"]} if execution else {"job": client.jobs.get(job_or_execution)["slug"]}
    if environment:
        filters["environment"] = environment
    printer = RunPrinter(invocation)
    follower = Follower(client, filters, on_poll=invocation.note) if follow and not execution else None
    if follower:
        follower.prime()
    printer.show(latest_runs(client, filters, limit), last=limit)
    if execution and follow:
        client.executions.wait(execution["id"], on_change=lambda changed: printer.show(changed["runs"]))
    elif follower:
        for changed in follower.changes():
            printer.show(new_runs(client, changed, is_known=printer.has_shown))


def _execution(client: Client, reference: str) -> Execution | None:
    """Return the execution of this id; None if it is not one, so that it may be a job."""
    try:
        uuid.UUID(reference)
    except ValueError:
        return None
    try:
        return client.executions.get(reference)
    except NotFoundError:
        return None


def latest_runs(client: Client, filters: dict[str, Any], least: int = 0) -> list[Run]:
    """Return the runs that are there already, at least those under way when one begins to follow, oldest first."""
    return list(client.runs.list(limit=max(least, _KNOWN), **filters))[::-1]


def new_runs(client: Client, execution: Execution, *, is_known: Callable[[Run], bool]) -> list[Run]:
    """Return the runs of an execution that are not known, oldest first."""
    if not execution["attempts"]:
        return []
    newest_first: Iterator[Run] = client.runs.list(execution=execution["id"])
    return list(takewhile(lambda run: not is_known(run), newest_first))[::-1]


class RunPrinter:
    """Writes each run once."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._shown: set[str] = set()

    def has_shown(self, run: Run) -> bool:
        return run["id"] in self._shown

    def show(self, runs: Sequence[Run], *, last: int | None = None) -> None:
        """Write the new ones among these, or only the last of them: the others count as shown."""
        new = [run for run in runs if not self.has_shown(run)]
        self._shown.update(run["id"] for run in new)
        new = new if last is None else new[len(new) - min(last, len(new)) :]
        if self._invocation.output != "table":
            if new or self._invocation.output in {"json", "yaml"}:
                self._invocation.out.many(new, RUNS, name=identity)
            return
        for run in new:
            click.echo("\n".join(part for part in (log_line(run), log_body(run)) if part))
