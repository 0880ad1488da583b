"""The HTTP calls of a definition: a job's own, or those of a workflow's steps. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Config = dict[str, Any]
WORKFLOW = "workflow"
#: The lists of a workflow's steps, in the order in which they run.
STEP_LISTS = ("steps", "finally")


@dataclass(frozen=True, slots=True)
class DefinedCall:
    """One call. `sections` has its `request`, `success` and `retry`, at `path`; `step` is "" for a job's own."""

    step: str
    path: tuple[str | int, ...]
    sections: Mapping[str, Any]


def is_workflow(config: Mapping[str, Any]) -> bool:
    return config.get("kind") == WORKFLOW


def calls_of(config: Mapping[str, Any]) -> Iterator[DefinedCall]:
    """Yield the calls of a complete definition in order."""
    if not is_workflow(config):
        yield DefinedCall("", (), config)
        return
    for steps in STEP_LISTS:
        for index, step in enumerate(config[WORKFLOW][steps]):
            if step["type"] == "http":
                yield DefinedCall(step["id"], (WORKFLOW, steps, index), step)


def with_calls(config: Config, change: Callable[[Config], Config]) -> Config:
    """Apply `change` to whatever has the sections of a call: the definition, or each of its HTTP steps."""
    if not is_workflow(config):
        return change(config)
    changed = {
        steps: [change(step) if step["type"] == "http" else step for step in config[WORKFLOW][steps]]
        for steps in STEP_LISTS
    }
    return {**config, WORKFLOW: {**config[WORKFLOW], **changed}}


def policies_of(config: Mapping[str, Any]) -> frozenset[str]:
    """Return the slugs of the retry policies that a definition uses."""
    return frozenset(slug for call in calls_of(config) if (slug := call.sections["retry"]["policy"]) is not None)


def with_bare_policies(config: Config) -> Config:
    """Leave out the rules where a policy gives them: those stored may be those of the policy before a change."""
    return with_calls(config, _with_bare_policy)


def _with_bare_policy(call: Config) -> Config:
    policy = call["retry"]["policy"]
    return call if policy is None else {**call, "retry": {"policy": policy}}
