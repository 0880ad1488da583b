"""`hourhand export`."""

import click

from hourhand.invocation import Invocation, pass_invocation
from hourhand.tree import Verb


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
    """Write all jobs as a file."""
    click.echo(invocation.client.jobs.export(format=file_format).rstrip("\n"))
