"""The verbs that show jobs."""

from typing import Any

import click

from hourhand.commands.filters import environment, given, limit
from hourhand.commands.jobs.group import jobs
from hourhand.commands.jobs.shown import CHANGES, LISTED, SHOWN, VERSIONS, slug
from hourhand.exits import Exit
from hourhand.failures import Failure
from hourhand.invocation import Invocation, pass_invocation
from hourhand.output import Column, column, instant
from hourhand.times import Time

SORTS = tuple(sign + field for field in ("name", "created_at", "next_fire_at", "last_status") for sign in ("", "-"))
_ANSWER = (
    Column("At", lambda found: instant(found["at"])),
    column("Environment"),
    column("Verdict"),
    column("Detail"),
    Column("Occurrence", lambda found: instant(found["occurrence"])),
    column("Execution", "execution.id"),
    column("Status", "execution.status"),
    column("Skip reason", "execution.skip_reason"),
    Column("Previous", lambda found: instant(found["previous"])),
    Column("Next", lambda found: instant(found["next"])),
    column("Note", "period.note"),
)


@jobs.command(
    "list",
    examples=[
        "hourhand jobs list --tag billing",
        "hourhand jobs list --enabled --sort next_fire_at",
        "hourhand jobs list --search report -o name",
    ],
)
@click.option("--kind", type=click.Choice(("http", "workflow")), help="Of this kind.")
@click.option("--enabled/--disabled", default=None, help="Enabled in the environment, or in any.")
@environment("In this environment.")
@click.option("--tag", help="With this tag.")
@click.option("--schedule-type", type=click.Choice(("recurring", "one_off", "manual")), help="With such a schedule.")
@click.option("--managed-by", metavar="NAME", help="Applied from a file by this owner.")
@click.option("--search", metavar="TEXT", help="Text in name, slug or URL.")
@click.option("--sort", type=click.Choice(SORTS), metavar="FIELD", help="Order, descending with a dash before it.")
@limit(0, "jobs")
@pass_invocation
def list_jobs(invocation: Invocation, limit: int, enabled: bool | None, **options: Any) -> None:
    """List jobs, newest first."""
    filters = {**given(options), **({} if enabled is None else {"enabled": enabled})}
    found = invocation.client.jobs.list(limit=limit + 1 if limit else None, **filters)
    invocation.out.many(invocation.limited(found, limit, "jobs"), LISTED, name=slug)


@jobs.command("get", examples=["hourhand jobs get nightly-report", "hourhand jobs get nightly-report -o yaml"])
@click.argument("job")
@pass_invocation
def get_job(invocation: Invocation, job: str) -> None:
    """Show a job, by slug or UUID."""
    invocation.out.one(invocation.client.jobs.get(job), SHOWN, name=slug)


@jobs.command(
    "versions", examples=["hourhand jobs versions nightly-report", "hourhand jobs versions nightly-report -o json"]
)
@click.argument("job")
@limit(20, "versions")
@pass_invocation
def list_versions(invocation: Invocation, job: str, limit: int) -> None:
    """List a job's versions, newest first."""
    found = invocation.client.jobs.versions(job, limit=limit + 1 if limit else None)
    shown = invocation.limited(found, limit, "versions")
    invocation.out.many(shown, VERSIONS, name=lambda version: str(version["number"]))


@jobs.command("diff", examples=["hourhand jobs diff nightly-report", "hourhand jobs diff nightly-report 3 7"])
@click.argument("job")
@click.argument("old", type=int, required=False)
@click.argument("new", type=int, required=False)
@pass_invocation
def diff_versions(invocation: Invocation, job: str, old: int | None, new: int | None) -> None:
    """Show what differs between two versions: by default the last change.

    With one number, that version is compared with the current one.
    """
    client = invocation.client
    new = new or client.jobs.get(job)["version"]
    old = old or new - 1
    if old < 1:
        raise Failure(f"The job {job} has one version only: nothing to compare.", Exit.NOT_FOUND)
    found = client.jobs.diff(job, old, new)
    if invocation.output == "table":
        invocation.note(f"Version {old} and version {new}:" if found["changes"] else "The versions are equal.")
        invocation.out.many(found["changes"], CHANGES, name=lambda change: str(change["field"]))
    else:
        invocation.out.one(found, (), name=lambda one: "\n".join(change["field"] for change in one["changes"]))


@jobs.command(
    "why",
    examples=["hourhand jobs why nightly-report --at 2026-03-15T02:00Z", "hourhand jobs why nightly-report --at 8h"],
)
@click.argument("job")
@click.option("--at", type=Time(), help="The time in question, or how long ago, such as 8h. Default: now.")
@environment("In this environment. May be left out if the job is in one only.")
@pass_invocation
def why(invocation: Invocation, job: str, **options: Any) -> None:
    """Explain why a job did or did not run at a time."""
    found = invocation.client.jobs.why(job, **given(options))
    shown = [one for one in _ANSWER if one.value(found) is not None]
    invocation.out.one(found, shown, name=lambda one: str(one["verdict"]))
