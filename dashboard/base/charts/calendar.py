"""A calendar of outcomes: a column for each week, a row for each weekday, coloured by the share of failures."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from dashboard.base.charts.markup import drawn, link, shape_link, table, text

_CELL, _STEP = 20, 24
_LEFT, _TOP = 34, 20
_WEEK = 7
_WEEKDAYS = ("Mon", "", "Wed", "", "Fri", "", "Sun")
#: The least share of failures of each level, the worst first.
_LEVELS = ((0.25, "bad"), (0.05, "warn"), (0.0, "few"))
_KEY = (("none", "No runs"), ("ok", "No failures"), ("few", "Up to 5 %"), ("warn", "Up to 25 %"), ("bad", "More"))


#: The fields of a Day that the table's columns count.
_COUNTED = ("succeeded", "failed", "others")
#: The address of a day's executions by one of _COUNTED, or all of them for "".
DayUrl = Callable[[str, datetime.date], str]


@dataclass(frozen=True, slots=True)
class Day:
    """The outcomes of a day; `others` were skipped or canceled."""

    date: datetime.date
    succeeded: int = 0
    failed: int = 0
    others: int = 0

    @property
    def level(self) -> str:
        ran = self.succeeded + self.failed
        if not ran:
            return "none"
        return next((tone for share, tone in _LEVELS if self.failed and self.failed / ran >= share), "ok")

    @property
    def has_executions(self) -> bool:
        return bool(self.succeeded or self.failed or self.others)

    @property
    def words(self) -> str:
        parts = [
            f"{count:,} {name}"
            for count, name in (
                (self.succeeded, "succeeded"),
                (self.failed, "failed"),
                (self.others, "skipped or canceled"),
            )
            if count
        ]
        return f"{self.date:%a} {self.date.day} {self.date:%b %Y}: {', '.join(parts) or 'no executions'}"


def calendar(title: str, days: Sequence[Day], *, url_of: DayUrl) -> SafeString:
    """Draw consecutive days, the oldest first."""
    first = days[0].date - datetime.timedelta(days=days[0].date.weekday())
    weeks = (days[-1].date - first).days // _WEEK + 1
    width, height = _LEFT + weeks * _STEP, _TOP + _WEEK * _STEP
    failed, ran = sum(day.failed for day in days), sum(day.succeeded + day.failed for day in days)
    key = "".join(
        f'<li><span class="hh-swatch hh-level-{level}" aria-hidden="true"></span>{words}</li>' for level, words in _KEY
    )
    return drawn(
        '<figure class="hh-chart">',
        f'<p class="hh-visually-hidden">{text(title)}: {failed:,} of {ran:,} executions failed</p>',
        '<svg class="hh-calendar" aria-hidden="true"',
        f' viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        _names(first, weeks),
        *(_cell(day, first, url_of) for day in days),
        f'</svg><figcaption><ul class="hh-key">{key}</ul></figcaption>',
        _table(days, url_of),
        "</figure>",
    )


def _cell(day: Day, first: datetime.date, url_of: DayUrl) -> str:
    """A day's cell; the worst have a mark, since some people don't see red."""
    week, weekday = divmod((day.date - first).days, _WEEK)
    x, y = _LEFT + week * _STEP, _TOP + weekday * _STEP
    mark = f'<path class="hh-cell-mark" d="M{x + 6} {y + _CELL // 2}h8"/>' if day.level == "bad" else ""
    shape = (
        f'<rect class="hh-cell hh-level-{day.level}" x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" rx="4">'
        f"<title>{text(day.words)}</title></rect>{mark}"
    )
    return shape_link(shape, url_of("", day.date)) if day.has_executions else shape


def _names(first: datetime.date, weeks: int) -> str:
    """The labels of every second weekday and of the months."""
    weekdays = [(0, _TOP + row * _STEP + 14, name) for row, name in enumerate(_WEEKDAYS) if name]
    months = [(_LEFT + week * _STEP, 12, name) for week, name in _months(first, weeks)]
    return "".join(f'<text x="{x}" y="{y}">{name}</text>' for x, y, name in (*weekdays, *months))


def _months(first: datetime.date, weeks: int) -> list[tuple[int, str]]:
    """The weeks to label with a month: the first, unless the next label would touch it, and each that begins one."""
    mondays = [first + datetime.timedelta(weeks=week) for week in range(weeks)]
    begin = [week for week in range(1, weeks) if mondays[week].month != mondays[week - 1].month]
    labelled = begin if begin and begin[0] < 2 else [0, *begin]  # noqa: PLR2004 - a name is as wide as two weeks
    return [(week, f"{mondays[week]:%b}") for week in labelled]


def _table(days: Sequence[Day], url_of: DayUrl) -> str:
    rows = (
        (day.date.isoformat(), [_count(day, name, url_of) for name in _COUNTED])
        for day in reversed(days)
        if day.has_executions
    )
    return table(["Day, UTC", "Succeeded", "Failed", "Skipped or canceled"], rows)


def _count(day: Day, name: str, url_of: DayUrl) -> str:
    count: int = getattr(day, name)
    return link(f"{count:,}", url_of(name, day.date)) if count else "0"
