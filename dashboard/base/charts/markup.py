"""How charts are written: they hold thousands of numbers, which need no escaping, and some words, which do."""

from collections.abc import Iterable, Sequence

from django.utils.html import conditional_escape, escape
from django.utils.safestring import SafeString, mark_safe

text = escape


def drawn(*parts: str) -> SafeString:
    """Markup of this package's own making, in which all words went through `text`."""
    return mark_safe("".join(parts))  # noqa: S308


def link(words: str, href: str) -> SafeString:
    """Words that lead somewhere."""
    return drawn(f'<a class="hh-link" href="{text(href)}">{text(words)}</a>')


def behind(shape: str, href: str) -> str:
    """A shape of an SVG that leads somewhere when it is pressed.

    Only for the mouse and the finger: what is drawn is no stop of the tabulator key, the table's links are.
    """
    return f'<a href="{text(href)}" tabindex="-1">{shape}</a>'


def table(heads: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """All that a chart shows, for whoever reads rather than looks; folded away until it is asked for.

    A row is its name and its values, in the order of `heads` after the first; a value may be a `link`.
    """
    columns = "".join(f'<th scope="col">{text(head)}</th>' for head in heads)
    lines = "".join(
        f'<tr><th scope="row">{text(name)}</th>'
        + "".join(f"<td>{conditional_escape(value)}</td>" for value in values)
        + "</tr>"
        for name, values in rows
    )
    return (
        '<details class="hh-details"><summary>As a table</summary><div class="hh-numbers" tabindex="0">'
        f"<table><thead><tr>{columns}</tr></thead><tbody>{lines}</tbody></table></div></details>"
    )
