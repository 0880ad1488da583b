"""Charts as inline SVG: typed values in, escaped HTML out, without scripts or inline styles.

Coordinates are per cents, so a chart fits any width while its text keeps its size. Colours are classes of states
(`hh-ok`, `hh-bad`, ...), defined for light and dark in the style sheet. No information is in colour alone: shapes have
titles, and a table below has all numbers.
"""

from dashboard.base.charts.calendar import Day, calendar
from dashboard.base.charts.columns import Column, columns
from dashboard.base.charts.plots import Axis, Series, lines, stacked_bars
from dashboard.base.charts.strips import Mark, Moment, strip, timeline

__all__ = [
    "Axis", "Column", "Day", "Mark", "Moment", "Series", "calendar", "columns", "lines", "stacked_bars", "strip",
    "timeline",
]  # fmt: skip
