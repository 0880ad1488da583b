"""`hourhand import` and `hourhand export`."""

import json
import re
from pathlib import PurePath
from typing import Any

import click

from hourhand.commands.filters import environment, given
from hourhand.documents import read_text
from hourhand.exits import Exit
from hourhand.failures import Failure
from hourhand.invocation import Invocation, pass_invocation
from hourhand.output import Column, column
from hourhand.tree import Verb

FORMATS = (
    "crontab", "json", "yaml", "arazzo", "vercel", "github", "kubernetes", "app_engine", "sidekiq", "dkron",
)  # fmt: skip
_OF_JOBS = re.compile(r"^jobs\s*:", re.MULTILINE)


def _remarks(item: Any) -> str:
    errors = (f"{error['field']}: {error['detail']}" if error["field"] else error["detail"] for error in item["errors"])
    return " ".join([*errors, *item["notes"]])


_ITEMS = (column("Slug"), column("Line"), column("Result"), Column("Remarks", _remarks))


@click.command(
    "export",
    cls=Verb,
    examples=["hourhand export > jobs.yaml", "hourhand export --format json | jq '.jobs | length'"],
)
@click.option(
    "--format", "file_format", type=click.Choice(("yaml", "json", "arazzo")), default="yaml", show_default=True,
    help="Format of the file.",
)  # fmt: skip
@pass_invocation
def export_jobs(invocation: Invocation, file_format: str) -> None:
    """Write all jobs as a file, which `import` and `apply` take. Importing it changes nothing."""
    click.echo(invocation.client.jobs.export(format=file_format).rstrip("\n"))


@click.command(
    "import",
    cls=Verb,
    examples=[
        "hourhand import jobs.yaml --dry-run",
        "crontab -l | hourhand import - --timezone Europe/Berlin",
        "hourhand import vercel.json --format vercel --base-url https://app.example.com",
    ],
)
@click.argument("file")
@click.option(
    "--format", "file_format", type=click.Choice(FORMATS),
    help="Format of the file. Default: json, yaml or crontab, by its name and content.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only show what an import would do.")
@click.option("--timezone", metavar="NAME", help="Time zone of jobs that name none. Default: UTC.")
@environment("Where new jobs that name no environment are enabled. Default: the oldest.")
@click.option("--base-url", metavar="URL", help="Base URL of the paths in a vercel, app_engine or arazzo file.")
@click.option("--user-column/--no-user-column", default=None, help="Whether a crontab has a column of users.")
@pass_invocation
def import_jobs(
    invocation: Invocation, file: str, file_format: str | None, user_column: bool | None, **options: Any
) -> None:
    """Import jobs from a file, or from stdin with `-`.

    Jobs with a slug that exists are replaced. Valid jobs are saved even if others fail: then the exit code is 1.
    """
    text = read_text(file)
    chosen = {**given(options), **({} if user_column is None else {"user_column": user_column})}
    imported = invocation.client.jobs.import_file(text, format=file_format or guessed(file, text), **chosen)
    if invocation.output in {"json", "yaml"}:
        invocation.out.one(imported, (), name=str)
    else:
        invocation.out.many(imported["items"], _ITEMS, name=lambda item: str(item["slug"] or "-"))
    verb = "Would import" if options["dry_run"] else "Imported"
    counts = ", ".join(f"{imported[one]} {one}" for one in ("created", "updated", "unchanged", "failed"))
    invocation.note(f"{verb}: {counts}.")
    if imported["failed"]:
        raise Failure(f"{imported['failed']} of {len(imported['items'])} jobs failed.", Exit.ERROR)


def guessed(name: str, text: str) -> str:
    """Return the format of a file: JSON if it is such, YAML by its name or a key `jobs`, else a crontab."""
    try:
        json.loads(text)
    except ValueError:
        pass
    else:
        return "json"
    is_yaml = PurePath(name).suffix.lower() in {".yaml", ".yml"} or _OF_JOBS.search(text)
    return "yaml" if is_yaml else "crontab"
