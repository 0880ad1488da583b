"""What a workflow results in: a JSON template filled with its steps' values, or the last step's answer. Pure."""

from typing import Any

from core import exact_json
from jobs.definition.facts import MISSING, OPENING, Facts
from jobs.definition.templates import RenderingError, TemplateContext, TemplateError, parse
from jobs.definition.workflow.contract import MAX_RESULT_BYTES, WorkflowDefinition


class OutputError(ValueError):
    """The output can't be made; the text says why, without values."""


def output_of(workflow: WorkflowDefinition, facts: Facts) -> Any:
    """Return the output of a workflow whose steps are over. Raises OutputError."""
    output = _last_answer(workflow, facts) if workflow.output is None else _filled(workflow.output, facts)
    if len(exact_json.compact(output).encode()) > MAX_RESULT_BYTES:
        raise OutputError("The output can't be rendered: it would be larger than 64 KiB.")
    return output


def _last_answer(workflow: WorkflowDefinition, facts: Facts) -> Any:
    """The body of the last step that has one, as JSON where it is that."""
    for step in reversed(workflow.steps):
        brought = facts.steps.get(step.id)
        if brought is not None and brought.body is not None:
            return brought.body if brought.json is MISSING else brought.json
    return None


def _filled(value: Any, facts: Facts) -> Any:
    """Fill in a JSON value. A text that is a single variable becomes that variable's value, of whatever type."""
    if isinstance(value, dict):
        return {name: _filled(inner, facts) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, facts) for inner in value]
    if not (isinstance(value, str) and OPENING in value):
        return value
    try:
        template = parse(value, TemplateContext.TEXT_BODY)
        filled = template.value(facts)
        return template.render(facts) if filled is MISSING else filled
    except (TemplateError, RenderingError) as error:
        raise OutputError(f"The output can't be rendered: {error}.") from error
