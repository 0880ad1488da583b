"""`hourhand completion`."""

import click
from click.shell_completion import get_completion_class

from hourhand.tree import Verb

_VARIABLE = "_HOURHAND_COMPLETE"


@click.command(
    cls=Verb,
    examples=[
        'eval "$(hourhand completion bash)"  # in ~/.bashrc',
        'eval "$(hourhand completion zsh)"  # in ~/.zshrc',
        "hourhand completion fish > ~/.config/fish/completions/hourhand.fish",
    ],
)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the shell's completion script."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "hourhand", _VARIABLE).source())
