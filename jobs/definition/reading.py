"""Read stored definitions, tell which ones this release can't read, and fill those in for display. Pure.

A version that was valid when it was saved may be unreadable now: a newer release saved it during a rolling upgrade,
this host lacks its time zone, or SQL changed it. Only that job then waits.
"""

import datetime
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from jobs.definition.assertions import InvalidAssertionError, compile_assertion
from jobs.definition.callback import is_callback
from jobs.definition.contract import JobDefinition, Overlap, Timetable
from jobs.definition.overrides import OVERRIDES, SECTIONS, PerEnvironment
from jobs.schedule import ScheduleError
from jobs.schedule.misfire import Misfire

T = TypeVar("T")
Config = dict[str, Any]
#: The key with which `presentable` marks a filled-in definition. No release accepts it, so none fires such a one.
UNREADABLE = "unreadable"
_MAX_ERROR_CHARACTERS = 300
_MAX_QUOTED_CHARACTERS = 60
#: Any instant does: readability does not depend on where intervals count from.
_ANCHOR = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_BACKOFFS = ("exponential", "linear", "fixed", "list")
_KINDS = ("http",)


class UnreadableError(ValueError):
    """This release can't read a stored definition. The text names the part, and quotes nothing that may be secret."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One field of a definition: `accepts` tests its value, `blank` replaces one of another shape for display.

    `quoted`: an error may quote its value. `optional`: versions of older releases lack it.
    """

    accepts: Callable[[Any], bool]
    blank: Any
    quoted: bool = False
    optional: bool = False


