"""Options that several nouns share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from hourhand.times import Time

Function = TypeVar("Function", bound=Callable[..., Any])
STATUSES = ("pending", "running", "waiting", "succeeded", "failed", "canceled", "skipped")
TRIGGERS = ("schedule", "manual", "webhook", "replay", "retry")
HISTORY_LIMIT = 50


def limit(default: int, noun: str) -> Callable[[Function], Function]:
    return click.option(
        "--limit", type=click.IntRange(min=0), default=default, show_default=True, help=f"Most {noun}; 0: all."
    )


def environment(text: str) -> Callable[[Function], Function]:
    return click.option("--environment", metavar="NAME", help=text)


def time_range(function: Function) -> Function:
    function = click.option("--to", type=Time(), help="Before this time.")(function)
    return click.option("--from", "from_", type=Time(), help="At or after this time; 2h is 2 hours ago.")(function)


def history(function: Function) -> Function:
    """Add the filters of both executions and runs."""
    for option in reversed(
        (
            click.option("--job", metavar="SLUG", help="Of this job."),
            click.option("--status", multiple=True, type=click.Choice(STATUSES), help="With this status; repeatable."),
            click.option("--trigger", multiple=True, type=click.Choice(TRIGGERS), help="With this trigger."),
            click.option("--environment", multiple=True, metavar="NAME", help="In this environment; repeatable."),
            click.option("--failure-reason", metavar="REASON", help="Failed for this reason, such as timeout."),
            click.option("--last-only", is_flag=True, help="Only the latest per job and environment."),
        )
    ):
        function = option(function)
    return time_range(function)


def executions(function: Function) -> Function:
    """Add the filters of executions."""
    for option in (
        click.option("--search", metavar="TEXT", help="Text in the error, or in the job's URL."),
        click.option("--tag", help="Of jobs with this tag."),
        click.option("--job-name", metavar="TEXT", help="Of jobs with this text in their name."),
    ):
        function = option(function)
    return history(function)


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given, as arguments of the client."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value not in (None, (), False)
    }
