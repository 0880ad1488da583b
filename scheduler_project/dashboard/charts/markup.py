"""How charts are written: they hold thousands of numbers, which need no escaping, and some words, which do."""

from collections.abc import Iterable, Sequence

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

text = escape


def drawn(*parts: str) -> SafeString:
    """Markup of this package's own making, in which all words went through `text`."""
    return mark_safe("".join(parts))  # noqa: S308


def table(heads: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """All that a chart shows, for whoever reads rather than looks; folded away until it is asked for.

    A row is its name and its values, in the order of `heads` after the first.
    """
    columns = "".join(f'<th scope="col">{text(head)}</th>' for head in heads)
    lines = "".join(
        f'<tr><th scope="row">{text(name)}</th>' + "".join(f"<td>{text(value)}</td>" for value in values) + "</tr>"
        for name, values in rows
    )
    return (
        '<details class="hh-details"><summary>As a table</summary><div class="hh-numbers" tabindex="0">'
        f"<table><thead><tr>{columns}</tr></thead><tbody>{lines}</tbody></table></div></details>"
    )
