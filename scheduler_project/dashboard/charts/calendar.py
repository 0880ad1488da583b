"""Days as a calendar: a column for each week, a row for each weekday, darker where more failed."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from scheduler_project.dashboard.charts.markup import drawn, table, text

_CELL, _STEP = 20, 24
_LEFT, _TOP = 34, 20
_WEEK = 7
_WEEKDAYS = ("Mon", "", "Wed", "", "Fri", "", "Sun")
#: From which share of failures on a day looks worse, the worst first.
_LEVELS = ((0.25, "bad"), (0.05, "warn"), (0.0, "few"))
_KEY = (("none", "Nothing ran"), ("ok", "None failed"), ("few", "Up to 5 %"), ("warn", "Up to 25 %"), ("bad", "More"))


@dataclass(frozen=True, slots=True)
class Day:
    """How many executions of a day succeeded and failed; `others` were skipped or canceled."""

    date: datetime.date
    succeeded: int = 0
    failed: int = 0
    others: int = 0

    @property
    def level(self) -> str:
        """How it looks."""
        ran = self.succeeded + self.failed
        if not ran:
            return "none"
        return next((tone for share, tone in _LEVELS if self.failed and self.failed / ran >= share), "ok")

    @property
    def words(self) -> str:
        told = [
            f"{count:,} {name}"
            for count, name in (
                (self.succeeded, "succeeded"),
                (self.failed, "failed"),
                (self.others, "skipped or canceled"),
            )
            if count
        ]
        return f"{self.date:%a} {self.date.day} {self.date:%b %Y}: {', '.join(told) or 'nothing'}"


def calendar(title: str, days: Sequence[Day]) -> SafeString:
    """Consecutive days, the oldest first."""
    first = days[0].date - datetime.timedelta(days=days[0].date.weekday())
    weeks = (days[-1].date - first).days // _WEEK + 1
    width, height = _LEFT + weeks * _STEP, _TOP + _WEEK * _STEP
    failed, ran = sum(day.failed for day in days), sum(day.succeeded + day.failed for day in days)
    key = "".join(
        f'<li><span class="hh-swatch hh-level-{level}" aria-hidden="true"></span>{words}</li>' for level, words in _KEY
    )
    return drawn(
        '<figure class="hh-chart">',
        f'<svg class="hh-calendar" role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}"',
        f' aria-label="{text(title)}: {failed:,} of {ran:,} executions failed">',
        _names(first, weeks),
        *(_cell(day, first) for day in days),
        f'</svg><figcaption><ul class="hh-key">{key}</ul></figcaption>',
        _table(days),
        "</figure>",
    )


def _cell(day: Day, first: datetime.date) -> str:
    """A day; the worst ones bear a mark, because red alone says nothing to some."""
    week, weekday = divmod((day.date - first).days, _WEEK)
    x, y = _LEFT + week * _STEP, _TOP + weekday * _STEP
    mark = f'<path class="hh-cell-mark" d="M{x + 6} {y + _CELL // 2}h8"/>' if day.level == "bad" else ""
    return (
        f'<rect class="hh-cell hh-level-{day.level}" x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" rx="4">'
        f"<title>{text(day.words)}</title></rect>{mark}"
    )


def _names(first: datetime.date, weeks: int) -> str:
    """Of every second weekday, and of the months."""
    weekdays = [(0, _TOP + row * _STEP + 14, name) for row, name in enumerate(_WEEKDAYS) if name]
    months = [(_LEFT + week * _STEP, 12, name) for week, name in _months(first, weeks)]
    return "".join(f'<text x="{x}" y="{y}">{name}</text>' for x, y, name in (*weekdays, *months))


def _months(first: datetime.date, weeks: int) -> list[tuple[int, str]]:
    """The weeks in which a month begins, and its name; the first week's too, unless the next label would touch it."""
    mondays = [first + datetime.timedelta(weeks=week) for week in range(weeks)]
    begin = [week for week in range(1, weeks) if mondays[week].month != mondays[week - 1].month]
    shown = begin if begin and begin[0] < 2 else [0, *begin]  # noqa: PLR2004 - a name is as wide as two weeks
    return [(week, f"{mondays[week]:%b}") for week in shown]


def _table(days: Sequence[Day]) -> str:
    told = (
        (day.date.isoformat(), [f"{count:,}" for count in (day.succeeded, day.failed, day.others)])
        for day in reversed(days)
        if day.succeeded or day.failed or day.others
    )
    return table(["Day, UTC", "Succeeded", "Failed", "Skipped or canceled"], told)
