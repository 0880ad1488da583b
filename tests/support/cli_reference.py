"""The reference of the command line, written from its tree of commands.

PYTHONPATH=cli/src python -m tests.support.cli_reference > docs/cli-reference.md
"""

from collections.abc import Iterator

import click

from hourhand.main import hourhand
from hourhand.tree import Noun, Verb
from tests.support.project import ROOT

PAGE = ROOT / "docs" / "cli-reference.md"
_HEAD = """# Command line reference

Every verb of `hourhand`, as `hourhand VERB --help` shows it. [The command line](cli.md) explains profiles, formats,
exit codes and recipes.
"""


def text() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *_common(), *_verbs(hourhand)])


def _common() -> Iterator[str]:
    """Yield the options of every verb."""
    yield "## Common options\n"
    yield "Before or after the verb.\n"
    first = next(command for command in hourhand.commands.values() if isinstance(command, Verb))
    yield _options(first.common)


def _verbs(group: click.Group, *path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, Noun):
            yield f"## {name}\n"
            yield f"{command.help}\n"
            yield from _verbs(command, name)
        elif isinstance(command, Verb):
            yield from _verb(command, *path, name)


def _verb(verb: Verb, *path: str) -> Iterator[str]:
    words = " ".join(("hourhand", *path))
    context = click.Context(verb, info_name=words)
    pieces = [piece for piece in verb.collect_usage_pieces(context) if piece != "[OPTIONS]"]
    yield f"{'##' if len(path) == 1 else '###'} {' '.join(path)}\n"
    yield f"```text\n{' '.join([words, *pieces, '[OPTIONS]'] if verb.own else [words, *pieces])}\n```\n"
    yield f"{_paragraphs(verb.help or '')}\n"
    if verb.own:
        yield _options(verb.own)
    yield "```sh\n" + "\n".join(verb.examples) + "\n```\n"


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _options(options: list[click.Option]) -> str:
    rows = ["| option | meaning |", "|---|---|"]
    for option in options:
        record = option.get_help_record(click.Context(hourhand))
        if record is not None:
            # A pipe would end the cell, and not all renderers know it escaped within code.
            name, meaning = (cell.replace("|", "/") for cell in record)
            rows.append(f"| `{name}` | {meaning.strip()} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(text(), end="")
