"""The picture of a workflow on its job's page: the steps in order, and where environments override them."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.words import Appearance, appearance
from dashboard.jobs.steps import step_parts
from dashboard.workflows.steps import TYPES
from jobs.definition.overrides import OVERRIDES


@dataclass(frozen=True, slots=True)
class FlowStep:
    """A step in words. `lines` begin with what it does; the others are conditions. `overridden_in` are environments."""

    id: str
    look: Appearance
    lines: Sequence[str]
    overridden_in: Sequence[str]


@dataclass(frozen=True, slots=True)
class Flow:
    """The steps, and those after the end."""

    steps: Sequence[FlowStep]
    cleanup: Sequence[FlowStep]

    @classmethod
    def of(cls, config: Mapping[str, Any], slugs: Mapping[uuid.UUID, str]) -> "Flow":
        """Draw a definition; `slugs` are the workspace's environments by id."""
        workflow, overriding = config["workflow"], _overriding(config, slugs)
        return cls(
            [_step(step, overriding) for step in workflow["steps"]],
            [_step(step, overriding) for step in workflow["finally"]],
        )


def _step(step: Mapping[str, Any], overriding: Mapping[str, Sequence[str]]) -> FlowStep:
    first, *others = step_parts(step)
    lines = [f"{first[:1].upper()}{first[1:]}", *others]
    return FlowStep(step["id"], appearance(step["type"], TYPES), lines, overriding.get(step["id"], ()))


def _overriding(config: Mapping[str, Any], slugs: Mapping[uuid.UUID, str]) -> dict[str, list[str]]:
    """By step, the environments that override it."""
    by_step: dict[str, list[str]] = {}
    for environment_id, sparse in config.get(OVERRIDES, {}).items():
        steps = (sparse.get("workflow") or {}).get("steps") or {}
        for step in steps:
            by_step.setdefault(step, []).append(slugs.get(uuid.UUID(environment_id), "another environment"))
    return by_step
