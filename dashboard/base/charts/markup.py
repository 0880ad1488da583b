"""The markup of charts. Numbers, of which a chart has thousands, are not escaped; text is."""

from collections.abc import Iterable, Sequence

from django.utils.html import conditional_escape, escape
from django.utils.safestring import SafeString, mark_safe

text = escape


def drawn(*parts: str) -> SafeString:
    """Join markup of this package, in which all text went through `text`, as safe."""
    return mark_safe("".join(parts))  # noqa: S308


def link(words: str, href: str) -> SafeString:
    return drawn(f'<a class="hh-link" href="{text(href)}">{text(words)}</a>')


def shape_link(shape: str, href: str) -> str:
    """Make a shape of an SVG a link, for pointers only: keyboards use the same links in the table."""
    return f'<a href="{text(href)}" tabindex="-1">{shape}</a>'


def table(heads: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """All numbers of a chart as a table, folded away. A row is its name and its values, which may be links."""
    columns = "".join(f'<th scope="col">{text(head)}</th>' for head in heads)
    lines = "".join(
        f'<tr><th scope="row">{text(name)}</th>'
        + "".join(f"<td>{conditional_escape(value)}</td>" for value in values)
        + "</tr>"
        for name, values in rows
    )
    return (
        '<details class="hh-details"><summary>Show as table</summary><div class="hh-numbers" tabindex="0">'
        f"<table><thead><tr>{columns}</tr></thead><tbody>{lines}</tbody></table></div></details>"
    )
