"""The classes of commands: common options, examples in the help, errors as exit codes."""

from collections.abc import Sequence
from typing import Any

import click

from hourhand.client.errors import ClientError
from hourhand.failures import Interrupted, failure_of
from hourhand.invocation import common_options


class Verb(click.Command):
    """A command with examples and the common options."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.examples = tuple(examples)
        self.common = common_options()
        self.own = [parameter for parameter in self.params if isinstance(parameter, click.Option)]
        self.params = [*self.params, *self.common]

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        for title, options in (("Options", self.own), ("Common options", [*self.common, self._help(context)])):
            records = [record for option in options if option and (record := option.get_help_record(context))]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"{' ' * formatter.current_indent}{line}\n" for line in self.examples))

    def _help(self, context: click.Context) -> click.Option | None:
        return self.get_help_option(context)


class Noun(click.Group):
    """A group of verbs."""

    command_class = Verb
    group_class = type

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return the verbs in the order in which they were added."""
        return list(self.commands)


class Root(Noun):
    """The whole command line: it turns errors of the client into exit codes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params = [*self.params, *common_options()]

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except ClientError as error:
            raise failure_of(error) from error
        except (KeyboardInterrupt, click.Abort):
            raise Interrupted from None
