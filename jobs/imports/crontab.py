"""Reads a crontab (crontab(5)) whose commands are HTTP calls: each line means what cron makes of it, or is refused."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jobs.imports.call import Call
from jobs.imports.commands import read_command
from jobs.imports.items import Item, ReadError
from jobs.imports.names import name_in_comment, name_of_url
from jobs.imports.users import FIELD_NAMES, has_user_column, without_user
from jobs.imports.wrappers import SHELLS, refuse_rerouting

BLANKS = " \t"
_ASSIGNMENT = re.compile(
    r"""(?P<name>[A-Za-z_][A-Za-z0-9_]*|"[^"=]*"|'[^'=]*')[ \t]*=[ \t]*(?P<value>"[^"]*"|'[^']*'|[^"'].*|)""", re.DOTALL
)
_PRESETS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_FIELDS = 5
_FIELD = re.compile(
    r"(?:\*(?:/[0-9]+)?|[0-9a-z]+(?:-[0-9a-z]+(?:/[0-9]+)?)?|[0-9]*~[0-9]*(?:/[0-9]+)?)"
    r"(?:,(?:\*(?:/[0-9]+)?|[0-9a-z]+(?:-[0-9a-z]+(?:/[0-9]+)?)?|[0-9]*~[0-9]*(?:/[0-9]+)?))*",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]+", re.IGNORECASE)
_STEP_OF_ONE = re.compile(r"(?:^|,)[0-9a-z]+/[0-9]+", re.IGNORECASE)
_LIKE_A_FIELD = re.compile(r"[0-9*][0-9*/,-]*|\*|[a-z]{3}(?:[-,][a-z]{3})*", re.IGNORECASE)
_MINUTES = re.compile(r"[0-9]{1,4}")


@dataclass(slots=True)
class _Settings:
    """What lines above have set."""

    timezone: str
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line that should be a job, as far as it can be split without knowing of a user column."""

    number: int
    schedule: str
    command: str
    wrong: str | None
    name: str | None
    settings: _Settings


def read_crontab(text: str, *, timezone: str = "UTC", user_column: bool | None = None) -> list[Item]:
    """An item for each line that should be a job.

    A comment right above is its name, CRON_TZ its time zone, `timezone` without one. `user_column`: whether a user
    stands before each command, as in /etc/crontab; None: where the file shows that it does.
    """
    entries, comments = _entries(text, timezone)
    if user_column is None:
        user_column = has_user_column([entry.command for entry in entries if entry.wrong is None], comments)
    items, locks = [], []
    for entry in entries:
        item, lock = _item(entry, user_column=user_column)
        items.append(item)
        locks.append(lock)
    return _without_shared_locks(items, locks)


def _entries(text: str, timezone: str) -> tuple[list[_Entry], list[str]]:
    """The lines that should be jobs, and the comments."""
    entries: list[_Entry] = []
    comments: list[str] = []
    settings, name = _Settings(timezone), None
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = raw.removesuffix("\r").strip(BLANKS)
        if line.startswith("#"):
            comments.append(line)
            name = name_in_comment(line)
            continue
        if found := _ASSIGNMENT.fullmatch(line):
            settings = _with(settings, _unquoted(found["name"]), _unquoted(found["value"]), timezone=timezone)
        elif line:
            schedule, command, wrong = _split(line)
            entries.append(_Entry(number, schedule, command, wrong, name, settings))
        name = None
    return entries, comments


def _unquoted(text: str) -> str:
    return text[1:-1] if text[:1] in ("'", '"') and len(text) > 1 else text.strip(BLANKS)


def _with(settings: _Settings, name: str, value: str, *, timezone: str) -> _Settings:
    """The settings after a line that sets a variable. An empty CRON_TZ is the default again."""
    if name == "CRON_TZ":
        return replace(settings, timezone=value or timezone)
    return replace(settings, variables={**settings.variables, name: value})


def _split(line: str) -> tuple[str, str, str | None]:
    """The schedule and the command of a line, or what is wrong with it."""
    try:
        if line.startswith("@"):
            preset, *rest = re.split(f"[{BLANKS}]+", line, maxsplit=1)
            schedule, command = _preset(preset), "".join(rest)
        else:
            parts = re.split(f"[{BLANKS}]+", line, maxsplit=_FIELDS)
            schedule = " ".join(_checked(part) for part in parts[:_FIELDS])
            command = parts[_FIELDS] if len(parts) > _FIELDS else ""
        if not command:
            raise ReadError("A line should be five fields, then a command: 0 2 * * * curl https://example.com/")
    except ReadError as error:
        return "", "", str(error)
    return schedule, command, None


def _preset(word: str) -> str:
    if word.lower() == "@reboot":
        raise ReadError("@reboot has no meaning here: write when it should fire, such as @daily.")
    if word.lower() not in _PRESETS:
        raise ReadError(f"There is no {word[:40]}: write five fields, or one of {', '.join(sorted(_PRESETS))}.")
    return word.lower()


