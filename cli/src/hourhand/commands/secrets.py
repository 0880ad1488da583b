"""`hourhand secrets`."""

import sys

import click

from hourhand.client.types import Secret
from hourhand.commands.filters import environment
from hourhand.exits import Exit
from hourhand.failures import Failure
from hourhand.invocation import Invocation, pass_invocation
from hourhand.output import Column, column, instant
from hourhand.tree import Noun

_COLUMNS = (column("Name"), column("Environment"), Column("Updated", lambda secret: instant(secret["updated_at"])))


def _name(secret: Secret) -> str:
    return secret["name"]


@click.group(cls=Noun)
def secrets() -> None:
    """List, set and delete secrets."""


@secrets.command("list", examples=["hourhand secrets list", "hourhand secrets list -o name"])
@pass_invocation
def list_secrets(invocation: Invocation) -> None:
    """List secrets, without their values."""
    invocation.out.many(invocation.client.secrets.list(), _COLUMNS, name=_name)


@secrets.command(
    "set",
    examples=[
        "hourhand secrets set BILLING_TOKEN < token.txt",
        "pass show billing/staging | hourhand secrets set BILLING_TOKEN --environment staging",
    ],
)
@click.argument("name")
@environment("Only for this environment. Default: for all without a secret of this name.")
@pass_invocation
def set_secret(invocation: Invocation, name: str, environment: str | None) -> None:
    """Create a secret, or change its value.

    The value is read from stdin, without echo if that is a terminal. One line break at its end is left out.
    """
    value = _read_value(invocation)
    saved = invocation.client.secrets.set(name, value, environment=environment)
    invocation.out.one(saved, _COLUMNS, name=_name)


def _read_value(invocation: Invocation) -> str:
    if invocation.may_ask:
        value: str = click.prompt("Value", hide_input=True, err=True)
        return value
    if sys.stdin.isatty():
        raise click.UsageError("Give the value on stdin.")
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise click.UsageError("The value on stdin is not UTF-8 text.") from error
    value = text.removesuffix("\n").removesuffix("\r")
    if not value:
        raise click.UsageError("The value on stdin is empty.")
    return value


@secrets.command(
    "delete",
    examples=["hourhand secrets delete BILLING_TOKEN", "hourhand secrets delete TOKEN --environment staging --yes"],
)
@click.argument("name")
@environment("That of this environment. Default: that of all environments.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_invocation
def delete_secret(invocation: Invocation, name: str, environment: str | None, yes: bool) -> None:
    """Delete a secret."""
    place = f"of {environment}" if environment else "of all environments"
    secret = invocation.client.secrets.find(name, environment=environment)
    if secret is None:
        raise Failure(f"There is no secret {name} {place}.", Exit.NOT_FOUND)
    invocation.confirm(f"Delete the secret {name} {place}?", yes=yes)
    invocation.client.secrets.delete(secret)
    invocation.note(f"Deleted {name}.")
