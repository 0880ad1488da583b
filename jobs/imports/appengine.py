"""Read App Engine's cron.yaml: GET requests to paths, with schedules in its own syntax."""

import re
from typing import Any

from jobs.imports.foreign import address, items_of, mapping, refuse_others, request_to, single, text
from jobs.imports.items import Item, ReadError
from jobs.imports.names import name_in_comment, name_of_url

_ENTRY = ("description", "url", "schedule", "timezone", "target", "retry_parameters")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ORDINALS = {
    "1st": 1,
    "first": 1,
    "2nd": 2,
    "second": 2,
    "3rd": 3,
    "third": 3,
    "4th": 4,
    "fourth": 4,
    "5th": 5,
    "fifth": 5,
}
_DAY_NAME = re.compile(r"(sun|mon|tue|wed|thu|fri|sat)(?:day|sday|nesday|rsday|urday)?")
_MONTH_NAME = re.compile(r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*")
_INTERVAL = re.compile(r"every (?P<number>[0-9]{1,4}) (?P<unit>hours?|minutes?|mins?)(?P<synchronized> synchronized)?")
_MONTHLY = re.compile(
    r"(?P<days>\S+)(?: (?P<weekdays>\S+))?(?: of (?P<months>\S+))? (?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})"
)
_HINT = "create the job yourself, with a cron expression."


def read_app_engine(documents: list[Any], *, base_url: str | None, timezone: str) -> list[Item]:
    """Return an item for each entry of `cron`. Raises ReadError for another file."""
    crons = single(documents, "a cron.yaml").get("cron")
    if not isinstance(crons, list):
        raise ReadError("Should be a cron.yaml with cron: [{url: ..., schedule: ...}].")

    def read(cron: Any) -> Item:
        entry = mapping(cron, "An entry")
        refuse_others(entry, _ENTRY, "An entry")
        if entry.get("target") is not None:
            raise ReadError(
                "target names another service: import its entries separately, without target and with its base_url."
            )
        request = request_to(address(base_url, text(entry.get("url"), "url")))
        schedule, more, notes = _schedule(text(entry.get("schedule"), "schedule"))
        name = name_in_comment(str(entry.get("description") or "")) or name_of_url(request["url"])
        zone = entry.get("timezone") or timezone
        job = {"name": name, "schedule": schedule, "timezone": zone, "request": request}
        return Item({**job, **more, **_retry(entry.get("retry_parameters"))}, notes=notes)

    return items_of(crons, read)


def _retry(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    parameters = mapping(value, "retry_parameters")
    refuse_others(parameters, ("job_retry_limit",), "retry_parameters")
    limit = parameters.get("job_retry_limit")
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise ReadError("job_retry_limit should be a whole number.")
    return {"retry": {"max_attempts": limit + 1}}


def _schedule(written: str) -> tuple[Any, dict[str, Any], tuple[str, ...]]:
    """Translate a schedule, and return it with further fields of the job and notes."""
    plain = " ".join(re.sub(r"\s*,\s*", ",", written.lower()).split())
    if match := _INTERVAL.fullmatch(plain):
        number, hours = int(match["number"]), match["unit"].startswith("h")
        if not number:
            raise ReadError(f"{written[:80]!r} should be an interval of 1 or more.")
        if match["synchronized"]:
            return _synchronized(number, hours=hours), {}, ()
        note = "App Engine counts from the end of a call, Hourhand from its start; overlap is skip."
        return {"every_seconds": number * (3600 if hours else 60)}, {"overlap": "skip"}, (note,)
    return _cron(plain, written), {}, ()


def _synchronized(number: int, *, hours: bool) -> str:
    if (24 if hours else 60) % number:
        raise ReadError(f"A synchronized interval should divide a day or an hour evenly: {_HINT}")
    return f"0 */{number} * * *" if hours else f"*/{number} * * * *"


def _cron(plain: str, written: str) -> str:
    """Translate a schedule with days and a time to cron."""
    match = _MONTHLY.fullmatch(plain)
    if match is None:
        raise ReadError(f"{written[:80]!r} can't be imported: {_HINT}")
    days, weekdays, months = match["days"], match["weekdays"], match["months"]
    time = f"{int(match['minute'])} {int(match['hour'])}"
    month = "*" if months in (None, "month") else _listed(months, _MONTH_NAME, _MONTHS, first=1, written=written)
    if days == "every" and weekdays == "day":
        return f"{time} * {month} *"
    if days == "every" and weekdays:
        return f"{time} * {month} {_listed(weekdays, _DAY_NAME, _DAYS, first=0, written=written)}"
    if weekdays is None and months and re.fullmatch(r"[0-9]{1,2}(?:,[0-9]{1,2})*", days):
        return f"{time} {days} {month} *"
    if weekdays and all(day in _ORDINALS for day in days.split(",")):
        of_week = (
            "0,1,2,3,4,5,6" if weekdays == "day" else _listed(weekdays, _DAY_NAME, _DAYS, first=0, written=written)
        )
        pairs = [f"{day}#{_ORDINALS[which]}" for day in of_week.split(",") for which in days.split(",")]
        return f"{time} * {month} {','.join(pairs)}"
    raise ReadError(f"{written[:80]!r} can't be imported: {_HINT}")


def _listed(text_: str, form: re.Pattern[str], names: tuple[str, ...], *, first: int, written: str) -> str:
    matches = [form.fullmatch(part) for part in text_.split(",")]
    if not all(matches):
        raise ReadError(f"{written[:80]!r} can't be imported: {_HINT}")
    return ",".join(str(names.index(match[1]) + first) for match in matches if match)
