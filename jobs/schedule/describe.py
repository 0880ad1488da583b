"""Descriptions of schedules in words, derived from the parsed fields, not from their text."""

from collections.abc import Iterable, Sequence

from jobs.schedule.fields import BEFORE_LAST, LAST, LAST_DAY, LAST_WEEKDAY, NEAREST, CronField

WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "", "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
NTH = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", LAST: "last"}
#: More times of day are described by their fields.
_MAX_TIMES = 6
#: So many consecutive numbers are written as a range.
_MIN_RUN = 3
_MINUTES = range(60)
_HOURS = range(24)
_ALL_DAYS, _ALL_MONTHS, _ALL_WEEKDAYS = tuple(range(1, 32)), tuple(range(1, 13)), tuple(range(7))


def joined(parts: Sequence[str], last: str = "and") -> str:
    """Join as in "one, two and three"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def format_time(time: int) -> str:
    """Format seconds since midnight as 09:30, or 09:30:15."""
    minute, second = divmod(time, 60)
    clock = f"{minute // 60:02}:{minute % 60:02}"
    return f"{clock}:{second:02}" if second else clock


def describe_times(times: Iterable[int]) -> str:
    """Describe times of day, in seconds since midnight."""
    return f"At {joined([format_time(time) for time in times])}"


def describe_cron(fields: Sequence[CronField]) -> str:
    """Describe six fields, seconds first, as a sentence without its full stop."""
    second, minute, hour, *rest = fields
    days = describe_days(*rest)
    times = _describe_clock(second.values, minute.values, hour.values)
    return f"{times}, {days}" if days else times


def _describe_clock(seconds: tuple[int, ...], minutes: tuple[int, ...], hours: tuple[int, ...]) -> str:
    if len(seconds) * len(minutes) * len(hours) <= _MAX_TIMES:
        times = [h * 3600 + m * 60 + s for h in hours for m in minutes for s in seconds]
        return describe_times(times)
    if seconds == (0,):
        return _describe_minutes(minutes, hours)
    every = _step(seconds, _MINUTES)
    which = _every(every, "second") if every else f"At {_numbers('second', seconds)}"
    every_minute, every_hour = minutes == tuple(_MINUTES), hours == tuple(_HOURS)
    if every_minute and every_hour:
        return which if every else f"{which} past every minute"
    past = "every hour" if every_hour else _numbers("hour", hours)
    return f"{which} of {'every minute' if every_minute else _numbers('minute', minutes)} past {past}"


def _describe_minutes(minutes: tuple[int, ...], hours: tuple[int, ...]) -> str:
    """Describe more times than can be listed, all on whole minutes."""
    every = _step(minutes, _MINUTES)
    runs_on = hours == tuple(range(hours[0], hours[-1] + 1))
    span = f"from {format_time(_seconds(hours[0], minutes[0]))} to {format_time(_seconds(hours[-1], minutes[-1]))}"
    if hours == tuple(_HOURS):
        if every:
            return _every(every, "minute")
        return "Every hour" if minutes == (0,) else f"At {_numbers('minute', minutes)} past every hour"
    if len(minutes) == 1 and runs_on:
        return f"Every hour {span}"
    if len(minutes) == 1 and (step := _step(hours, _HOURS)):
        return f"Every {step} hours {span}"
    if every and runs_on:
        return f"{_every(every, 'minute')} {span}"
    which = _every(every, "minute") if every else f"At {_numbers('minute', minutes)}"
    return f"{which} past {_numbers('hour', hours)}"


def describe_days(of_month: CronField, month: CronField, weekday: CronField) -> str:
    """Describe the days; empty for every day."""
    every_date, every_weekday = of_month.values == _ALL_DAYS, weekday.values == _ALL_WEEKDAYS
    both = of_month.starred or weekday.starred
    dates, weekdays = f"{_dates(of_month)} of the month", _weekdays(weekday)
    if (every_date and every_weekday) or (not both and (every_date or every_weekday)):
        days = ""
    elif every_weekday:
        days = f"on {dates}"
    elif every_date:
        days = f"on {weekdays}"
    elif both:
        days = f"on {weekdays}, but only when that is also {_dates(of_month, 'or')} of the month"
    else:
        days = f"on {dates} or on {weekdays}"
    if month.values == _ALL_MONTHS:
        return days
    months = joined(_runs(month.values, MONTHS))
    return f"{days}, in {months}" if days else f"every day in {months}"


def _dates(field: CronField, last: str = "and") -> str:
    parts = []
    if field.values:
        parts.append(_numbers("day", field.values, last))
    special = sorted(map(str, field.special))
    parts += [
        f"the weekday (Monday to Friday) nearest to day {match['day']}"
        for text in sorted(special, key=_first_number)
        if (match := NEAREST.fullmatch(text))
    ]
    for text in sorted(special, key=_first_number, reverse=True):
        if match := BEFORE_LAST.fullmatch(text):
            days = int(match["before"])
            parts.append(f"the day that is {days} {'day' if days == 1 else 'days'} before the last")
    if LAST_DAY in field.special:
        parts.append("the last day")
    if LAST_WEEKDAY in field.special:
        parts.append("the last weekday (Monday to Friday)")
    return joined(parts, last)


def _first_number(text: str) -> int:
    return int("".join(character for character in text if character.isdigit()) or 0)


def _weekdays(field: CronField) -> str:
    # Weeks are listed from Monday to Sunday.
    plain = _runs(tuple(sorted(day or 7 for day in field.values)), WEEKDAYS)
    nth = sorted((which if which > 0 else 6, day or 7) for day, which in (_pair(item) for item in field.special))
    if not nth:
        return joined(plain)
    special = [f"the {NTH[which if which < 6 else LAST]} {WEEKDAYS[day]}" for which, day in nth]  # noqa: PLR2004
    return f"{joined([*(f'every {part}' for part in plain), *special])} of the month"


def _pair(item: str | tuple[int, int]) -> tuple[int, int]:
    assert isinstance(item, tuple)
    return item


def _seconds(hour: int, minute: int) -> int:
    return hour * 3600 + minute * 60


def _step(values: tuple[int, ...], whole: range) -> int | None:
    """Return the step of these numbers if they fill the whole range evenly from its start."""
    step = values[1] - values[0] if len(values) > 1 else 0
    even = step and len(whole) % step == 0 and values == tuple(whole[::step])
    return step if even else None


def _every(step: int, unit: str) -> str:
    return f"Every {unit}" if step == 1 else f"Every {step} {unit}s"


def _numbers(unit: str, values: tuple[int, ...], last: str = "and") -> str:
    """Write as in "minute 5" or "minutes 5, 7 and 10 to 20"."""
    parts = _runs(values, None)
    plural = "s" if len(values) > 1 and last == "and" else ""
    return f"{unit}{plural} {joined(parts, last)}"


def _runs(values: tuple[int, ...], names: Sequence[str] | None) -> list[str]:
    """Write numbers, or their names, with three or more in a row as a range."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    parts: list[str] = []
    for run in runs:
        words = [names[value] if names else str(value) for value in run]
        parts.extend([f"{words[0]} to {words[-1]}"] if len(run) >= _MIN_RUN else words)
    return parts
