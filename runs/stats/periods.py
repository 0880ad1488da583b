"""The periods that statistics are asked for, and the buckets that they are divided into. Pure."""

import datetime
import enum
from dataclasses import dataclass

from core.errors import HourhandError

DEFAULT_SPAN = datetime.timedelta(hours=24)
#: Statistics are kept for so long, and those that tell minutes apart for so much.
REACH = datetime.timedelta(days=400)
DETAILED_REACH = datetime.timedelta(days=7)
MAX_BUCKETS = 1500
#: Without a wish, the finest buckets are taken of which there are no more than this.
_HANDSOME = 100
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
        """If minutes have to be told apart for it."""
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
    """No statistics can be had for such a period."""

    code = "invalid_period"


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` up to, but without, `until`: both are where buckets begin in UTC."""

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
        """The whole buckets that hold what is asked for: by default the last 24 hours, finely but not too many.

        Raises PeriodError, naming `from`, `to` or `bucket`.
        """
        until = now if until is None else until
        since = until - DEFAULT_SPAN if since is None else since
        _refuse_unreachable(since, until, now)
        detailed = since >= now - DETAILED_REACH
        if bucket is None:
            bucket = _handsome(since, until, detailed=detailed)
        elif bucket.is_detailed and not detailed:
            told = f"Minutes are told apart for {DETAILED_REACH.days} days: take 1h, 6h or 1d, or a later `from`."
            raise PeriodError(told, field="bucket")
        found = cls._of_whole(since, until, bucket)
        if found.count > MAX_BUCKETS:
            told = f"That makes {found.count:,} buckets, of at most {MAX_BUCKETS:,}: take wider ones, or less time."
            raise PeriodError(told, field="bucket")
        return found

    @classmethod
    def _of_whole(cls, since: datetime.datetime, until: datetime.datetime, bucket: Bucket) -> "Period":
        first = (since - _EPOCH) // bucket.width
        end = -((_EPOCH - until) // bucket.width)
        return cls(_EPOCH + first * bucket.width, _EPOCH + end * bucket.width, bucket)

    @property
    def count(self) -> int:
        """How many buckets it has."""
        return (self.until - self.since) // self.bucket.width

    def start_of(self, place: int) -> datetime.datetime:
        """Where one of its buckets begins."""
        return self.since + place * self.bucket.width


def _refuse_unreachable(since: datetime.datetime, until: datetime.datetime, now: datetime.datetime) -> None:
    if since < now - REACH:
        raise PeriodError(f"Statistics reach back {REACH.days} days.", field="from")
    if until > now + REACH:
        raise PeriodError(f"Should be at most {REACH.days} days from now.", field="to")
    if since >= until:
        raise PeriodError("Should be later than `from`.", field="to")


def _handsome(since: datetime.datetime, until: datetime.datetime, *, detailed: bool) -> Bucket:
    fine = (bucket for bucket in Bucket if detailed or not bucket.is_detailed)
    return next((bucket for bucket in fine if (until - since) / bucket.width <= _HANDSOME), Bucket.DAY)
