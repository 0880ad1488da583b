"""Periods are whole UTC buckets around the requested range, up to a maximum number."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.stats.periods import DETAILED_REACH, MAX_BUCKETS, REACH, Bucket, Period, PeriodError

NOW = datetime.datetime(2026, 3, 1, 12, 7, 3, 250_000, tzinfo=datetime.UTC)
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
within = st.timedeltas(-REACH + DAY, REACH - DAY)


def asked(since: datetime.datetime, until: datetime.datetime, bucket: Bucket | None) -> Period | PeriodError:
    try:
        return Period.around(since, until, bucket, now=NOW)
    except PeriodError as refused:
        return refused


@given(since=within, until=within, bucket=st.none() | st.sampled_from(Bucket))
def test_a_period_is_extended_to_whole_buckets(
    since: datetime.timedelta, until: datetime.timedelta, bucket: Bucket | None
) -> None:
    period = asked(NOW + since, NOW + until, bucket)
    if isinstance(period, PeriodError):
        assert period.field == ("to" if since >= until else "bucket")
        return
    assert period.since <= NOW + since < period.since + period.bucket.width
    assert period.until - period.bucket.width < NOW + until <= period.until
    assert (period.since - EPOCH) % period.bucket.width == (period.until - EPOCH) % period.bucket.width == DAY * 0
    assert 1 <= period.count <= MAX_BUCKETS
    assert period.start_of(period.count) == period.until
    assert since >= -DETAILED_REACH or not period.bucket.is_detailed


@pytest.mark.parametrize(
    ("span", "bucket"),
    [
        (HOUR / 60, "1m"),
        (HOUR, "1m"),
        (2 * HOUR, "5m"),
        (DAY, "15m"),
        (3 * DAY, "1h"),
        (7 * DAY, "6h"),
        (90 * DAY, "1d"),
    ],
)
def test_by_default_there_are_up_to_a_hundred_buckets(span: datetime.timedelta, bucket: str) -> None:
    assert Period.around(NOW - span, None, None, now=NOW).bucket == bucket


def test_the_default_period_is_the_last_day() -> None:
    period = Period.around(None, None, None, now=NOW)
    assert (period.since, period.until, period.count) == (
        datetime.datetime(2026, 2, 28, 12, 0, tzinfo=datetime.UTC),
        datetime.datetime(2026, 3, 1, 12, 15, tzinfo=datetime.UTC),
        97,
    )
    assert Period.around(None, NOW - DAY, Bucket.DAY, now=NOW).since == datetime.datetime(
        2026, 2, 27, tzinfo=datetime.UTC
    )


@pytest.mark.parametrize(
    ("since", "until", "bucket", "field"),
    [
        (NOW, NOW, None, "to"),
        (NOW + HOUR, NOW, None, "to"),
        (NOW - 401 * DAY, NOW, None, "from"),
        (datetime.datetime.min.replace(tzinfo=datetime.UTC), None, None, "from"),
        (None, datetime.datetime.max.replace(tzinfo=datetime.UTC), None, "to"),
        (NOW - 8 * DAY, NOW - 8 * DAY + HOUR, Bucket.MINUTE, "bucket"),
        (NOW - 2 * DAY, NOW, Bucket.MINUTE, "bucket"),
        (NOW - 100 * DAY, NOW, Bucket.HOUR, "bucket"),
    ],
)
def test_an_impossible_parameter_is_refused_by_name(
    since: datetime.datetime | None, until: datetime.datetime | None, bucket: Bucket | None, field: str
) -> None:
    with pytest.raises(PeriodError) as refused:
        Period.around(since, until, bucket, now=NOW)
    assert refused.value.field == field