def _of(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _between(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: _of(int)(value) and least <= value <= most


def _one_of(values: Any) -> Callable[[Any], bool]:
    words = frozenset(str(value) for value in values)
    return lambda value: isinstance(value, str) and value in words


def _is_webhook(value: Any) -> bool:
    if not isinstance(value, dict):
        return value is None
    verify = value.get("verify")
    return (
        isinstance(value.get("enabled"), bool)
        and isinstance(verify, dict)
        and isinstance(verify.get("preset"), str)
        and all(_of(str, _NONE)(verify.get(name)) for name in ("secret", "header"))
        and _list_of(str)(value.get("headers"))
        and _list_of(dict)(value.get("if"))
    )


def _is_client_cert(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, dict) and value.keys() == {"cert", "key"} and all(map(_of(str), value.values()))


def _list_of(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(_of(*kinds), value))


def _nothing(value: Any) -> bool:
    return value is None


def _texts_by_name(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


_NONE = type(None)
_BOOLEAN = _Part(_of(bool), blank=False)
_MOST_SECONDS = 366 * 24 * 3600
_MOST_MS = 2**31 - 1
_MOST_SMALL = 2**15 - 1
_DURATION = _Part(_between(0, _MOST_MS), blank=0)
_INSTANT = _Part(_of(str, _NONE), blank=None)
_UNUSED = _Part(_nothing, blank=None)
#: Each field of a definition, those of sections nested. A test compares them with the fields of the API.
PARTS: Mapping[str, _Part | Mapping[str, _Part]] = {
    "name": _Part(_of(str), blank=""),
    "description": _Part(_of(str), blank=""),
    "tags": _Part(_list_of(str), blank=[]),
    "kind": _Part(_one_of(_KINDS), blank="http", quoted=True),
    "schedule": _Part(_of(str, dict, _NONE), blank=None),
    "timezone": _Part(_of(str), blank="UTC"),
    "starts_at": _INSTANT,
    "ends_at": _INSTANT,
    "jitter_seconds": _Part(_between(0, _MOST_MS // 1000), blank=0),
    "dst_gap": _Part(_one_of(("shift", "skip")), blank="shift", quoted=True),
    "dst_fold": _Part(_one_of(("first", "both")), blank="first", quoted=True),
    "overlap": _Part(_one_of(Overlap), blank="allow", quoted=True),
    "misfire": _Part(_one_of(Misfire), blank="fire_once", quoted=True),
    "misfire_grace_seconds": _Part(_between(0, _MOST_SECONDS), blank=0),
    "request": {
        "url": _Part(_of(str), blank=""),
        "method": _Part(_of(str), blank="GET"),
        "headers": _Part(_texts_by_name, blank={}),
        "body": _Part(_of(str, _NONE), blank=None),
        "timeout_seconds": _Part(lambda value: _of(int, float)(value) and 0 < value <= _MOST_SECONDS, blank=30),
        "tls_verify": _Part(_of(bool), blank=True),
        "ca_cert": _Part(_of(str, _NONE), blank=None),
        "client_cert": _Part(_is_client_cert, blank=None, optional=True),
    },
    "success": {
        "statuses": _Part(_list_of(str), blank=["2xx"]),
        "assertions": _Part(_list_of(dict), blank=[]),
    },
    "retry": {
        "policy": _Part(_of(str, _NONE), blank=None),
        "max_attempts": _Part(_between(1, _MOST_SMALL), blank=1),
        "backoff": _Part(_one_of(_BACKOFFS), blank="fixed", quoted=True),
        "delay_ms": _DURATION,
        "max_delay_ms": _DURATION,
        "delays_ms": _Part(lambda value: value is None or _list_of(int)(value), blank=None),
        "jitter": _BOOLEAN,
        "on_statuses": _Part(_list_of(int), blank=[]),
        "except_statuses": _Part(_list_of(int), blank=[]),
        "on_timeout": _BOOLEAN,
        "on_connection_error": _BOOLEAN,
        "on_assertion": _BOOLEAN,
        "on_worker_lost": _BOOLEAN,
        "honor_retry_after": _BOOLEAN,
    },
    # Always null: releases before callbacks expect it to be there.
    "callback_url": _UNUSED,
    "callback": _Part(is_callback, blank=None, optional=True),
    "concurrency": _Part(lambda value: value is None or _between(1, _MOST_SMALL)(value), blank=None),
    "command": _UNUSED,
    "workflow": _UNUSED,
    "webhook": _Part(_is_webhook, blank=None, optional=True),
    "retention": {
        "keep_last": _Part(_of(int), blank=100),
        "keep_days": _Part(_of(int, _NONE), blank=None),
    },
}


def problem_of(config: Any, *, environment_id: str | None = None, anchor: datetime.datetime) -> str | None:
    """Return why this release can't read a definition in an environment (None: without overrides); None if it can."""
    try:
        definition = _effective(config, environment_id)
        for error in _wrong_parts(definition):
            return _cut(error)
        timetable_of(definition, anchor=anchor)
        definition_of(definition)
    except UnreadableError as error:
        return _cut(str(error))
    return None


def timetable_of(config: Any, *, anchor: datetime.datetime) -> Timetable:
    """Read the timetable of an effective definition. Raises UnreadableError and nothing else."""
    for error in _wrong_parts(config, leave_out=(*SECTIONS, "retention")):
        raise UnreadableError(error)
    try:
        return Timetable.of(config, anchor=anchor)
    except ScheduleError as error:
        raise UnreadableError(f"its schedule can't be read: {error}") from error
    except Exception as error:
        raise UnreadableError(f"its schedule can't be read ({type(error).__name__}).") from error


def definition_of(config: Any) -> JobDefinition:
    """Read an effective definition for a worker. Raises UnreadableError and nothing else."""
    for error in _wrong_parts(config):
        raise UnreadableError(error)
    try:
        for assertion in config["success"]["assertions"]:
            compile_assertion(assertion)
        return JobDefinition.of(config)
    except (InvalidAssertionError, KeyError) as error:
        raise UnreadableError("success.assertions has one that this release does not support.") from error
    except Exception as error:
        raise UnreadableError(f"its request can't be read ({type(error).__name__}).") from error


def whole_definition_of(config: Any) -> JobDefinition:
    """Read an effective definition for a worker, and check its timing too. Raises UnreadableError."""
    timetable_of(config, anchor=_ANCHOR)
    return definition_of(config)


def definition_in(config: Any, environment_id: str) -> JobDefinition:
    """Read a stored definition in an environment for a worker. Raises UnreadableError."""
    return definition_of(_effective(config, environment_id))


def per_environment(config: Any, read: Callable[[Config], T], unread: Callable[[str], Any]) -> PerEnvironment[T]:
    """Apply `read` to a stored definition without overrides, and in each environment that has some.

    Where it raises UnreadableError, `unread` makes the value from the reason: one environment does not block another.
    """

    def derive(environment_id: str | None) -> T:
        try:
            return read(_effective(config, environment_id))
        except UnreadableError as error:
            return unread(_cut(str(error)))

    overrides = config.get(OVERRIDES) if isinstance(config, dict) else None
    own = overrides if isinstance(overrides, dict) else {}
    return PerEnvironment(derive(None), {key: derive(key) for key in own})


def presentable(config: Any) -> Config:
    """Return a definition that can be shown and compared, whatever is stored: the same object if its shape is right.

    Otherwise each field that is missing or of another type is blank, and UNREADABLE has the first problem.
    """
    given = config if isinstance(config, dict) else {}
    error = next(_misshapen(given), None)
    if error is None and (OVERRIDES not in given or _overrides_fit(given[OVERRIDES])):
        return given
    filled = {**given, **{name: _filled(part, given.get(name, ...)) for name, part in PARTS.items()}}
    if OVERRIDES in given:
        filled[OVERRIDES] = _fitting(given[OVERRIDES])
    return {**filled, UNREADABLE: error or "overrides is of an unknown shape."}


def _cut(error: str) -> str:
    return error if len(error) <= _MAX_ERROR_CHARACTERS else f"{error[: _MAX_ERROR_CHARACTERS - 3]}..."


def _effective(config: Any, environment_id: str | None) -> Any:
    """Merge an environment's overrides into a definition. Raises UnreadableError for an unknown shape."""
    if not isinstance(config, dict):
        raise UnreadableError("it is not a JSON object.")
    overrides = config.get(OVERRIDES, {})
    shared = {name: value for name, value in config.items() if name != OVERRIDES}
    if not isinstance(overrides, dict):
        raise UnreadableError("overrides is of an unknown shape.")
    sparse = overrides.get(environment_id, {}) if environment_id else {}
    if not isinstance(sparse, dict):
        raise UnreadableError("overrides is of an unknown shape.")
    for name, value in sparse.items():
        both = name in SECTIONS and isinstance(value, dict) and isinstance(shared.get(name), dict)
        shared[name] = {**shared[name], **value} if both else value
    return shared


def _wrong_parts(config: Any, *, leave_out: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a sentence for each part of an effective definition that this release can't read."""
    if not isinstance(config, Mapping):
        yield "it is not a JSON object."
        return
    if UNREADABLE in config:
        yield str(config[UNREADABLE])
    parts = {name: part for name, part in PARTS.items() if name not in leave_out}
    yield from _wrong_in(config, parts, "", also_known=(OVERRIDES, *leave_out))


def _wrong_in(
    values: Mapping[str, Any], parts: Mapping[str, Any], path: str, *, also_known: tuple[str, ...] = ()
) -> Iterator[str]:
    for name, part in parts.items():
        where = f"{path}{name}"
        if name not in values:
            if not (isinstance(part, _Part) and part.optional):
                yield f"{where} is missing."
        elif not isinstance(part, _Part):
            if isinstance(values[name], Mapping):
                yield from _wrong_in(values[name], part, f"{where}.")
            else:
                yield f"{where} is of an unknown shape."
        elif not part.accepts(values[name]):
            yield _unknown(where, part, values[name])
    for name, value in values.items():
        # A newer release's field has no effect while it is empty.
        if name not in parts and name not in also_known and value not in (None, False, "", [], {}):
            yield f"{path}{name} is not known to this release."


def _unknown(where: str, part: _Part, value: Any) -> str:
    if part.quoted and isinstance(value, str):
        return f'{where} is "{value[:_MAX_QUOTED_CHARACTERS]}", which this release does not support.'
    return f"{where} is of an unknown shape."


def _misshapen(config: Any) -> Iterator[str]:
    """Yield a sentence for each field that is missing or of another type, which display and comparison can't handle."""
    for name, part in PARTS.items():
        value = config.get(name, ...)
        if isinstance(part, _Part):
            if not _fits(part, value):
                yield f"{name} is missing or of an unknown shape."
        elif not isinstance(value, dict):
            yield f"{name} is missing or of an unknown shape."
        else:
            for inner, inner_part in part.items():
                if not _fits(inner_part, value.get(inner, ...)):
                    yield f"{name}.{inner} is missing or of an unknown shape."


def _fits(part: _Part, value: Any) -> bool:
    """Return whether a value has the field's type, even if it is an unknown word."""
    if value is ...:
        return part.optional
    return isinstance(value, str) if part.quoted else part.accepts(value)


def _filled(part: Any, value: Any) -> Any:
    if isinstance(part, _Part):
        return value if value is not ... and _fits(part, value) else part.blank
    given = value if isinstance(value, dict) else {}
    return {**given, **{name: _filled(inner, given.get(name, ...)) for name, inner in part.items()}}


def _overrides_fit(overrides: Any) -> bool:
    return isinstance(overrides, dict) and overrides == _fitting(overrides)


def _fitting(overrides: Any) -> Config:
    """Return the overrides whose shape is right, field by field."""
    given = overrides if isinstance(overrides, dict) else {}
    return {
        key: {name: _sparse(name, value) for name, value in sparse.items() if _overrides_part(name, value)}
        for key, sparse in given.items()
        if isinstance(sparse, dict)
    }


def _overrides_part(name: str, value: Any) -> bool:
    part = PARTS.get(name)
    return isinstance(value, dict) if not isinstance(part, _Part) else _fits(part, value)


def _sparse(name: str, value: Any) -> Any:
    part = PARTS.get(name)
    if part is None or isinstance(part, _Part):
        return value
    return {inner: item for inner, item in value.items() if inner not in part or _fits(part[inner], item)}
