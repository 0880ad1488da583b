"""The table below a chart: all that it shows, for whoever reads rather than looks."""

from collections.abc import Iterable, Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString


def table(heads: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> SafeString:
    """Folded away until it is asked for. A row is its name and its values, in the order of `heads` after the first."""
    columns = format_html_join("", '<th scope="col">{}</th>', ((head,) for head in heads))
    lines = format_html_join(
        "", '<tr><th scope="row">{}</th>{}</tr>',
        ((name, format_html_join("", "<td>{}</td>", ((value,) for value in values))) for name, values in rows),
    )  # fmt: skip
    return format_html(
        '<details class="hh-details"><summary>As a table</summary><div class="hh-numbers" tabindex="0">'
        "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div></details>",
        columns, lines,
    )  # fmt: skip
