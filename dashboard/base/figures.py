"""What the start page says in numbers: how executions ended over a time, how long they took, how late they were."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.safestring import SafeString

from core.words import NOTHING, STATUSES, duration_words
from dashboard.base.charts import Axis, Day, Series, calendar, lines, stacked_bars
from runs.states import ExecutionStatus
from runs.stats.periods import Bucket, Period
from runs.stats.statistics import Figures, Statistics, Subject, outcomes, statistics

#: Failures stand at the bottom, where bars can be compared.
_STACKED = ("failed", "skipped", "canceled", "running", "waiting", "pending", "succeeded")
_ALWAYS = ("failed", "succeeded")
_PERCENTILES = (50, 95, 99)
_CALENDAR_WEEKS = 13
#: The statuses that a day of the calendar counts together.
_COUNTED = {"succeeded": "succeeded", "failed": "failed", "others": "skipped,canceled"}
_INSTANT = "%Y-%m-%dT%H:%MZ"
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """A time that the page can show, as the list of executions can be narrowed to it."""

    name: str
    words: str
    length: datetime.timedelta
    bucket: Bucket


SPANS = (
    Span("1h", "1 hour", datetime.timedelta(hours=1), Bucket.MINUTE),
    Span("24h", "24 hours", _DAY, Bucket.QUARTER),
    Span("7d", "7 days", 7 * _DAY, Bucket.HOUR),
    Span("30d", "30 days", 30 * _DAY, Bucket.SIX_HOURS),
)


def span_named(name: str | None) -> Span:
    """The span of this name; the last day for any other."""
    return next((span for span in SPANS if span.name == name), SPANS[1])


@dataclass(frozen=True, slots=True)
class Measured:
    """A span's figures, ready to be drawn."""

    span: Span
    figures: Statistics

    @property
    def total(self) -> Figures:
        return self.figures.total

    @property
    def failed_words(self) -> str:
        failed = self.total.counts[ExecutionStatus.FAILED]
        return f"{failed:,} of {failed + self.total.counts[ExecutionStatus.SUCCEEDED]:,} failed"

    @property
    def success_words(self) -> str:
        rate = self.total.success_rate
        return NOTHING if rate is None else share_words(rate)

    @property
    def duration_words(self) -> str:
        return duration_words(self.total.duration_ms(95))

    @property
    def lateness_words(self) -> str:
        return duration_words(self.total.lateness_ms(99))

    def executions_chart(self) -> SafeString:
        return _outcome_bars("Executions", self.figures.period, self.figures.buckets)

    def duration_chart(self) -> SafeString:
        return self._percentiles("Duration", Figures.duration_ms)

    def lateness_chart(self) -> SafeString:
        return self._percentiles("Lateness", Figures.lateness_ms)

    def _percentiles(self, title: str, of: Callable[[Figures, int], int | None]) -> SafeString:
        series = [
            Series(f"p{percent}", f"p{percent}", [of(figures, percent) for figures in self.figures.buckets],
                   duration_words(of(self.total, percent)))
            for percent in _PERCENTILES
        ]  # fmt: skip
        return lines(title, _axis_of(self.figures.period), series, words=duration_words)


def measured(subject: Subject, span: Span, now: datetime.datetime) -> Measured:
    return Measured(span, statistics(subject, Period.around(now - span.length, now, span.bucket, now=now)))


def daily_outcomes(subject: Subject, now: datetime.datetime, *, days: int, among: Mapping[str, str]) -> SafeString:
    """How the executions of the last days ended, a bar for each day of UTC. `among` is what else narrows the list of
    executions to them."""
    period = Period.around(now - (days - 1) * _DAY, now, Bucket.DAY, now=now)
    return _outcome_bars("Executions by day", period, outcomes(subject, period), among)


def outcomes_calendar(subject: Subject, now: datetime.datetime) -> SafeString:
    """The outcomes of a quarter of a year, day by day, from a Monday on."""
    this_monday = now.replace(hour=0, minute=0, second=0, microsecond=0) - now.weekday() * _DAY
    period = Period.around(this_monday - (_CALENDAR_WEEKS - 1) * 7 * _DAY, now, Bucket.DAY, now=now)
    return calendar("Outcomes", _days(period, outcomes(subject, period)), leads=_of_day)


def _days(period: Period, buckets: Sequence[Figures]) -> list[Day]:
    return [
        Day(
            date=period.start_of(place).date(),
            succeeded=figures.counts[ExecutionStatus.SUCCEEDED],
            failed=figures.counts[ExecutionStatus.FAILED],
            others=figures.counts[ExecutionStatus.SKIPPED] + figures.counts[ExecutionStatus.CANCELED],
        )
        for place, figures in enumerate(buckets)
    ]


def _outcome_bars(
    title: str, period: Period, buckets: Sequence[Figures], among: Mapping[str, str] | None = None
) -> SafeString:
    """Bars stacked by status, each part of which leads to the executions in it."""
    total = {status: sum(figures.counts[status] for figures in buckets) for status in _STACKED}
    shown = [status for status in _STACKED if status in _ALWAYS or total[status]]
    series = [
        Series(STATUSES[status].label, STATUSES[status].tone, [figures.counts[status] for figures in buckets],
               f"{total[status]:,}")
        for status in shown
    ]  # fmt: skip

    def leads(which: int, start: datetime.datetime, end: datetime.datetime) -> str:
        return _executions_between(start, end, {"status": shown[which], **(among or {})})

    return stacked_bars(title, _axis_of(period), series, leads=leads)


def _axis_of(period: Period) -> Axis:
    return Axis(period.since, period.bucket.width, period.count)


def _of_day(counted: str, date: datetime.date) -> str:
    """Where a day of the calendar leads."""
    start = datetime.datetime.combine(date, datetime.time(), datetime.UTC)
    return _executions_between(start, start + _DAY, {"status": _COUNTED[counted]} if counted else {})


def _executions_between(start: datetime.datetime, end: datetime.datetime, narrowed: Mapping[str, str]) -> str:
    """The address of the list of executions that were due in this time."""
    between = {"from": f"{start:{_INSTANT}}", "to": f"{end:{_INSTANT}}"}
    return f"{reverse('admin:runs_execution_changelist')}?{urlencode({**narrowed, **between}, safe=',:')}"


def share_words(share: float) -> str:
    """A share in per cent. Never rounded up to all of it: "99.99 %" of a million is not "100 %"."""
    for digits in (1, 2, 3):
        written = f"{share * 100:.{digits}f}"
        if share == 1 or float(written) < 100:  # noqa: PLR2004 - per cent
            return written.rstrip("0").rstrip(".") + " %"
    return "99.999 %"
