"""Write workflows as an Arazzo 1.0 document with its OpenAPI documents inside. Pure.

The document's own fields are for other tools. What they can't express is in `x-hourhand-notes` of its step or workflow;
extensions keep all of it, so that importing the document again changes nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from jobs.imports.arazzo.document import X_DOCUMENT, X_JOB, X_JOBS
from jobs.imports.arazzo.steps import X_REQUEST, X_STEP
from jobs.imports.arazzo.writing.calls import WrittenSources
from jobs.imports.arazzo.writing.outcomes import written_criteria, written_failure, written_outputs
from jobs.imports.arazzo.writing.values import WrittenValues, single_variable

X_NOTES = "x-hourhand-notes"
_VERSION = "1.0.1"
_INFO = {"title": "Workflows of Hourhand", "version": "1.0.0"}
_CALL = "http"
Json = dict[str, Any]


def arazzo_document(jobs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Json | None:
    """Write jobs of the kind workflow, each as its complete definition and its export, which omits defaults.

    Returns None if no job has a call: a document needs one. Jobs without a call are kept beside the others.
    """
    sources, workflows, others = WrittenSources(), [], []
    for definition, exported in jobs:
        if any(step["type"] == _CALL for step in definition["workflow"]["steps"]):
            workflows.append(_workflow(definition, exported, sources))
        else:
            others.append(dict(exported))
    if not workflows:
        return None
    return {
        "arazzo": _VERSION,
        "info": _INFO,
        "sourceDescriptions": sources.descriptions(X_DOCUMENT),
        "workflows": workflows,
        **({X_JOBS: others} if others else {}),
    }


def _workflow(definition: Mapping[str, Any], exported: Mapping[str, Any], sources: WrittenSources) -> Json:
    slug, own = exported["slug"], exported["workflow"]
    calls = [step for step in definition["workflow"]["steps"] if step["type"] == _CALL]
    ids = [step["id"] for step in calls]
    sparse = {step["id"]: step for step in own["steps"]}
    values = WrittenValues(ids)
    steps = [
        _step(step, sparse[step["id"]], following, f"{slug}-{step['id']}", (sources, values))
        for step, following in zip(calls, [*ids[1:], None], strict=True)
    ]
    outputs, notes = _outputs(definition["workflow"], values)
    for step in steps:  # what later steps and the output refer to
        if merged := {**step.get("outputs", {}), **values.outputs.get(step["stepId"], {})}:
            step["outputs"] = merged
    order = [step["id"] if step["type"] == _CALL else step for step in own["steps"]]
    notes = [*_unlike_arazzo(definition["workflow"]), *notes]
    return {
        "workflowId": slug,
        "summary": definition["name"],
        **({"description": definition["description"]} if definition["description"] else {}),
        **({"inputs": {"type": "object", "properties": values.inputs}} if values.inputs else {}),
        "steps": steps,
        **({"outputs": outputs} if outputs else {}),
        **({X_NOTES: notes} if notes else {}),
        X_JOB: {**exported, "workflow": {**own, "steps": order}},
    }


def _step(
    step: Mapping[str, Any],
    sparse: Mapping[str, Any],
    following: str | None,
    operation_id: str,
    shared: tuple[WrittenSources, WrittenValues],
) -> Json:
    sources, values = shared
    call = sources.call(step["request"], operation_id, values)
    notes = call.notes
    if values.take_lost_default():
        notes.append("The defaults of variables.")
    outputs, actions = written_outputs(step["extract"], notes), written_failure(step, following, notes)
    criteria = written_criteria(step["success"], notes)
    if step["if"]:
        notes.append("The conditions under which the step runs.")
    if step["poll"]:
        notes.append("The polling: the step calls once.")
    return {
        "stepId": step["id"],
        **call.fields,
        "successCriteria": criteria,
        **({"onFailure": actions} if actions else {}),
        **({"outputs": outputs} if outputs else {}),
        **({X_NOTES: notes} if notes else {}),
        X_REQUEST: sparse["request"],
        X_STEP: {name: value for name, value in sparse.items() if name not in ("id", "type", "request")},
    }


def _outputs(workflow: Mapping[str, Any], values: WrittenValues) -> tuple[dict[str, str], list[str]]:
    """Write the output of a workflow if it is an object of single variables."""
    output = workflow["output"]
    if output is None:
        return {}, []
    outputs = {}
    for name, value in output.items() if isinstance(output, Mapping) else ():
        variable = single_variable(value)
        if variable is not None and variable.variable and _is_name(name):
            outputs[name] = values.expression(variable)
    complete = isinstance(output, Mapping) and len(outputs) == len(output)
    lost = values.take_lost_default()
    return outputs, [] if complete and not lost else ["The output: only whole values without defaults are carried."]


def _unlike_arazzo(workflow: Mapping[str, Any]) -> list[str]:
    """Name the parts of a workflow that Arazzo has no words for."""
    others = [f"The step {step['id']} ({step['type']})." for step in workflow["steps"] if step["type"] != _CALL]
    return [*others, *(["The steps of finally."] if workflow["finally"] else [])]


def _is_name(name: str) -> bool:
    return bool(name) and all(letter.isascii() and (letter.isalnum() or letter in ".-_") for letter in name)
