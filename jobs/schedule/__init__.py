"""When a job fires: pure arithmetic on schedules. Imports no Django and never reads the clock.

Patterns (cron, words) are read on the wall clock of the job's time zone; everything else is arithmetic in UTC.
"""

from jobs.schedule.bounded import Bounded
from jobs.schedule.contract import OccurrenceRange, Schedule, ScheduleError
from jobs.schedule.cron import Cron, Fold, Gap
from jobs.schedule.interval import MAX_INTERVAL_SECONDS, MIN_INTERVAL_SECONDS, Interval
from jobs.schedule.once import Once
from jobs.schedule.parse import MAX_TEXT, parse_schedule, settled_schedule
from jobs.schedule.preview import MAX_FIRINGS, next_firings, warnings_ahead
from jobs.schedule.zones import parse_timezone, zone_to_show

__all__ = [
    "MAX_FIRINGS",
    "MAX_INTERVAL_SECONDS",
    "MAX_TEXT",
    "MIN_INTERVAL_SECONDS",
    "Bounded",
    "Cron",
    "Fold",
    "Gap",
    "Interval",
    "OccurrenceRange",
    "Once",
    "Schedule",
    "ScheduleError",
    "next_firings",
    "parse_schedule",
    "parse_timezone",
    "settled_schedule",
    "warnings_ahead",
    "zone_to_show",
]
