"""A definition's steps by id, so that two definitions can be compared step by step. Pure."""

from collections.abc import Mapping
from typing import Any

from jobs.definition.calls import STEP_LISTS, WORKFLOW

#: Where the order of the steps is compared, beside what each holds.
ORDER = "order"


def by_step(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a definition whose workflow has its steps by id, and their order."""
    workflow = definition.get(WORKFLOW)
    if workflow is None:
        return dict(definition)
    steps = {part: {step["id"]: step for step in workflow[part]} for part in STEP_LISTS}
    return {**definition, WORKFLOW: {**workflow, **steps, ORDER: list(steps["steps"])}}
