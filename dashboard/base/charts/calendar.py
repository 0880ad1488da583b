"""Days as a calendar: a column for each week, a row for each weekday, darker where more failed."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from dashboard.base.charts.markup import behind, drawn, link, table, text

_CELL, _STEP = 20, 24
_LEFT, _TOP = 34, 20
_WEEK = 7
_WEEKDAYS = ("Mon", "", "Wed", "", "Fri", "", "Sun")
#: From which share of failures on a day looks worse, the worst first.
_LEVELS = ((0.25, "bad"), (0.05, "warn"), (0.0, "few"))
_KEY = (("none", "Nothing ran"), ("ok", "None failed"), ("few", "Up to 5 %"), ("warn", "Up to 25 %"), ("bad", "More"))


#: What a column of the table counts, as the fields of a Day; and where such a count of a day leads.
_COUNTED = ("succeeded", "failed", "others")
Leads = Callable[[str, datetime.date], str]


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
    def is_told(self) -> bool:
        """If there is anything to tell of it."""
        return bool(self.succeeded or self.failed or self.others)

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


def calendar(title: str, days: Sequence[Day], *, leads: Leads) -> SafeString:
    """Consecutive days, the oldest first. `leads` says where a day leads by one of its counts, or "" for all of it."""
    first = days[0].date - datetime.timedelta(days=days[0].date.weekday())
    weeks = (days[-1].date - first).days // _WEEK + 1
    width, height = _LEFT + weeks * _STEP, _TOP + _WEEK * _STEP
    failed, ran = sum(day.failed for day in days), sum(day.succeeded + day.failed for day in days)
    key = "".join(
        f'<li><span class="hh-swatch hh-level-{level}" aria-hidden="true"></span>{words}</li>' for level, words in _KEY
    )
    return drawn(
        '<figure class="hh-chart">',
        f'<p class="hh-unseen">{text(title)}: {failed:,} of {ran:,} executions failed</p>',
        '<svg class="hh-calendar" aria-hidden="true"',
        f' viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        _names(first, weeks),
        *(_cell(day, first, leads) for day in days),
        f'</svg><figcaption><ul class="hh-key">{key}</ul></figcaption>',
        _table(days, leads),
        "</figure>",
    )


def _cell(day: Day, first: datetime.date, leads: Leads) -> str:
    """A day; the worst ones bear a mark, because red alone says nothing to some."""
    week, weekday = divmod((day.date - first).days, _WEEK)
    x, y = _LEFT + week * _STEP, _TOP + weekday * _STEP
    mark = f'<path class="hh-cell-mark" d="M{x + 6} {y + _CELL // 2}h8"/>' if day.level == "bad" else ""
    shape = (
        f'<rect class="hh-cell hh-level-{day.level}" x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" rx="4">'
        f"<title>{text(day.words)}</title></rect>{mark}"
    )
    return behind(shape, leads("", day.date)) if day.is_told else shape


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


def _table(days: Sequence[Day], leads: Leads) -> str:
    told = (
        (day.date.isoformat(), [_count(day, name, leads) for name in _COUNTED]) for day in reversed(days) if day.is_told
    )
    return table(["Day, UTC", "Succeeded", "Failed", "Skipped or canceled"], told)


def _count(day: Day, name: str, leads: Leads) -> str:
    count: int = getattr(day, name)
    return link(f"{count:,}", leads(name, day.date)) if count else "0"
