"""`hourhand stats` and `hourhand usage`."""

from typing import Any

import click

from hourhand.commands.filters import environment, given, time_range
from hourhand.invocation import Invocation, pass_invocation
from hourhand.output import Column, column, duration, instant
from hourhand.tree import Verb

BUCKETS = ("1m", "5m", "15m", "1h", "6h", "1d")


def _counts(stats: Any) -> str:
    return ", ".join(f"{count} {status}" for status, count in stats["counts"].items() if count) or "none"


def _percentiles(field: str) -> Column:
    def value(stats: Any) -> str:
        shown = [f"{name} {duration(found)}" for name, found in stats[field].items() if found is not None]
        return ", ".join(shown)

    return Column(field.removesuffix("_ms").capitalize(), value)


def _rate(stats: Any) -> str | None:
    return None if stats["success_rate"] is None else f"{stats['success_rate']:.2%}"


_STATS = (
    Column("From", lambda stats: instant(stats["from"])),
    Column("To", lambda stats: instant(stats["to"])),
    Column("Executions", _counts),
    Column("Success rate", _rate),
    _percentiles("duration_ms"),
    _percentiles("lateness_ms"),
)
_USAGE = (
    column("Period"),
    column("Runs", "runs_used"),
    column("Included", "runs_included"),
    column("Overage runs", "overage_runs"),
    column("Overage cents", "overage_cents"),
    column("Active jobs", "active_jobs"),
    column("Most active jobs", "active_jobs_limit"),
    column("Plan", "plan.name"),
    column("Overage policy", "overage_policy"),
)


@click.command(
    cls=Verb,
    examples=["hourhand stats --from 7d", "hourhand stats --job nightly-report --from 24h --bucket 1h -o json"],
)
@click.option("--job", metavar="SLUG", help="Of this job.")
@environment("In this environment.")
@time_range
@click.option("--bucket", type=click.Choice(BUCKETS), help="Length of the buckets in JSON and YAML.")
@pass_invocation
def stats(invocation: Invocation, **options: Any) -> None:
    """Count and measure executions, by default of the last 24 hours."""
    found = invocation.client.stats(**given(options))
    invocation.out.one(found, _STATS, name=lambda one: str(one["from"]))


@click.command(cls=Verb, examples=["hourhand usage", "hourhand usage --period 2026-03 -o json"])
@click.option("--period", default="current", show_default=True, help="A month such as 2026-03.")
@pass_invocation
def usage(invocation: Invocation, period: str) -> None:
    """Show the runs of a month and the plan's limits."""
    found = invocation.client.usage(period=period)
    invocation.out.one(found, _USAGE, name=lambda one: str(one["period"]))
