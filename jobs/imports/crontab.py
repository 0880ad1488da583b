"""Reads a crontab (crontab(5)) whose commands are HTTP calls."""

import re
from typing import Any

from jobs.imports.curl import read_command
from jobs.imports.items import Item, ReadError

_ASSIGNMENT = re.compile(r"""\s*([A-Za-z_][A-Za-z0-9_]*|"[^"]*"|'[^']*')\s*=\s*(.*?)\s*""")
_USER = re.compile(r"[a-z_][a-z0-9_-]*\$?")
_TIMEZONES = ("CRON_TZ", "TZ")
_PRESETS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_FIELDS = 5
_NAME_LENGTH = 200


def read_crontab(text: str) -> list[Item]:
    """An item for each line that should be a job. A comment right above is its name, CRON_TZ or TZ its time zone."""
    items: list[Item] = []
    timezone, comment = "UTC", None
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if line.startswith("#"):
            comment = line.lstrip("#").strip() or None
            continue
        if line and not (assigned := _assigned(line)):
            items.append(_item(line, number, timezone=timezone, name=comment))
        elif line and assigned and assigned[0] in _TIMEZONES:
            timezone = assigned[1]
        comment = None
    return items


def _assigned(line: str) -> tuple[str, str] | None:
    """The variable that a line sets: those but the time zone's mean nothing here."""
    found = _ASSIGNMENT.fullmatch(line)
    return (found[1].strip("\"'"), found[2].strip("\"'")) if found else None


def _item(line: str, number: int, *, timezone: str, name: str | None) -> Item:
    try:
        schedule, command = _split(line)
        command, stdin = _input_of(command)
        job = read_command(_without_user(command), stdin=stdin)
    except ReadError as error:
        return Item(None, str(error), number)
    named = name or _name_of(job["request"]["url"])
    return Item({"name": named[:_NAME_LENGTH], "schedule": schedule, "timezone": timezone, **job}, line=number)


def _split(line: str) -> tuple[str, str]:
    """The schedule and the command of a line."""
    if line.startswith("@"):
        preset, *rest = line.split(None, 1)
        command = "".join(rest)
        if preset.lower() == "@reboot":
            raise ReadError("@reboot has no meaning here: write when it should fire, such as @daily.")
        if preset.lower() not in _PRESETS:
            raise ReadError(f"There is no {preset}: write five fields, or one of {', '.join(sorted(_PRESETS))}.")
        schedule = preset.lower()
    else:
        parts = line.split(None, _FIELDS)
        schedule, command = " ".join(parts[:_FIELDS]), parts[_FIELDS] if len(parts) > _FIELDS else ""
    if not command.strip():
        raise ReadError("A line should be five fields, then a command: 0 2 * * * curl https://example.com/")
    return schedule, command.strip()


def _input_of(command: str) -> tuple[str, str | None]:
    r"""What stands before the first %, and its input after that; each further % is a line break, \% a percent sign."""
    pieces = [piece.replace("\0", "%") for piece in command.replace(r"\%", "\0").split("%")]
    return pieces[0].strip(), "\n".join(pieces[1:]) if len(pieces) > 1 else None


def _without_user(command: str) -> str:
    """A system's crontab names a user before the command."""
    first, _, rest = command.partition(" ")
    rest = rest.lstrip()
    is_call = rest.lower().startswith(("http://", "https://")) or rest.split(" ")[0].rpartition("/")[2] == "curl"
    return rest if is_call and _USER.fullmatch(first) and first != "curl" else command


def _name_of(url: Any) -> str:
    """What a job is called whose line says nothing: its URL without scheme and query."""
    return re.sub(r"^[a-z]+://|[?#].*$", "", str(url), flags=re.IGNORECASE).rstrip("/") or "job"
