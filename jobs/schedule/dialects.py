"""Schedules in the syntax of other schedulers: translated where the meaning is certain, else refused with a suggestion.

Quartz and EventBridge count Sunday as 1, so `2-6` is Monday to Friday there and Tuesday to Saturday here. Weekdays by
number are therefore refused.
"""

import re

from jobs.schedule.contract import ScheduleError
from jobs.schedule.interval import MAX_INTERVAL_SECONDS
from jobs.schedule.tokens import quoted

_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_CRON, _WITH_SECONDS, _WITH_YEAR = 5, 6, 7
_DAY, _WEEKDAY, _YEAR = 3, 5, 6
_ZONE = re.compile(r"(?:cron_)?tz=(?P<zone>\S*)\s*(?P<rest>.*)", re.IGNORECASE)
_EVERY = re.compile(r"@every\s+(?P<duration>\S.*)", re.IGNORECASE)
_DURATION = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>ns|us|µs|ms|s|m|h)")
_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_AMAZON = re.compile(r"(?P<kind>cron|rate|at)\s*\((?P<inside>[^()]*)\)", re.IGNORECASE)
_RATE = re.compile(r"(?P<count>[0-9]{1,9})\s+(?P<unit>minute|hour|day)s?", re.IGNORECASE)
_RATES = {"minute": 60, "hour": 3600, "day": 86_400}
_JENKINS = re.compile(r"H(?:\([0-9]+-[0-9]+\))?(?:/[0-9]+)?", re.IGNORECASE)
_SYSTEMD = re.compile(
    r"(?:(?P<days>[a-z]{3,9}(?:(?:\.\.|,)[a-z]{3,9})*)\s+)?"
    r"(?:(?:(?P<year>\*|[0-9]{4})-)?(?P<month>\*|[0-9]{1,2})-(?P<day>\*|[0-9]{1,2})\s*)?"
    r"(?:(?P<hour>\*|[0-9]{1,2}):(?P<minute>\*|[0-9]{1,2}(?:/[0-9]{1,2})?)(?::(?P<second>[0-9]{1,2}))?)?",
    re.IGNORECASE,
)
_LOOKS_LIKE_SYSTEMD = re.compile(r"\.\.|\*-|-\*|\*:|^[a-z]{3,9}(,[a-z]{3,9})*\s+[0-9*]{1,2}:", re.IGNORECASE)
_NAMED_WEEK = {name: number for number, name in enumerate(_WEEKDAYS)}


def translate(text: str) -> str | int:
    """Translate to our syntax, or to the seconds of an interval; return any other text unchanged.

    Raises ScheduleError for another scheduler's syntax that can't be translated.
    """
    if match := _ZONE.fullmatch(text):
        raise _separate_zone(match["zone"], match["rest"])
    if match := _EVERY.fullmatch(text):
        return _go_duration(match["duration"].strip())
    if match := _AMAZON.fullmatch(text):
        return _amazon(match["kind"].lower(), match["inside"].strip())
    fields = text.split()
    if not text.lower().startswith(("every ", "in ")):
        if any(_JENKINS.fullmatch(term) for field in fields for term in field.split(",")):
            raise _jenkins(fields)
        if any("~" in field for field in fields) and len(fields) in (_CRON, _WITH_SECONDS):
            raise _random(fields)
        if _LOOKS_LIKE_SYSTEMD.search(text) and not text[:4].isdigit():
            raise _systemd(text)
    if _is_quartz(fields):
        return _from_quartz(fields, scheduler="Quartz")
    return text


def _separate_zone(zone: str, rest: str) -> ScheduleError:
    schedule = f'and the schedule to "{rest}"' if rest else "and write the schedule without it"
    return ScheduleError(f'the time zone is a separate field: set timezone to "{zone}", {schedule}.')


def _go_duration(text: str) -> int:
    """Read a duration such as `1h30m`, as in robfig/cron, in seconds."""
    parts = [(match["number"], match["unit"]) for match in _DURATION.finditer(text)]
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ScheduleError(f"{quoted(text)} should be a duration such as 5m, 90s or 1h30m.")
    if any(unit not in _MILLISECONDS for _, unit in parts):
        raise ScheduleError("should be whole seconds.")
    milliseconds = sum(_thousandths(number) * _MILLISECONDS[unit] for number, unit in parts)
    seconds, rest = divmod(milliseconds, 1_000_000)
    if rest:
        raise ScheduleError("should be whole seconds.")
    return _interval(seconds)


def _thousandths(number: str) -> int:
    whole, _, part = number.partition(".")
    if len(whole) > 9 or len(part) > 3:  # noqa: PLR2004 - longer than any interval, or finer than milliseconds of an hour
        raise ScheduleError(f"{quoted(number)} is out of range.")
    return int(whole) * 1000 + int(part.ljust(3, "0") or "0")


def _interval(seconds: int) -> int:
    if not 1 <= seconds <= MAX_INTERVAL_SECONDS:
        raise ScheduleError(f"should be from 1 second to {MAX_INTERVAL_SECONDS // 3600} hours.")
    return seconds


def _amazon(kind: str, inside: str) -> str | int:
    """Translate EventBridge's `cron(...)`, `rate(...)` and `at(...)`."""
    if kind == "at":
        return inside
    if kind == "rate":
        match = _RATE.fullmatch(inside)
        if match is None:
            raise ScheduleError("a rate should look like rate(5 minutes), with minutes, hours or days.")
        return _interval(int(match["count"]) * _RATES[match["unit"].lower()])
    fields = inside.split()
    if len(fields) != _WITH_SECONDS:
        raise ScheduleError(
            "EventBridge's cron(...) should have six fields: minutes, hours, day of month, month, day of week, year."
        )
    return _from_quartz(["0", *fields], scheduler="EventBridge")


