"""`hourhand schedules`."""

import datetime
import json
from typing import Any

import click

from hourhand.commands.filters import given
from hourhand.invocation import Invocation, pass_invocation
from hourhand.output import instant
from hourhand.times import Time
from hourhand.tree import Noun


@click.group(cls=Noun)
def schedules() -> None:
    """Explain schedules."""


@schedules.command(
    "preview",
    examples=[
        "hourhand schedules preview '0 2 * * *' --timezone Europe/Berlin",
        "hourhand schedules preview 'every weekday at 9am' --count 20 -o json",
        "hourhand schedules preview '{\"every_seconds\": 90}'",
    ],
)
@click.argument("schedule")
@click.option("--timezone", metavar="NAME", help="IANA time zone. Default: UTC.")
@click.option("--count", type=click.IntRange(1, 100), default=10, show_default=True, help="Number of firings.")
@click.option("--from", "from_", type=Time(), help="List firings after this time. Default: now.")
@click.option("--starts-at", type=Time(), help="Start of the schedule.")
@click.option("--ends-at", type=Time(), help="End of the schedule.")
@pass_invocation
def preview(invocation: Invocation, schedule: str, **options: Any) -> None:
    """Explain a schedule, and list its next firings and the clock changes that affect it."""
    found = invocation.client.preview(spelled(schedule), **given(options))
    if invocation.output != "table":
        invocation.out.one(found, (), name=lambda one: "\n".join(one["next"]))
        return
    zone = f" ({options['timezone'] or 'UTC'})" if found["normalized"] is not None else ""
    click.echo(f"{found['description'] or 'Manual'}{zone}")
    for at in found["next"]:
        click.echo(f"  {instant(at)}  {_weekday(at)}")
    for warning in found["warnings"]:
        invocation.note(f"Note: {warning}")


def spelled(schedule: str) -> Any:
    """Return a schedule as the API spells it: text, or the object of an interval."""
    if not schedule.lstrip().startswith("{"):
        return schedule
    try:
        return json.loads(schedule)
    except ValueError as error:
        raise click.UsageError(f"The schedule is not valid JSON: {error}") from error


def _weekday(at: str) -> str:
    return datetime.date.fromisoformat(at[:10]).strftime("%a")
