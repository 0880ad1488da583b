"""The shape of a stored workflow that this release can read. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.definition.parts import (
    BOOLEAN,
    CALL_PARTS,
    MOST_SECONDS,
    NONE,
    Part,
    Parts,
    between,
    is_verify,
    list_of,
    of,
    one_of,
    wrong_in,
)
from jobs.definition.workflow.contract import OnFailure, StepType

#: What is shown of a workflow whose shape is unknown.
BLANK: dict[str, Any] = {"timeout_seconds": 1, "steps": [], "finally": [], "output": None}
_SECONDS = Part(between(0, MOST_SECONDS), blank=0)
_LEADS_ON = (OnFailure.FAIL, OnFailure.CONTINUE)


def _is_extract(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(spelled, str) or (isinstance(spelled, dict) and isinstance(spelled.get("path"), str))
        for spelled in value.values()
    )


def _is_poll(value: Any) -> bool:
    if not isinstance(value, dict):
        return value is None
    return list_of(dict)(value.get("until")) and all(
        between(0, MOST_SECONDS)(value.get(name)) for name in ("every_seconds", "timeout_seconds")
    )


def _is_form(value: Any) -> bool:
    return list_of(dict)(value) and all(
        all(isinstance(field.get(name), str) for name in ("name", "label", "type"))
        and isinstance(field.get("required"), bool)
        and list_of(str)(field.get("options"))
        for field in value
    )


_COMMON: Mapping[str, Part] = {
    "id": Part(of(str), blank=""),
    "type": Part(one_of(StepType), blank="http", quoted=True),
    "if": Part(list_of(dict), blank=[]),
    "on_failure": Part(one_of(OnFailure), blank="fail", quoted=True),
}
#: The fields of each type of step, those of sections nested. A test compares them with the fields of the API.
STEP_PARTS: Mapping[str, Parts] = {
    StepType.HTTP: {
        **_COMMON,
        **CALL_PARTS,
        "extract": Part(_is_extract, blank={}),
        "poll": Part(_is_poll, blank=None),
    },
    StepType.DELAY: {
        **_COMMON,
        "seconds": Part(lambda value: value is None or between(1, MOST_SECONDS)(value), blank=None),
        "until": Part(of(str, NONE), blank=None),
    },
    StepType.WEBHOOK: {
        **_COMMON,
        "timeout_seconds": _SECONDS,
        "on_timeout": Part(one_of(_LEADS_ON), blank="fail", quoted=True),
        "verify": Part(is_verify, blank={}),
        "accept": Part(list_of(dict), blank=[]),
    },
    StepType.APPROVAL: {
        **_COMMON,
        "message": Part(of(str, NONE), blank=None),
        "approvers": Part(list_of(str), blank=[]),
        "required": Part(between(1, MOST_SECONDS), blank=1),
        "self_approval": BOOLEAN,
        "form": Part(_is_form, blank=[]),
        "timeout_seconds": _SECONDS,
        "on_timeout": Part(one_of(("reject", "continue")), blank="reject", quoted=True),
    },
}
_PARTS: Mapping[str, Part] = {
    "timeout_seconds": _SECONDS,
    "steps": Part(list_of(dict), blank=[]),
    "finally": Part(list_of(dict), blank=[]),
    "output": Part(lambda _value: True, blank=None),
}


def wrong_in_workflow(workflow: Any) -> Iterator[str]:
    """Yield a sentence for each part of a workflow that this release can't read."""
    if not isinstance(workflow, Mapping):
        yield "workflow is of an unknown shape."
        return
    yield from wrong_in(workflow, _PARTS, "workflow.")
    for part in ("steps", "finally"):
        steps: Any = workflow.get(part)
        for index, step in enumerate(steps if list_of(dict)(steps) else []):
            kind = step.get("type")
            parts = STEP_PARTS.get(kind, _COMMON) if isinstance(kind, str) else _COMMON
            yield from wrong_in(step, parts, f"workflow.{part}.{index}.")
            if part == "finally" and kind != StepType.HTTP:
                yield f"workflow.finally.{index}.type is of an unknown shape."


def fits(workflow: Any) -> bool:
    """Return whether a workflow can be shown and compared."""
    return next(wrong_in_workflow(workflow), None) is None