def _is_quartz(fields: list[str]) -> bool:
    return len(fields) == _WITH_YEAR or (
        len(fields) in (_CRON, _WITH_SECONDS) and any("?" in field for field in fields)
    )


def _from_quartz(fields: list[str], *, scheduler: str) -> str:
    """Translate a Quartz expression with weekdays by name. Raises ScheduleError for others."""
    if len(fields) == _CRON:
        fields = ["0", *fields]
    for number, field in enumerate(fields):
        if "?" in field and (field != "?" or number not in (_DAY, _WEEKDAY)):
            raise ScheduleError('"?" should be a whole day field; write * elsewhere.')
    translated = ["*" if field == "?" else field for field in fields[:_YEAR]]
    if translated[0] == "0":
        translated = translated[1:]
    expression = " ".join([*translated[:-1], "{}"])
    weekday = fields[_WEEKDAY]
    if any(character.isdigit() for character in weekday.split("/")[0].split("#")[0]):
        names = _quartz_weekday_names(weekday)
        if names is None:
            raise ScheduleError(f"{scheduler} counts Sunday as 1, and here it is 0 or 7: name the days, as in MON-FRI.")
        raise ScheduleError(
            f"{scheduler} counts Sunday as 1, so {weekday} is {names} there and other days here: write names, as in "
            f'"{expression.format(names)}".'
        )
    if re.search(r"(?:^|,)[a-z]{3}/", weekday, re.IGNORECASE):
        raise ScheduleError(f"{scheduler} ends its week on Saturday: name each day, as in MON,WED,FRI.")
    if weekday.upper() == "L":
        raise ScheduleError(f'{scheduler} means Saturday by L: write "{expression.format("SAT")}".')
    if len(fields) > _YEAR and fields[_YEAR] != "*":
        year = fields[_YEAR]
        first, last = re.split(r"[-/,]", year)[0], re.split(r"[-,]", year)[-1]
        raise ScheduleError(
            f'there is no year field: write "{expression.format(translated[-1])}", and set starts_at to '
            f'"{first}-01-01T00:00:00" and ends_at to "{last}-12-31T23:59:59", with the offset of its time zone.'
        )
    return expression.format(translated[-1])


def _quartz_weekday_names(field: str) -> str | None:
    """Replace weekday numbers, with Sunday as 1, by names; None for an unknown syntax."""

    def name(match: re.Match[str]) -> str:
        return _WEEKDAYS[int(match[0]) - 1]

    field, slash, step = field.upper().partition("/")
    terms = []
    for term in field.split(","):
        day, hash_, nth = term.partition("#")
        if not re.fullmatch(r"(?:[1-7]|[A-Z]{3})(?:-(?:[1-7]|[A-Z]{3}))?L?", day) or (slash and "-" not in day):
            return None
        terms.append(re.sub(r"[1-7]", name, day) + hash_ + nth)
    return ",".join(terms) + slash + step


def _jenkins(fields: list[str]) -> ScheduleError:
    plain = [",".join(_without_hash(term) for term in field.split(",")) for field in fields]
    example = " ".join(plain) if len(plain) in (_CRON, _WITH_SECONDS) else "0 * * * *"
    return ScheduleError(
        f'H is a random number in Jenkins; write a number, as in "{example}", and set jitter_seconds to spread jobs '
        "with the same schedule."
    )


def _without_hash(term: str) -> str:
    match = re.fullmatch(r"H(?:\((?P<low>[0-9]+)-(?P<high>[0-9]+)\))?(?P<step>/[0-9]+)?", term, re.IGNORECASE)
    if match is None:
        return term
    if match["step"]:
        return f"{match['low']}-{match['high']}{match['step']}" if match["low"] else f"*{match['step']}"
    return match["low"] or "0"


def _random(fields: list[str]) -> ScheduleError:
    plain = [re.sub(r"(?P<low>[0-9]*)~[0-9]*", lambda match: match["low"] or "0", field) for field in fields]
    return ScheduleError(
        f'"~" is a random number; write a number, as in "{" ".join(plain)}", and set jitter_seconds to spread jobs '
        "with the same schedule."
    )


def _systemd(text: str) -> ScheduleError:
    example = _cron_of_systemd(text)
    instead = f'"{example}"' if example else 'a cron expression, or words such as "every weekday at 9:00"'
    return ScheduleError(f"this looks like systemd's OnCalendar; write {instead} instead.")


def _cron_of_systemd(text: str) -> str | None:
    """Translate a simple OnCalendar to cron; None for others."""
    match = _SYSTEMD.fullmatch(text.strip())
    if match is None or (match["year"] or "*") != "*":
        return None
    weekday = "*"
    if match["days"]:
        names = [name[:3].upper() for name in re.split(r"\.\.|,", match["days"])]
        if any(name not in _NAMED_WEEK for name in names):
            return None
        weekday = re.sub(r"[a-z]{3,9}", lambda name: name[0][:3].upper(), match["days"].lower()).replace("..", "-")
    hour, minute = match["hour"] or "0", match["minute"] or "0"
    minute = re.sub(r"^0?0/", "*/", minute)
    numbers = [re.sub(r"^0(?=[0-9])", "", part or "*") for part in (minute, hour, match["day"], match["month"])]
    second = (match["second"] or "0").lstrip("0")
    return " ".join([*([second] if second else []), *numbers, weekday])
