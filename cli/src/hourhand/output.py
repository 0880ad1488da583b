"""Results on stdout: as a table, JSON, lines of JSON, YAML, or names. Everything else goes to stderr."""

import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import click
import yaml

from hourhand.documents import NUMBER

FORMATS = ("table", "json", "jsonl", "yaml", "name")
_GAP = "  "
_ODD_BREAKS = frozenset("\r\x85\u2028\u2029")
_STYLES = {"succeeded": "green", "failed": "red", "canceled": "yellow", "running": "cyan", "waiting": "magenta"}


@dataclass(frozen=True)
class Column:
    """A column of a table, or a line of a single object."""

    title: str
    value: Callable[[Any], object]


def column(title: str, path: str = "") -> Column:
    """Return the column of a field, which is a dotted path; by default the title in lower case."""
    names = (path or title.lower()).split(".")

    def value(item: Any) -> object:
        for name in names:
            item = item.get(name) if isinstance(item, dict) else None
        return item

    return Column(title, value)


class Output:
    """Writes results in one format."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def many(self, items: Iterable[Any], columns: Sequence[Column], *, name: Callable[[Any], str]) -> None:
        """Write a list. JSON lines and names are written as the items arrive."""
        if self.kind in {"jsonl", "name"}:
            for item in items:
                self._line(item, name)
        elif self.kind == "table":
            write_table([column.title.upper() for column in columns], [_cells(item, columns) for item in items])
        else:
            self._document(list(items))

    def one(self, item: Any, columns: Sequence[Column], *, name: Callable[[Any], str]) -> None:
        """Write a single object."""
        if self.kind in {"jsonl", "name"}:
            self._line(item, name)
        elif self.kind == "table":
            titles = [column.title.lower() for column in columns]
            width = max(map(len, titles), default=0)
            for title, value in zip(titles, _cells(item, columns), strict=True):
                click.echo(f"{title:<{width}}{_GAP}{value}".rstrip())
        else:
            self._document(item)

    def _line(self, item: Any, name: Callable[[Any], str]) -> None:
        click.echo(printable(name(item)) if self.kind == "name" else json.dumps(item, ensure_ascii=False))

    def _document(self, value: Any) -> None:
        click.echo(yaml_text(value) if self.kind == "yaml" else json.dumps(value, ensure_ascii=False, indent=2))


def yaml_text(value: Any) -> str:
    """Return YAML without a trailing line break; texts of several lines are written as such."""
    return yaml.dump(value, Dumper=_BlockDumper, sort_keys=False, allow_unicode=True, width=1000).rstrip("\n")


class _BlockDumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and no aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    # Unless it quotes, PyYAML writes odd line breaks so that they are read as others, and numbers that only JSON knows.
    quoted = _ODD_BREAKS.intersection(text) or NUMBER.fullmatch(text)
    style = '"' if quoted else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_BlockDumper.add_representer(str, _represent_text)


def _cells(item: Any, columns: Sequence[Column]) -> list[str]:
    return [cell(column.value(item)) for column in columns]


def cell(value: object) -> str:
    """Return a value in one line."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(cell(inner) for inner in value) or "-"
        case dict():
            return printable(json.dumps(value, ensure_ascii=False))
    return printable(" ".join(str(value).split("\n")))


def printable(text: str) -> str:
    """Escape control characters other than tabs and line breaks: they could take over the terminal."""
    return "".join(
        one if one in "\t\n" or unicodedata.category(one) not in {"Cc", "Cf"} else f"\\u{ord(one):04x}" for one in text
    )


def instant(text: str | None) -> str | None:
    """Return an instant of the API to the second."""
    return text[:19] + "Z" if text else None


def duration(milliseconds: int | None) -> str | None:
    """Return a duration for people."""
    if milliseconds is None:
        return None
    if milliseconds < 1000:  # noqa: PLR2004 - milliseconds of a second
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def write_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table: by rich, if it is installed and stdout is a terminal, else as plain text."""
    if not rows:
        return
    if sys.stdout.isatty() and _write_rich(titles, rows):
        return
    widths = [max(map(_width, values)) for values in zip(titles, *rows, strict=True)]
    for line in (titles, *rows):
        padded = [value + " " * (width - _width(value)) for value, width in zip(line, widths, strict=True)]
        click.echo(_GAP.join(padded).rstrip())


def _write_rich(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(value, style=_STYLES.get(value, "")) for value in row))
    Console().print(table)
    return True


def _width(text: str) -> int:
    """Return the columns that a text takes in a terminal."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )
