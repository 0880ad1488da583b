"""Read stored definitions, tell which ones this release can't read, and fill those in for display. Pure.

A version that was valid when it was saved may be unreadable now: a newer release saved it during a rolling upgrade,
this host lacks its time zone, or SQL changed it. Only that job then waits.
"""

import datetime
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from jobs.definition.assertions import InvalidAssertionError, compile_assertion
from jobs.definition.callback import is_callback
from jobs.definition.calls import WORKFLOW, is_workflow
from jobs.definition.conditions import InvalidConditionError
from jobs.definition.contract import JobDefinition, Overlap, Timetable
from jobs.definition.overrides import OVERRIDES, SECTIONS, PerEnvironment, merged, merged_workflow
from jobs.definition.parts import (
    CALL_PARTS,
    MOST_MS,
    MOST_SECONDS,
    MOST_SMALL,
    NONE,
    UNUSED,
    Part,
    Parts,
    between,
    is_verify,
    list_of,
    of,
    one_of,
    wrong_in,
)
from jobs.definition.workflow.contract import WorkflowDefinition
from jobs.definition.workflow.parts import BLANK, fits, wrong_in_workflow
from jobs.definition.workflow.reading import workflow_of
from jobs.schedule import ScheduleError
from jobs.schedule.misfire import Misfire

T = TypeVar("T")
Config = dict[str, Any]
#: The key with which `presentable` marks a filled-in definition. No release accepts it, so none fires such a one.
UNREADABLE = "unreadable"
_MAX_ERROR_CHARACTERS = 300
#: Any instant does: readability does not depend on where intervals count from.
_ANCHOR = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
#: What jobs of this release do.
KINDS = ("http", WORKFLOW)


class UnreadableError(ValueError):
    """This release can't read a stored definition. The text names the part, and quotes nothing that may be secret."""


def _is_webhook(value: Any) -> bool:
    if not isinstance(value, dict):
        return value is None
    return (
        isinstance(value.get("enabled"), bool)
        and is_verify(value.get("verify"))
        and list_of(str)(value.get("headers"))
        and list_of(dict)(value.get("if"))
    )


_INSTANT = Part(of(str, NONE), blank=None)
#: Each field of a definition, those of sections nested. A test compares them with the fields of the API.
PARTS: Parts = {
    "name": Part(of(str), blank=""),
    "description": Part(of(str), blank=""),
    "tags": Part(list_of(str), blank=[]),
    "kind": Part(one_of(KINDS), blank="http", quoted=True),
    "schedule": Part(of(str, dict, NONE), blank=None),
    "timezone": Part(of(str), blank="UTC"),
    "starts_at": _INSTANT,
    "ends_at": _INSTANT,
    "jitter_seconds": Part(between(0, MOST_MS // 1000), blank=0),
    "dst_gap": Part(one_of(("shift", "skip")), blank="shift", quoted=True),
    "dst_fold": Part(one_of(("first", "both")), blank="first", quoted=True),
    "overlap": Part(one_of(Overlap), blank="allow", quoted=True),
    "misfire": Part(one_of(Misfire), blank="fire_once", quoted=True),
    "misfire_grace_seconds": Part(between(0, MOST_SECONDS), blank=0),
    **CALL_PARTS,
    # Always null: releases before callbacks expect it to be there.
    "callback_url": UNUSED,
    "callback": Part(is_callback, blank=None, optional=True),
    "concurrency": Part(lambda value: value is None or between(1, MOST_SMALL)(value), blank=None),
    "command": UNUSED,
    "workflow": UNUSED,
    "webhook": Part(_is_webhook, blank=None, optional=True),
    "retention": {
        "keep_last": Part(of(int), blank=100),
        "keep_days": Part(of(int, NONE), blank=None),
    },
}
#: Those of the kind `workflow`, whose calls are in its steps.
_WORKFLOW_PARTS: Parts = {
    **PARTS,
    **dict.fromkeys(CALL_PARTS, UNUSED),
    WORKFLOW: Part(fits, blank=BLANK),
}


def problem_of(config: Any, *, environment_id: str | None = None, anchor: datetime.datetime) -> str | None:
    """Return why this release can't read a definition in an environment (None: without overrides); None if it can."""
    try:
        definition = _effective(config, environment_id)
        for error in _wrong_parts(definition):
            return _cut(error)
        timetable_of(definition, anchor=anchor)
        runnable_of(definition)
    except UnreadableError as error:
        return _cut(str(error))
    return None


def timetable_of(config: Any, *, anchor: datetime.datetime) -> Timetable:
    """Read the timetable of an effective definition. Raises UnreadableError and nothing else."""
    for error in _wrong_parts(config, leave_out=(*SECTIONS, WORKFLOW, "retention")):
        raise UnreadableError(error)
    try:
        return Timetable.of(config, anchor=anchor)
    except ScheduleError as error:
        raise UnreadableError(f"its schedule can't be read: {error}") from error
    except Exception as error:
        raise UnreadableError(f"its schedule can't be read ({type(error).__name__}).") from error


def definition_of(config: Any) -> JobDefinition:
    """Read the effective definition of one call for a worker. Raises UnreadableError and nothing else."""
    for error in _wrong_parts(config):
        raise UnreadableError(error)
    if is_workflow(config):
        raise UnreadableError("its kind is workflow: it has no call of its own.")
    try:
        for assertion in config["success"]["assertions"]:
            compile_assertion(assertion)
        return JobDefinition.of(config)
    except (InvalidAssertionError, KeyError) as error:
        raise UnreadableError("success.assertions has one that this release does not support.") from error
    except Exception as error:
        raise UnreadableError(f"its request can't be read ({type(error).__name__}).") from error


def workflow_definition_of(config: Any) -> WorkflowDefinition:
    """Read the effective definition of a workflow for a worker. Raises UnreadableError and nothing else."""
    for error in _wrong_parts(config):
        raise UnreadableError(error)
    if not is_workflow(config):
        raise UnreadableError("its kind is not workflow.")
    try:
        return workflow_of(config)
    except InvalidAssertionError as error:
        raise UnreadableError("workflow has an assertion that this release does not support.") from error
    except InvalidConditionError as error:
        raise UnreadableError("workflow has a condition that this release does not support.") from error
    except Exception as error:
        raise UnreadableError(f"its workflow can't be read ({type(error).__name__}).") from error


def runnable_of(config: Any) -> JobDefinition | WorkflowDefinition:
    """Read an effective definition of any kind. Raises UnreadableError and nothing else."""
    is_mapping = isinstance(config, Mapping)
    return workflow_definition_of(config) if is_mapping and is_workflow(config) else definition_of(config)


def whole_definition_of(config: Any) -> JobDefinition:
    """Read an effective definition for a worker, and check its timing too. Raises UnreadableError."""
    timetable_of(config, anchor=_ANCHOR)
    return definition_of(config)


def effective_in(config: Any, environment_id: str) -> Config:
    """Merge an environment's overrides into a stored definition. Raises UnreadableError."""
    merged: Config = _effective(config, environment_id)
    return merged


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
    parts = _parts_of(given)
    error = next(_misshapen(given, parts), None)
    if error is None and (OVERRIDES not in given or _overrides_fit(given, parts)):
        return given
    filled = {**given, **{name: _filled(part, given.get(name, ...)) for name, part in parts.items()}}
    if OVERRIDES in given:
        filled[OVERRIDES] = _fitting(given[OVERRIDES], parts, filled)
    return {**filled, UNREADABLE: error or "overrides is of an unknown shape."}


def _parts_of(config: Mapping[str, Any]) -> Parts:
    return _WORKFLOW_PARTS if is_workflow(config) else PARTS


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
    return merged(shared, sparse)


def _wrong_parts(config: Any, *, leave_out: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a sentence for each part of an effective definition that this release can't read."""
    if not isinstance(config, Mapping):
        yield "it is not a JSON object."
        return
    if UNREADABLE in config:
        yield str(config[UNREADABLE])
    parts = {name: part for name, part in _parts_of(config).items() if name not in leave_out}
    if is_workflow(config) and parts.pop(WORKFLOW, None) is not None:
        yield from wrong_in_workflow(config.get(WORKFLOW))
    yield from wrong_in(config, parts, "", also_known=(OVERRIDES, WORKFLOW, *leave_out))


def _misshapen(config: Config, parts: Parts) -> Iterator[str]:
    """Yield a sentence for each field that is missing or of another type, which display and comparison can't handle."""
    for name, part in parts.items():
        value = config.get(name, ...)
        if isinstance(part, Part):
            if not part.fits(value):
                yield f"{name} is missing or of an unknown shape."
        elif not isinstance(value, dict):
            yield f"{name} is missing or of an unknown shape."
        else:
            for inner, inner_part in part.items():
                if not inner_part.fits(value.get(inner, ...)):
                    yield f"{name}.{inner} is missing or of an unknown shape."


def _filled(part: Part | Mapping[str, Part], value: Any) -> Any:
    if isinstance(part, Part):
        return value if value is not ... and part.fits(value) else part.blank
    given = value if isinstance(value, dict) else {}
    return {**given, **{name: _filled(inner, given.get(name, ...)) for name, inner in part.items()}}


def _overrides_fit(config: Config, parts: Parts) -> bool:
    overrides = config[OVERRIDES]
    return isinstance(overrides, dict) and overrides == _fitting(overrides, parts, config)


def _fitting(overrides: Any, parts: Parts, config: Config) -> Config:
    """Return the overrides of a definition whose shape is right, field by field."""
    given = overrides if isinstance(overrides, dict) else {}
    return {
        key: {
            name: _sparse(parts.get(name), value)
            for name, value in sparse.items()
            if _override_fits(name, value, parts, config)
        }
        for key, sparse in given.items()
        if isinstance(sparse, dict)
    }


def _override_fits(name: str, value: Any, parts: Parts, config: Config) -> bool:
    part = parts.get(name)
    if name == WORKFLOW and isinstance(value, dict) and isinstance(config[WORKFLOW], dict):
        return _names_steps(value) and fits(merged_workflow(config[WORKFLOW], value))
    return part.fits(value) if isinstance(part, Part) else isinstance(value, dict)


def _names_steps(sparse: Config) -> bool:
    by_id = sparse.get("steps", {})
    return isinstance(by_id, dict) and all(isinstance(step, dict) for step in by_id.values())


def _sparse(part: Part | Mapping[str, Part] | None, value: Any) -> Any:
    if part is None or isinstance(part, Part):
        return value
    return {inner: item for inner, item in value.items() if inner not in part or part[inner].fits(item)}
