"""The periods of statistics, and the buckets that they are divided into. Pure."""

import datetime
import enum
from dataclasses import dataclass

from core.errors import HourhandError

DEFAULT_SPAN = datetime.timedelta(hours=24)
#: How long statistics are kept, and those by the minute.
REACH = datetime.timedelta(days=400)
DETAILED_REACH = datetime.timedelta(days=7)
MAX_BUCKETS = 1500
#: The default bucket is the finest of which a period has no more than this.
_DEFAULT_BUCKETS = 100
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class Bucket(enum.StrEnum):
    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    QUARTER = "15m"
    HOUR = "1h"
    SIX_HOURS = "6h"
    DAY = "1d"

    @property
    def width(self) -> datetime.timedelta:
        return _WIDTHS[self]

    @property
    def is_detailed(self) -> bool:
        """Whether it needs statistics by the minute."""
        return self.width < datetime.timedelta(hours=1)


_WIDTHS = {
    Bucket.MINUTE: datetime.timedelta(minutes=1),
    Bucket.FIVE_MINUTES: datetime.timedelta(minutes=5),
    Bucket.QUARTER: datetime.timedelta(minutes=15),
    Bucket.HOUR: datetime.timedelta(hours=1),
    Bucket.SIX_HOURS: datetime.timedelta(hours=6),
    Bucket.DAY: datetime.timedelta(days=1),
}


class PeriodError(HourhandError):
    """There are no statistics for such a period."""

    code = "invalid_period"


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` up to, but without, `until`: both at the start of a bucket in UTC."""

    since: datetime.datetime
    until: datetime.datetime
    bucket: Bucket

    @classmethod
    def around(
        cls,
        since: datetime.datetime | None,
        until: datetime.datetime | None,
        bucket: Bucket | None,
        *,
        now: datetime.datetime,
    ) -> "Period":
        """The whole buckets that cover a time: by default the last 24 hours, in the default bucket.

        Raises PeriodError, naming `from`, `to` or `bucket`.
        """
        until = now if until is None else until
        since = until - DEFAULT_SPAN if since is None else since
        _refuse_unreachable(since, until, now)
        detailed = since >= now - DETAILED_REACH
        if bucket is None:
            bucket = _default_bucket(since, until, detailed=detailed)
        elif bucket.is_detailed and not detailed:
            detail = f"Buckets under 1h reach back {DETAILED_REACH.days} days: use 1h, 6h or 1d, or a later `from`."
            raise PeriodError(detail, field="bucket")
        period = cls._of_whole(since, until, bucket)
        if period.count > MAX_BUCKETS:
            detail = f"Has {period.count:,} buckets, of at most {MAX_BUCKETS:,}: use wider ones, or a shorter period."
            raise PeriodError(detail, field="bucket")
        return period

    @classmethod
    def _of_whole(cls, since: datetime.datetime, until: datetime.datetime, bucket: Bucket) -> "Period":
        first = (since - _EPOCH) // bucket.width
        end = -((_EPOCH - until) // bucket.width)
        return cls(_EPOCH + first * bucket.width, _EPOCH + end * bucket.width, bucket)

    @property
    def count(self) -> int:
        """The number of buckets."""
        return (self.until - self.since) // self.bucket.width

    def start_of(self, index: int) -> datetime.datetime:
        """The start of a bucket."""
        return self.since + index * self.bucket.width


def _refuse_unreachable(since: datetime.datetime, until: datetime.datetime, now: datetime.datetime) -> None:
    if since < now - REACH:
        raise PeriodError(f"Statistics reach back {REACH.days} days.", field="from")
    if until > now + REACH:
        raise PeriodError(f"Should be at most {REACH.days} days from now.", field="to")
    if since >= until:
        raise PeriodError("Should be later than `from`.", field="to")


def _default_bucket(since: datetime.datetime, until: datetime.datetime, *, detailed: bool) -> Bucket:
    fine = (bucket for bucket in Bucket if detailed or not bucket.is_detailed)
    return next((bucket for bucket in fine if (until - since) / bucket.width <= _DEFAULT_BUCKETS), Bucket.DAY)
