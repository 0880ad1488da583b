"""Charts as inline SVG: typed values in, escaped HTML out. Nothing is fetched, measured or styled inline.

A chart is drawn in per cents, so it takes the width that it is given and its letters keep their size. Its colours are
those of the states (`hh-ok`, `hh-bad`, ...), so that dark mode is the style sheet's affair. None tells anything by
colour alone: whatever is pointed at says its numbers, and a table below says them all.
"""

from dashboard.base.charts.calendar import Day, calendar
from dashboard.base.charts.columns import Column, columns
from dashboard.base.charts.plots import Axis, Series, lines, stacked_bars
from dashboard.base.charts.strips import Mark, Moment, strip, timeline

__all__ = [
    "Axis", "Column", "Day", "Mark", "Moment", "Series", "calendar", "columns", "lines", "stacked_bars", "strip",
    "timeline",
]  # fmt: skip
