"""Schedules: when a job fires. Pure arithmetic; imports no Django and never reads the clock.

Patterns (cron, words) are evaluated in local time of the job's time zone; everything else is arithmetic in UTC.
"""

from jobs.schedule.bounded import Bounded
from jobs.schedule.contract import OccurrenceRange, Schedule, ScheduleError
from jobs.schedule.cron import Cron, Fold, Gap
from jobs.schedule.interval import MAX_INTERVAL_SECONDS, MIN_INTERVAL_SECONDS, Interval
from jobs.schedule.once import Once
from jobs.schedule.parse import MAX_TEXT, parse_schedule, resolve_relative
from jobs.schedule.preview import MAX_FIRINGS, clock_change_warnings, next_firings
from jobs.schedule.zones import display_zone, parse_timezone

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
    "clock_change_warnings",
    "display_zone",
    "next_firings",
    "parse_schedule",
    "parse_timezone",
    "resolve_relative",
]
