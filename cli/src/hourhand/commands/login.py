"""`hourhand login` and `hourhand whoami`."""

import os
import sys
from urllib.parse import urlsplit

import click

from hourhand.exits import Exit
from hourhand.failures import Failure
from hourhand.invocation import Invocation, pass_invocation
from hourhand.output import column
from hourhand.profiles import DEFAULT_NAME, Profile, ProfileError, checked, configuration_path, save
from hourhand.tree import Verb

_CALLER = (
    column("Name"),
    column("Kind"),
    column("Role"),
    column("Workspace"),
    column("Scopes"),
    column("Environments"),
    column("Expires", "expires_at"),
    column("Server", "url"),
)


@click.command(
    cls=Verb,
    examples=[
        "hourhand login https://hourhand.example.com",
        "hourhand login https://staging.example.com --profile staging < key.txt",
    ],
)
@click.argument("server")
@click.option("--default", "as_default", is_flag=True, help="Use this profile if none is named.")
@pass_invocation
def login(invocation: Invocation, server: str, as_default: bool) -> None:
    """Store a server and an API key as a profile.

    The key is read from stdin, without echo if that is a terminal, and tried before it is stored.
    """
    path = configuration_path(os.environ)
    name = invocation.profile or DEFAULT_NAME
    try:
        profile = Profile(checked(server), invocation.key or _read_key(invocation))
        caller = invocation.client_of(profile.url, profile.key).whoami()
        save(path, name, profile, as_default=as_default)
    except ProfileError as error:
        raise Failure(str(error), Exit.ACCESS) from error
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error
    if is_unencrypted(profile.url):
        invocation.note("Note: the key travels unencrypted. Use https beyond your own machine.")
    invocation.note(f"Stored as profile {name} in {path}.")
    invocation.out.one({**caller, "url": profile.url}, _CALLER, name=lambda one: str(one["name"]))


def is_unencrypted(url: str) -> bool:
    """Return whether requests to a URL can be read on their way."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}


def _read_key(invocation: Invocation) -> str:
    if invocation.may_ask:
        key: str = click.prompt("API key", hide_input=True, err=True)
    elif sys.stdin.isatty():
        raise click.UsageError("Give the key on stdin.")
    else:
        key = sys.stdin.read()
    if not key.strip():
        raise click.UsageError("The key on stdin is empty.")
    return key.strip()


@click.command(cls=Verb, examples=["hourhand whoami", "hourhand whoami -o json | jq .scopes"])
@pass_invocation
def whoami(invocation: Invocation) -> None:
    """Show the key's name, workspace, scopes and environments."""
    caller = invocation.client.whoami()
    if invocation.output == "table":
        caller = {**caller, "url": invocation.client.url}
    invocation.out.one(caller, _CALLER, name=lambda one: str(one["name"]))
