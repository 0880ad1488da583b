"""The verbs that change jobs."""

import tempfile
from collections.abc import Sequence
from typing import Any

import click

from hourhand.client import ClientError
from hourhand.commands.filters import environment, given
from hourhand.commands.jobs.editor import text_of
from hourhand.commands.jobs.fields import fields_of, job_fields
from hourhand.commands.jobs.group import jobs
from hourhand.commands.jobs.shown import SHOWN, slug
from hourhand.documents import parse_object
from hourhand.exits import Exit
from hourhand.failures import Failure
from hourhand.invocation import Invocation, pass_invocation
from hourhand.times import Time


@jobs.command(
    "create",
    examples=[
        "hourhand jobs create 'Nightly report' --schedule '0 2 * * *' --endpoint https://api.example.com/report",
        "hourhand jobs create -f job.yaml --enable staging",
        "hourhand jobs get nightly-report -o yaml | hourhand --profile staging jobs create -f -",
    ],
)
@click.argument("name", required=False)
@job_fields
@pass_invocation
def create_job(invocation: Invocation, name: str | None, **options: Any) -> None:
    """Create a job with this name."""
    fields = fields_of(name=name, **options)
    invocation.out.one(invocation.client.jobs.create(fields), SHOWN, name=slug)


@jobs.command(
    "edit",
    examples=[
        "hourhand jobs edit nightly-report",
        "hourhand jobs edit nightly-report --schedule '0 3 * * *' --timezone Europe/Berlin",
        "hourhand jobs edit nightly-report -f changes.yaml --disable production",
    ],
)
@click.argument("job")
@click.option("--name", metavar="TEXT", help="Its display name.")
@job_fields
@pass_invocation
def edit_job(invocation: Invocation, job: str, **options: Any) -> None:
    """Change fields of a job, or all of it in an editor.

    Options and the file change only the fields that they name. Without any, the job opens in $EDITOR.
    """
    fields = fields_of(**options)
    if fields:
        saved = invocation.client.jobs.patch(job, fields)
    elif invocation.may_ask:
        saved = _edit(invocation, job)
    else:
        raise click.UsageError("Name the fields to change: there is no terminal for an editor.")
    invocation.out.one(saved, SHOWN, name=slug)


def _edit(invocation: Invocation, job: str) -> Any:
    """Let a person edit a job, and replace it unless it has another version by then."""
    client = invocation.client
    before = client.jobs.get(job)
    text = text_of(before)
    edited = click.edit(text, extension=".yaml")
    if edited is None or edited == text:
        raise Failure("Nothing was changed.")
    try:
        fields = parse_object(edited, "The text")
        current = client.jobs.get(before["id"])
        if current["version"] != before["version"]:
            message = f"Version {current['version']} was saved while you edited version {before['version']}."
            raise Failure(message, Exit.CONFLICT)
        return client.jobs.put(before["id"], fields)
    except (click.ClickException, ClientError):
        with tempfile.NamedTemporaryFile("w", prefix="hourhand-", suffix=".yaml", delete=False) as file:
            file.write(edited)
        invocation.note(f"Your text is in {file.name}.")
        raise


@jobs.command("delete", examples=["hourhand jobs delete nightly-report", "hourhand jobs delete a b --purge --yes"])
@click.argument("job", nargs=-1, required=True)
@click.option("--purge", is_flag=True, help="Also remove the history and all versions.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def delete_jobs(invocation: Invocation, job: Sequence[str], purge: bool, yes: bool) -> None:
    """Delete jobs: they never fire again, and what is unfinished is canceled. The history stays."""
    lost = "with its history" if purge else "and keep its history"
    named = job[0] if len(job) == 1 else f"{len(job)} jobs ({', '.join(job)})"
    invocation.confirm(f"Delete {named} {lost}?", yes=yes)
    for one in job:
        invocation.client.jobs.delete(one, purge=purge)
        invocation.note(f"Deleted {one}.")


@jobs.command(
    "pause",
    examples=[
        "hourhand jobs pause nightly-report --until 2h --note 'database upgrade'",
        "hourhand jobs pause nightly-report --environment staging --until 2026-03-16T06:00Z",
    ],
)
@click.argument("job")
@environment("Only in this environment. Default: in all.")
@click.option("--until", type=Time(ahead=True), help="When the pause ends, or in how long, such as 2h.")
@click.option("--note", metavar="TEXT", help="Why, for others to see.")
@pass_invocation
def pause_job(invocation: Invocation, job: str, **options: Any) -> None:
    """Pause a job: occurrences are skipped, executions in progress go on."""
    invocation.out.one(invocation.client.jobs.pause(job, **given(options)), SHOWN, name=slug)


@jobs.command(
    "resume",
    examples=["hourhand jobs resume nightly-report", "hourhand jobs resume nightly-report --environment staging"],
)
@click.argument("job")
@environment("Only in this environment. Default: in all.")
@pass_invocation
def resume_job(invocation: Invocation, job: str, **options: Any) -> None:
    """Resume a paused job. Skipped occurrences are not made up for."""
    invocation.out.one(invocation.client.jobs.resume(job, **given(options)), SHOWN, name=slug)


@jobs.command("restore", examples=["hourhand jobs restore nightly-report 3"])
@click.argument("job")
@click.argument("version", type=int)
@pass_invocation
def restore_version(invocation: Invocation, job: str, version: int) -> None:
    """Make a version current again, as a new version. Nothing fires at once."""
    invocation.out.one(invocation.client.jobs.restore(job, version), SHOWN, name=slug)
