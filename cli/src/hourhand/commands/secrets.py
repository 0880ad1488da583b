"""`hourhand secrets`."""

import click

from hourhand.invocation import Invocation, pass_invocation
from hourhand.output import Column, column, instant
from hourhand.tree import Noun

_COLUMNS = (column("Name"), column("Environment"), Column("Updated", lambda secret: instant(secret["updated_at"])))


@click.group(cls=Noun)
def secrets() -> None:
    """List and set secrets."""


@secrets.command("list", examples=["hourhand secrets list", "hourhand secrets list -o name"])
@pass_invocation
def list_secrets(invocation: Invocation) -> None:
    """List secrets, without their values."""
    invocation.out.many(invocation.client.secrets.list(), _COLUMNS, name=lambda secret: str(secret["name"]))
