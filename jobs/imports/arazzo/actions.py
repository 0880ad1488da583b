"""What follows a step, as far as Hourhand's steps in order can: retries, going on, and the end. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.definition.workflow.contract import OnFailure
from jobs.imports.arazzo.conditions import codes
from jobs.imports.arazzo.criteria import read_statuses
from jobs.imports.arazzo.expressions import quoted
from jobs.imports.items import ReadError

_MAX_ATTEMPTS = 20
_MAX_DELAY_MS = 7 * 24 * 3600 * 1000
_MAX_STATUSES = 100
_MAX_NUMBER = 10**12
_DEFAULT_MAX_DELAY_MS = 10_800_000
#: Every status that servers fail with: a retry without criteria is for any failure.
_FAILURES = [*range(300, 309), *range(400, 452), *range(500, 530)]


@dataclass(slots=True)
class Consequences:
    """What the actions of a step become. `left_out` names those that Hourhand's order of steps can't follow."""

    retry: dict[str, Any] = field(default_factory=lambda: {"max_attempts": 1})
    on_failure: OnFailure = OnFailure.FAIL
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_actions(
    on_success: Iterable[Mapping[str, Any]], on_failure: Iterable[Mapping[str, Any]], *, following: str | None
) -> Consequences:
    """Read the actions of a step. `following` is the id of the next step in the document, None behind the last."""
    result = Consequences()
    for action in on_success:
        if not _goes_on(action, following):
            result.left_out.append(f"the success action {_named(action)}")
    final = False
    for action in on_failure:
        try:
            if final:
                raise ReadError("comes after an action that always applies")
            final = _read_failure(action, following, result)
        except ReadError as error:
            result.left_out.append(f"the failure action {_named(action)}: {error}")
    return result


def _goes_on(action: Mapping[str, Any], following: str | None) -> bool:
    """Whether an action leads where the workflow goes anyway."""
    if action.get("type") == "end":
        return following is None
    return action.get("type") == "goto" and following is not None and action.get("stepId") == following


def _read_failure(action: Mapping[str, Any], following: str | None, result: Consequences) -> bool:
    """Read a failure action, and return whether it leaves nothing to those after it."""
    kind = action.get("type")
    if kind == "retry":
        _read_retry(action, result)
        return False
    if read_statuses(action.get("criteria")) is not None:
        raise ReadError("has criteria, which only a retry can have")
    if kind == "end":
        result.on_failure = OnFailure.STOP
        result.notes.append("its failure ends the workflow as a success.")
        return True
    if _goes_on(action, following):
        result.on_failure = OnFailure.CONTINUE
        return True
    raise ReadError("leads to another step than the next")


def _read_retry(action: Mapping[str, Any], result: Consequences) -> None:
    if len(result.retry) > 1:
        raise ReadError("is a second retry")
    if "stepId" in action or "workflowId" in action:
        raise ReadError("runs something else before the retry")
    statuses = read_statuses(action.get("criteria"))
    retried = _FAILURES if statuses is None else codes(statuses)
    if not 0 < len(retried) <= _MAX_STATUSES:
        raise ReadError(f"should be for 1 to {_MAX_STATUSES} statuses")
    limit, seconds = _number(action, "retryLimit", 1), _number(action, "retryAfter", 0)
    if limit + 1 > _MAX_ATTEMPTS or seconds * 1000 > _MAX_DELAY_MS:
        result.notes.append(f"retries are limited to {_MAX_ATTEMPTS - 1}, and to a delay of 7 days.")
    delay = min(round(seconds * 1000), _MAX_DELAY_MS)
    always = statuses is None
    result.retry = {
        "max_attempts": min(int(limit) + 1, _MAX_ATTEMPTS), "backoff": "fixed", "delay_ms": delay, "jitter": False,
        "on_statuses": retried, "on_timeout": always, "on_connection_error": always, "on_assertion": always,
        **({"max_delay_ms": delay} if delay > _DEFAULT_MAX_DELAY_MS else {}),
    }  # fmt: skip


def _number(action: Mapping[str, Any], name: str, default: float) -> float:
    value = action.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_NUMBER:
        raise ReadError(f"{name} should be a number of 0 or more")
    return value


def _named(action: Mapping[str, Any]) -> str:
    """Name an action and where it leads."""
    target = action.get("stepId", action.get("workflowId"))
    leads = f" to {quoted(str(target))}" if target is not None else ""
    return f"{quoted(str(action.get('name')))} ({quoted(str(action.get('type')))}{leads})"
