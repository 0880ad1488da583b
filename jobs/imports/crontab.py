"""Read a crontab (crontab(5)) whose commands are HTTP calls: each line is read exactly as cron does, or refused."""

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
    """The settings of the lines above."""

    timezone: str
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line that should be a job, before a user column is split off."""

    number: int
    schedule: str
    command: str
    problem: str | None
    name: str | None
    settings: _Settings


def read_crontab(text: str, *, timezone: str = "UTC", user_column: bool | None = None) -> list[Item]:
    """Return an item for each line that should be a job.

    A comment directly above is its name; CRON_TZ, else `timezone`, is its time zone. `user_column`: whether a user name
    is before each command, as in /etc/crontab; None: detect it.
    """
    entries, comments = _entries(text, timezone)
    if user_column is None:
        user_column = has_user_column([entry.command for entry in entries if entry.problem is None], comments)
    items, locks = [], []
    for entry in entries:
        item, lock = _item(entry, user_column=user_column)
        items.append(item)
        locks.append(lock)
    return _without_shared_locks(items, locks)


def _entries(text: str, timezone: str) -> tuple[list[_Entry], list[str]]:
    """Return the lines that should be jobs, and the comments."""
    entries: list[_Entry] = []
    comments: list[str] = []
    settings, name = _Settings(timezone), None
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = raw.removesuffix("\r").strip(BLANKS)
        if line.startswith("#"):
            comments.append(line)
            name = name_in_comment(line)
            continue
        if match := _ASSIGNMENT.fullmatch(line):
            settings = _with(settings, _unquoted(match["name"]), _unquoted(match["value"]), timezone=timezone)
        elif line:
            schedule, command, problem = _split(line)
            entries.append(_Entry(number, schedule, command, problem, name, settings))
        name = None
    return entries, comments


def _unquoted(text: str) -> str:
    return text[1:-1] if text[:1] in ("'", '"') and len(text) > 1 else text.strip(BLANKS)


def _with(settings: _Settings, name: str, value: str, *, timezone: str) -> _Settings:
    """Return the settings after an assignment. An empty CRON_TZ restores the default."""
    if name == "CRON_TZ":
        return replace(settings, timezone=value or timezone)
    return replace(settings, variables={**settings.variables, name: value})


def _split(line: str) -> tuple[str, str, str | None]:
    """Split a line into schedule and command, or return the problem."""
    try:
        if line.startswith("@"):
            preset, *rest = re.split(f"[{BLANKS}]+", line, maxsplit=1)
            schedule, command = _preset(preset), "".join(rest)
        else:
            parts = re.split(f"[{BLANKS}]+", line, maxsplit=_FIELDS)
            schedule = " ".join(_checked(part) for part in parts[:_FIELDS])
            command = parts[_FIELDS] if len(parts) > _FIELDS else ""
        if not command:
            raise ReadError("A line should be five fields and a command, as in 0 2 * * * curl https://example.com/")
    except ReadError as error:
        return "", "", str(error)
    return schedule, command, None


def _preset(word: str) -> str:
    if word.lower() == "@reboot":
        raise ReadError("@reboot is not supported: write a schedule, such as @daily.")
    if word.lower() not in _PRESETS:
        raise ReadError(f"{word[:40]} is not supported: write five fields, or one of {', '.join(sorted(_PRESETS))}.")
    return word.lower()


def _checked(part: str) -> str:
    """Check a field against cron's grammar. Refuses other schedulers' syntax, and what crons disagree on."""
    if _STEP_OF_ONE.search(part):
        raise ReadError(f"Crons disagree on {part[:40]!r}: write a range before the step, as in 0-59/15.")
    if not _FIELD.fullmatch(part) or any(word.lower() not in FIELD_NAMES for word in _WORD.findall(part)):
        raise ReadError(f"{part[:40]!r} is not a valid crontab field: write five fields, as in 0 2 * * mon-fri.")
    return part


def _item(entry: _Entry, *, user_column: bool) -> tuple[Item, str | None]:
    """Read the job of a line, and return the file that it locks."""
    try:
        if entry.problem is not None:
            raise ReadError(entry.problem)
        command = without_user(entry.command, user_column=user_column)
        _refuse_a_sixth_field(command)
        command, stdin = _input_of(command)
        notes = _notes_of(entry.settings)
        call = _call(command, stdin)
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


def _call(command: str, stdin: str | None) -> Call:
    try:
        return read_command(command, stdin=stdin)
    except ReadError as error:
        if stdin is None:
            raise
        raise ReadError(rf"{error} In a crontab % ends the command; write \% for a percent sign.") from error


def delayed(schedule: str, seconds: int) -> str:
    """Delay a schedule of five fields, or a preset, by seconds."""
    return f"{seconds} {_PRESETS.get(schedule, schedule)}" if seconds else schedule


def _refuse_a_sixth_field(command: str) -> None:
    first = re.split(f"[{BLANKS}]", command, maxsplit=1)[0]
    if _LIKE_A_FIELD.fullmatch(first) and (not first.isalpha() or first.lower() in FIELD_NAMES):
        raise ReadError(f"A line should have five fields before its command; {first[:40]!r} is a sixth.")


def _input_of(command: str) -> tuple[str, str | None]:
    r"""Split a command at the first % into command and standard input, as cron does.

    `\%` is a percent sign; each further % is a line break, and the input ends with one.
    """
    pieces, rest = _to_percent(command)
    if rest is None:
        return pieces, None
    if not pieces.endswith(tuple(BLANKS)):
        raise ReadError(
            r"In a crontab % ends the command: write \% for a percent sign, as in https://example.com/a\%20b"
        )
    text = re.sub(r"\\?%", lambda match: "\n" if match[0] == "%" else "%", rest)
    return pieces, text if not text or text.endswith("\n") else f"{text}\n"


def _to_percent(text: str) -> tuple[str, str | None]:
    r"""Split at the first unescaped %, and unescape \% before it. A backslash after a backslash does not escape."""
    pieces: list[str] = []
    position = 0
    for match in re.finditer(r"\\.|%", text, re.DOTALL):
        pieces.append(text[position : match.start()])
        position = match.end()
        if match[0] == "%":
            return "".join(pieces), text[position:]
        pieces.append("%" if match[0] == r"\%" else match[0])
    return "".join([*pieces, text[position:]]), None


def _notes_of(settings: _Settings) -> list[str]:
    """Return notes on variables that are left out. Raises ReadError for those that change the call."""
    for name, value in settings.variables.items():
        refuse_rerouting(name, value)
    shell = settings.variables.get("SHELL", "sh").rpartition("/")[2]
    if shell not in SHELLS:
        raise ReadError(f"SHELL is {shell[:40]} above this line, but only sh syntax is supported.")
    notes = []
    if settings.variables.get("TZ"):
        notes.append(f"TZ only affects the command: the schedule is in {settings.timezone}. Set CRON_TZ to change it.")
    if names := [name for name in settings.variables if name not in {"TZ", "RANDOM_DELAY"}]:
        notes.append(f"Left out, since a call has no environment: {', '.join(names)}.")
    return notes


def _jitter(settings: _Settings) -> dict[str, Any]:
    """Translate cronie's RANDOM_DELAY, in minutes."""
    minutes = settings.variables.get("RANDOM_DELAY", "0")
    if not _MINUTES.fullmatch(minutes):
        raise ReadError("RANDOM_DELAY should be a number of minutes.")
    return {"jitter_seconds": int(minutes) * 60} if int(minutes) else {}


def _without_shared_locks(items: Sequence[Item], locks: Sequence[str | None]) -> list[Item]:
    """Refuse lines that share a lock: an overlap policy covers a single job."""
    count = Counter(lock for lock in locks if lock is not None)
    problem = "Other lines lock the same file, but jobs can't exclude each other: use a separate file for each line."
    return [
        Item(None, problem, item.line) if lock is not None and count[lock] > 1 else item
        for item, lock in zip(items, locks, strict=True)
    ]