def _checked(part: str) -> str:
    """A field in cron's grammar. What only other schedulers know, or crons read differently, is refused."""
    if _STEP_OF_ONE.search(part):
        raise ReadError(f"Crons differ on {part[:40]!r}: write a range before the step, as in 0-59/15.")
    if not _FIELD.fullmatch(part) or any(word.lower() not in FIELD_NAMES for word in _WORD.findall(part)):
        raise ReadError(f"{part[:40]!r} is no field of a crontab: write five of them, as in 0 2 * * mon-fri.")
    return part


def _item(entry: _Entry, *, user_column: bool) -> tuple[Item, str | None]:
    """The job of a line, and the file that it locks."""
    try:
        if entry.wrong is not None:
            raise ReadError(entry.wrong)
        command = without_user(entry.command, user_column=user_column)
        _refuse_a_sixth_field(command)
        command, stdin = _input_of(command)
        notes = _notes_of(entry.settings)
        call = _called(command, stdin)
        job = {
            "name": entry.name or name_of_url(call.url or ""),
            "schedule": delayed(entry.schedule, call.delay_seconds),
            "timezone": entry.settings.timezone,
            **_jitter(entry.settings),
            **call.definition(),
        }
    except ReadError as error:
        return Item(None, str(error), entry.number), None
    return Item(job, line=entry.number, notes=(*notes, *call.all_notes())), call.lock


def _called(command: str, stdin: str | None) -> Call:
    try:
        return read_command(command, stdin=stdin)
    except ReadError as error:
        if stdin is None:
            raise
        raise ReadError(rf"{error} In a crontab % ends the command: \% is a percent sign.") from error


def delayed(schedule: str, seconds: int) -> str:
    """A schedule of five fields or a preset, so many seconds later."""
    return f"{seconds} {_PRESETS.get(schedule, schedule)}" if seconds else schedule


def _refuse_a_sixth_field(command: str) -> None:
    first = re.split(f"[{BLANKS}]", command, maxsplit=1)[0]
    if _LIKE_A_FIELD.fullmatch(first) and (not first.isalpha() or first.lower() in FIELD_NAMES):
        raise ReadError(f"A line has five fields before its command, and {first[:40]!r} is a sixth.")


def _input_of(command: str) -> tuple[str, str | None]:
    r"""What stands before the first %, and the command's input after that, as cron makes them.

    `\%` is a percent sign, each further % a line break, and an input ends in one.
    """
    pieces, rest = _to_percent(command)
    if rest is None:
        return pieces, None
    if not pieces.endswith(tuple(BLANKS)):
        raise ReadError(
            r"In a crontab % ends the command: write \% for a percent sign, as in https://example.com/a\%20b"
        )
    text = re.sub(r"\\?%", lambda found: "\n" if found[0] == "%" else "%", rest)
    return pieces, text if not text or text.endswith("\n") else f"{text}\n"


def _to_percent(text: str) -> tuple[str, str | None]:
    r"""What stands before the first % that has no backslash before it, with \% as %; and what follows, if there is one.

    A backslash that another one precedes is none of that percent's.
    """
    kept: list[str] = []
    place = 0
    for found in re.finditer(r"\\.|%", text, re.DOTALL):
        kept.append(text[place : found.start()])
        place = found.end()
        if found[0] == "%":
            return "".join(kept), text[place:]
        kept.append("%" if found[0] == r"\%" else found[0])
    return "".join([*kept, text[place:]]), None


def _notes_of(settings: _Settings) -> list[str]:
    """What is left out of the variables above a line. Raises ReadError for those that make a call another one."""
    for name, value in settings.variables.items():
        refuse_rerouting(name, value)
    shell = settings.variables.get("SHELL", "sh").rpartition("/")[2]
    if shell not in SHELLS:
        raise ReadError(f"The command is for {shell[:40]}, set as SHELL above it: lines are read as sh reads them.")
    notes = []
    if settings.variables.get("TZ"):
        notes.append(f"TZ is the command's: the schedule is in {settings.timezone}. CRON_TZ sets another.")
    if names := [name for name in settings.variables if name not in {"TZ", "RANDOM_DELAY"}]:
        notes.append(f"Left out, as a call has no variables: {', '.join(names)}.")
    return notes


def _jitter(settings: _Settings) -> dict[str, Any]:
    """cronie's RANDOM_DELAY, in minutes."""
    minutes = settings.variables.get("RANDOM_DELAY", "0")
    if not _MINUTES.fullmatch(minutes):
        raise ReadError("RANDOM_DELAY should be a number of minutes.")
    return {"jitter_seconds": int(minutes) * 60} if int(minutes) else {}


def _without_shared_locks(items: Sequence[Item], locks: Sequence[str | None]) -> list[Item]:
    """Refuse lines that keep out of each other's way: a job only keeps out of its own."""
    count = Counter(lock for lock in locks if lock is not None)
    told = "Other lines lock the same file, and a job keeps out of the way of itself only: give each a file of its own."
    return [
        Item(None, told, item.line) if lock is not None and count[lock] > 1 else item
        for item, lock in zip(items, locks, strict=True)
    ]
