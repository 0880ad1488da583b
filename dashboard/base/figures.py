"""The numbers of the start page: outcomes, durations and lateness of executions over a span."""

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

#: From the bottom up: failures first, where bars are easiest to compare.
_STACKED = ("failed", "skipped", "canceled", "running", "waiting", "pending", "succeeded")
_ALWAYS = ("failed", "succeeded")
_PERCENTILES = (50, 95, 99)
_CALENDAR_WEEKS = 13
#: The statuses behind each count of a calendar's day.
_COUNTED = {"succeeded": "succeeded", "failed": "failed", "others": "skipped,canceled"}
_INSTANT = "%Y-%m-%dT%H:%MZ"
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """A span that the page can show; `name` is the same in the filter `since` of executions."""

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
    """The span of this name, else the last 24 hours."""
    return next((span for span in SPANS if span.name == name), SPANS[1])


@dataclass(frozen=True, slots=True)
class SpanStatistics:
    """The statistics of a span, as text and charts."""

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


def measured(subject: Subject, span: Span, now: datetime.datetime) -> SpanStatistics:
    return SpanStatistics(span, statistics(subject, Period.around(now - span.length, now, span.bucket, now=now)))


def daily_outcomes(subject: Subject, now: datetime.datetime, *, days: int, narrowed: Mapping[str, str]) -> SafeString:
    """Outcomes of the last days, a bar for each UTC day. `narrowed` are further query parameters of the bars' links."""
    period = Period.around(now - (days - 1) * _DAY, now, Bucket.DAY, now=now)
    return _outcome_bars("Executions by day", period, outcomes(subject, period), narrowed)


def outcomes_calendar(subject: Subject, now: datetime.datetime) -> SafeString:
    """Outcomes by day of the last 13 weeks, from a Monday on."""
    this_monday = now.replace(hour=0, minute=0, second=0, microsecond=0) - now.weekday() * _DAY
    period = Period.around(this_monday - (_CALENDAR_WEEKS - 1) * 7 * _DAY, now, Bucket.DAY, now=now)
    return calendar("Outcomes", _days(period, outcomes(subject, period)), url_of=_day_url)


def _days(period: Period, buckets: Sequence[Figures]) -> list[Day]:
    return [
        Day(
            date=period.start_of(index).date(),
            succeeded=figures.counts[ExecutionStatus.SUCCEEDED],
            failed=figures.counts[ExecutionStatus.FAILED],
            others=figures.counts[ExecutionStatus.SKIPPED] + figures.counts[ExecutionStatus.CANCELED],
        )
        for index, figures in enumerate(buckets)
    ]


def _outcome_bars(
    title: str, period: Period, buckets: Sequence[Figures], narrowed: Mapping[str, str] | None = None
) -> SafeString:
    """Bars stacked by status, each part a link to its executions."""
    total = {status: sum(figures.counts[status] for figures in buckets) for status in _STACKED}
    statuses = [status for status in _STACKED if status in _ALWAYS or total[status]]
    series = [
        Series(STATUSES[status].label, STATUSES[status].tone, [figures.counts[status] for figures in buckets],
               f"{total[status]:,}")
        for status in statuses
    ]  # fmt: skip

    def url_of(index: int, start: datetime.datetime, end: datetime.datetime) -> str:
        return _executions_url(start, end, {"status": statuses[index], **(narrowed or {})})

    return stacked_bars(title, _axis_of(period), series, url_of=url_of)


def _axis_of(period: Period) -> Axis:
    return Axis(period.since, period.bucket.width, period.count)


def _day_url(counted: str, date: datetime.date) -> str:
    start = datetime.datetime.combine(date, datetime.time(), datetime.UTC)
    return _executions_url(start, start + _DAY, {"status": _COUNTED[counted]} if counted else {})


def _executions_url(start: datetime.datetime, end: datetime.datetime, narrowed: Mapping[str, str]) -> str:
    """The list of executions that were due between two instants."""
    between = {"from": f"{start:{_INSTANT}}", "to": f"{end:{_INSTANT}}"}
    return f"{reverse('admin:runs_execution_changelist')}?{urlencode({**narrowed, **between}, safe=',:')}"


def share_words(share: float) -> str:
    """A share in per cent, rounded to 100 % only if it is exactly all."""
    for digits in (1, 2, 3):
        text = f"{share * 100:.{digits}f}"
        if share == 1 or float(text) < 100:  # noqa: PLR2004 - per cent
            return text.rstrip("0").rstrip(".") + " %"
    return "99.999 %"
