"""Instants, durations, sizes and states in words. Pure: takes `now`."""

import datetime
from dataclasses import dataclass

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_UNITS = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (_SECOND, "s"))
NOTHING = "–"  # noqa: RUF001 - the dash for "no value"


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a state looks: always a word and an icon, never a colour alone."""

    label: str
    tone: str  # ok, bad, busy, wait, warn or idle: a class of hourhand.css
    icon: str  # a name of Material Symbols


_UNKNOWN_ICON = "help"
STATUSES = {
    "pending": Appearance("Pending", "wait", "schedule"),
    "running": Appearance("Running", "busy", "progress_activity"),
    "waiting": Appearance("Waiting", "wait", "hourglass_top"),
    "succeeded": Appearance("Succeeded", "ok", "check_circle"),
    "failed": Appearance("Failed", "bad", "error"),
    "canceled": Appearance("Canceled", "idle", "block"),
    "skipped": Appearance("Skipped", "warn", "redo"),
}
TRIGGERS = {
    "schedule": Appearance("Schedule", "idle", "event_repeat"),
    "manual": Appearance("Manual", "idle", "touch_app"),
    "webhook": Appearance("Webhook", "idle", "webhook"),
    "replay": Appearance("Replay", "idle", "replay"),
    "retry": Appearance("Retry", "idle", "restart_alt"),
}
SKIP_REASONS = {
    "overlap": "the previous execution was still running",
    "missed": "it was due while nothing could fire it, and the job's misfire policy skips it",
    "paused": "the job was paused",
    "dst_gap": "this local time did not exist that day (daylight saving time began)",
    "quota": "the workspace's plan does not allow another run",
    "ended": "the job was disabled or deleted before it could fire",
}


def appearance(value: str, appearances: dict[str, Appearance]) -> Appearance:
    """The appearance of a state. A state that is not among `appearances` keeps its own name."""
    return appearances.get(value) or Appearance(value.replace("_", " ").capitalize() or NOTHING, "idle", _UNKNOWN_ICON)


def duration_words(milliseconds: float | None) -> str:
    """Write a duration with at most two units: "310 ms", "1.24 s", "2 min 5 s", "3 d 4 h"."""
    if milliseconds is None:
        return NOTHING
    whole = round(milliseconds)
    if abs(whole) < _SECOND:
        return f"{whole} ms"
    sign, whole = ("-", -whole) if whole < 0 else ("", whole)
    if whole < _MINUTE:
        return f"{sign}{whole / _SECOND:.2f}".rstrip("0").rstrip(".") + " s"
    index = next(index for index, (size, _) in enumerate(_UNITS) if whole >= size)
    (size, unit), (small_size, small_unit) = _UNITS[index], _UNITS[index + 1]
    large, rest = divmod(whole, size)
    small = rest // small_size
    return f"{sign}{large} {unit}" + (f" {small} {small_unit}" if small else "")


def relative_words(instant: datetime.datetime, now: datetime.datetime) -> str:
    """Write the distance to an instant: "in 4 min", "3 h 2 min ago", "now"."""
    milliseconds = (instant - now) / datetime.timedelta(milliseconds=1)
    if abs(milliseconds) < _SECOND:
        return "now"
    # Beyond two minutes seconds do not matter.
    step = _SECOND if abs(milliseconds) < 2 * _MINUTE else _MINUTE
    distance = duration_words(abs(milliseconds) // step * step)
    return f"in {distance}" if milliseconds > 0 else f"{distance} ago"


def instant_words(instant: datetime.datetime, zone: datetime.tzinfo = datetime.UTC) -> str:
    """Write an instant to the second, in local time of `zone`."""
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def size_words(count: int | None) -> str:
    """Write a size in bytes: "512 bytes", "1.5 KiB", "3 MiB"."""
    if count is None:
        return NOTHING
    if count < 1024:  # noqa: PLR2004 - a KiB
        return f"{count} byte" if count == 1 else f"{count} bytes"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024 or unit == "GiB":  # noqa: PLR2004
            break
    return f"{size:.1f}".rstrip("0").rstrip(".") + f" {unit}"
