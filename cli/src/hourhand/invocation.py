"""One call of the command line: its common options, the client that they lead to, and what it says and asks."""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import click
import requests

from hourhand.client import Client
from hourhand.exits import Exit
from hourhand.failures import Failure
from hourhand.output import FORMATS, Output
from hourhand.profiles import Flags, ProfileError, choose, configuration_path


@dataclass
class Invocation:
    """The common options, which may stand before or after the verb. `http` and `interactive` are for tests."""

    output: str = FORMATS[0]
    profile: str | None = None
    url: str | None = None
    key: str | None = field(default=None, repr=False)
    no_input: bool = False
    http: requests.Session | None = None
    interactive: bool | None = None

    @cached_property
    def client(self) -> Client:
        """The client of the chosen server. Raises Failure."""
        flags = Flags(url=self.url, key=self.key, profile=self.profile)
        try:
            chosen = choose(flags, os.environ, configuration_path(os.environ))
        except ProfileError as error:
            raise Failure(str(error), Exit.ACCESS) from error
        return self.client_of(chosen.url, chosen.key)

    def client_of(self, url: str, key: str) -> Client:
        return Client(url, key, http=self.http, on_wait=self._say_wait)

    @property
    def out(self) -> Output:
        return Output(self.output)

    def note(self, text: str) -> None:
        """Say something that is not the result."""
        click.echo(text, err=True)

    @property
    def may_ask(self) -> bool:
        terminal = sys.stdin.isatty() if self.interactive is None else self.interactive
        return terminal and not self.no_input

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask unless `yes`. Raises Failure if the answer is no, and UsageError if there is no terminal to ask."""
        if yes:
            return
        if not self.may_ask:
            raise click.UsageError(f"{question} There is no terminal to ask: answer with --yes.")
        if not click.confirm(question, err=True):
            raise Failure("Nothing was changed.")

    def limited(self, items: Iterable[Any], limit: int, noun: str) -> Iterable[Any]:
        """Yield at most `limit` items (0: all), and say if there are more. The list must be longer by one."""
        for number, item in enumerate(items):
            if limit and number >= limit:
                self.note(f"There are more {noun}: --limit 0 lists all.")
                return
            yield item

    def _say_wait(self, seconds: float, reason: str) -> None:
        self.note(f"{reason} Waiting {seconds:g} s.")


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and value is not False:
        setattr(context.ensure_object(Invocation), str(parameter.name), value)


def common_options() -> list[click.Option]:
    """Return the options of every command."""
    return [
        click.Option(
            ["-o", "--output"],
            type=click.Choice(FORMATS),
            help="Format of the result. Default: table.",
            callback=_remember,
            expose_value=False,
        ),
        click.Option(["--profile"], help="Profile to use.", callback=_remember, expose_value=False),
        click.Option(["--url"], help="URL of the server.", callback=_remember, expose_value=False),
        click.Option(
            ["--key"],
            help="API key. Other users of this machine can see it: prefer HOURHAND_KEY.",
            callback=_remember,
            expose_value=False,
        ),
        click.Option(
            ["--no-input"], is_flag=True, help="Never ask a question.", callback=_remember, expose_value=False
        ),
    ]
