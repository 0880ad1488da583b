"""`hourhand plan` and `hourhand apply`."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from hourhand.client import Client, NotFoundError
from hourhand.commands.files import guessed
from hourhand.commands.filters import environment
from hourhand.documents import read_text
from hourhand.exits import Exit
from hourhand.failures import Failure
from hourhand.invocation import Invocation, pass_invocation
from hourhand.output import column
from hourhand.plan_text import counts, plan_lines
from hourhand.planning import FAILED, JobFile, Plan, Settings, make_plan
from hourhand.tree import Verb

_ENTRIES = (column("Slug"), column("Result"), column("File"))
Function = TypeVar("Function", bound=Callable[..., Any])


def _of_plans(function: Function) -> Function:
    """Add the options of both verbs."""
    for option in reversed(
        (
            click.option("-f", "--file", "first", multiple=True, metavar="FILE", help="A file of jobs; `-` is stdin."),
            click.argument("more", nargs=-1, metavar="[FILE]..."),
            click.option("--owner", metavar="NAME", help="Sets `managed_by` of the jobs to this name."),
            click.option("--prune", is_flag=True, help="Remove jobs managed by the owner that are in no file."),
            environment("Where new jobs that name no environment are enabled. Default: the oldest."),
        )
    ):
        function = option(function)
    return function


@click.command(
    "plan",
    cls=Verb,
    examples=[
        "hourhand plan -f jobs.yaml",
        "hourhand plan -f jobs/*.yaml --owner billing --prune",
        "hourhand export | hourhand plan -f -",
    ],
)
@_of_plans
@pass_invocation
def plan_files(invocation: Invocation, **options: Any) -> None:
    """Show what `apply` would change, and the next five firings before and after.

    Exits with 7 if there are changes, with 0 if there are none, and with 1 if a job is refused.
    """
    plan = _plan_of(invocation.client, **options)
    if invocation.output == "table":
        click.echo("\n".join(plan_lines(plan)))
    else:
        _write(invocation, plan)
    _refuse_failed(plan)
    if plan.has_changes:
        click.get_current_context().exit(int(Exit.CHANGES))


@click.command(
    "apply",
    cls=Verb,
    examples=[
        "hourhand apply -f jobs.yaml",
        "hourhand apply -f jobs/*.yaml --owner billing --prune",
        "hourhand apply -f jobs.yaml --yes",
    ],
)
@_of_plans
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def apply_files(invocation: Invocation, yes: bool, **options: Any) -> None:
    """Create and change jobs so that they are as in the files.

    Shows the plan and asks. What changes in between is not overwritten: the exit code is then 6. Jobs that are in no
    file stay, unless --prune removes those that carry the owner's name.
    """
    client = invocation.client
    plan = _plan_of(client, **options)
    _refuse_failed(plan, invocation)
    if not plan.has_changes:
        invocation.note(f"No changes: {counts(plan)}")
        _write(invocation, plan)
        return
    invocation.note("\n".join(plan_lines(plan)))
    lost = f", and remove {len(plan.removed)} with --prune" if plan.removed else ""
    invocation.confirm(f"Apply{lost}?", yes=yes)
    for file in plan.files():
        _apply(client, file, plan)
        invocation.note(f"Applied {file.name}.")
    for job in plan.removed:
        _remove(client, job["id"], plan.settings)
        invocation.note(f"Removed {job['slug']}.")
    _write(invocation, plan)


def _plan_of(
    client: Client,
    *,
    first: Sequence[str],
    more: Sequence[str],
    owner: str | None,
    prune: bool,
    environment: str | None,
) -> Plan:
    """Make the plan for the files of a command line. Raises UsageError."""
    names = [*first, *more]
    if not first:
        raise click.UsageError("Name the files of jobs with -f.")
    if len(set(names)) < len(names):
        raise click.UsageError("A file is named twice.")
    if prune and not owner:
        raise click.UsageError("--prune needs --owner: it removes only jobs that carry the owner's name.")
    texts = [(name, read_text(name)) for name in names]
    files = [JobFile(name, text, guessed(f"{name}.yaml", text)) for name, text in texts]
    plan = make_plan(client, files, Settings(owner=owner, prunes=prune, environment=environment))
    if prune and not plan.jobs:
        raise Failure(f"The files hold no job: --prune would remove every job of {owner}.", Exit.USAGE)
    return plan


def _refuse_failed(plan: Plan, invocation: Invocation | None = None) -> None:
    """Raise Failure if the server refuses a job of the files; with an invocation, say which."""
    failed = plan.count(FAILED)
    if not failed:
        return
    if invocation is not None:
        invocation.note("\n".join(plan_lines(plan)))
    raise Failure(f"{failed} of {len(plan.jobs)} jobs are refused: nothing can be applied.")


def _apply(client: Client, file: JobFile, plan: Plan) -> None:
    """Import a file unless its jobs changed since the plan. Raises ConflictError, and Failure for a refused job."""
    imported = client.jobs.import_file(
        file.text, format=file.kind, revisions=plan.revisions_of(file), **plan.settings.options
    )
    refused = [item for item in imported["items"] if item["result"] == FAILED]
    if refused:
        words = "; ".join(f"{item['slug']}: {item['errors'][0]['detail']}" for item in refused)
        raise Failure(f"{file.name} was applied in part. Refused: {words}")


def _remove(client: Client, job_id: str, settings: Settings) -> None:
    """Delete a job that the owner still manages. Raises ConflictError if another does."""
    try:
        client.jobs.delete(job_id, managed_by=settings.owner)
    except NotFoundError:
        return  # it was deleted since the plan


def _write(invocation: Invocation, plan: Plan) -> None:
    """Write the plan as the result; a table and names leave out what is unchanged."""
    changed = (entry for entry in plan.entries() if entry["result"] != "unchanged")
    if invocation.output in {"json", "yaml"}:
        invocation.out.one(plan.as_object(), (), name=str)
    else:
        entries = plan.entries() if invocation.output == "jsonl" else changed
        invocation.out.many(entries, _ENTRIES, name=lambda entry: str(entry["slug"]))
