"""The steps of an Arazzo workflow as Hourhand's. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs.definition.facts import STEP_PROPERTIES
from jobs.definition.workflow.contract import MAX_STEPS, OnFailure, StepType
from jobs.imports.arazzo.actions import read_actions
from jobs.imports.arazzo.components import Components, merged
from jobs.imports.arazzo.criteria import read_success
from jobs.imports.arazzo.expressions import Outputs, quoted
from jobs.imports.arazzo.openapi import Operation, Sources
from jobs.imports.arazzo.pointers import path_of
from jobs.imports.arazzo.requests import read_request
from jobs.imports.foreign import mapping
from jobs.imports.items import ReadError

#: The extensions of a step that Hourhand wrote: its request, and its other fields.
X_REQUEST, X_STEP = "x-hourhand-request", "x-hourhand-step"
_ID_LENGTH = 40
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_HEADER = re.compile(r"\$response\.header\.([A-Za-z0-9_-]{1,100})")


@dataclass(frozen=True, slots=True)
class Workflow:
    """What the steps of a workflow share: its own object, the components, and the sources."""

    written: Mapping[str, Any]
    components: Components
    sources: Sources


@dataclass(slots=True)
class ReadSteps:
    """The steps by their ids in the document. `left_out` names what changes the course of the workflow."""

    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: Outputs = field(default_factory=Outputs)
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _StepDraft:
    """A step of the document, with its new id, its operation (None: not needed), and what it extracts."""

    written: Mapping[str, Any]
    id: str
    operation: Operation | None
    extract: dict[str, str] = field(default_factory=dict)


def read_steps(workflow: Workflow) -> ReadSteps:
    """Read all steps. Raises ReadError, which names the step."""
    listed = workflow.written.get("steps")
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_STEPS:
        raise ReadError(f"steps should be a list of 1 to {MAX_STEPS}.")
    result, variables = ReadSteps(), dict[tuple[str, str], str]()
    drafts: dict[str, _StepDraft] = {}
    for written in listed:
        step_id = _step_id(mapping(written, "A step"))
        if step_id in drafts:
            raise ReadError(f"Two steps have the id {quoted(step_id)}.")
        with_name = _Naming(step_id)
        with with_name:
            draft = _StepDraft(
                written, _new_id(step_id, {other.id for other in drafts.values()}), _operation(written, workflow)
            )
            _read_outputs(step_id, draft, variables, result)
        drafts[step_id] = draft
        if draft.id != step_id:
            result.notes.append(f"The step {quoted(step_id)} is called {draft.id}.")
    result.outputs = Outputs(variables)
    order = list(drafts)
    for index, step_id in enumerate(order):
        following = order[index + 1] if index + 1 < len(order) else None
        with _Naming(step_id):
            result.steps[step_id] = _read_step(drafts[step_id], workflow, result, following)
    return result


class _Naming:
    """Names the step in the ReadErrors of a block."""

    def __init__(self, step_id: str) -> None:
        self._step_id = step_id

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, ReadError):
            raise ReadError(f"Step {quoted(self._step_id)}: {error}") from error


def _read_step(draft: _StepDraft, workflow: Workflow, result: ReadSteps, following: str | None) -> dict[str, Any]:
    """Return a step. What Hourhand wrote itself is taken as it is."""
    step: dict[str, Any] = {"id": draft.id, "type": StepType.HTTP.value}
    own = draft.written.get(X_STEP)
    if own is not None:
        step |= mapping(own, X_STEP)
    if X_REQUEST in draft.written:
        step["request"] = mapping(draft.written[X_REQUEST], X_REQUEST)
    else:
        step["request"] = _request(draft, workflow, result)
    if own is None:
        step |= _consequences(draft, workflow, result, following)
    return step


def _request(draft: _StepDraft, workflow: Workflow, result: ReadSteps) -> dict[str, Any]:
    assert draft.operation is not None
    components = workflow.components
    parameters = merged(
        (
            parameter
            for holder in (workflow.written, draft.written)
            for parameter in components.listed(holder.get("parameters"), "parameters")
        ),
        "name", "in",
    )  # fmt: skip
    request, notes = read_request(draft.operation, parameters, draft.written.get("requestBody"), result.outputs)
    result.notes += [f"Step {draft.id}: {note}" for note in notes]
    return request


def _consequences(draft: _StepDraft, workflow: Workflow, result: ReadSteps, following: str | None) -> dict[str, Any]:
    """Return what follows the call: success, retry, extract and on_failure."""
    success = read_success(draft.written.get("successCriteria"))
    section = success.section()

    def actions(of_step: str, of_workflow: str) -> Sequence[Mapping[str, Any]]:
        own = merged(workflow.components.listed(draft.written.get(of_step), of_workflow), "name")
        names = {str(action.get("name")) for action in own}
        shared = merged(workflow.components.listed(workflow.written.get(of_workflow), of_workflow), "name")
        return [*own, *(action for action in shared if str(action.get("name")) not in names)]

    read = read_actions(
        actions("onSuccess", "successActions"), actions("onFailure", "failureActions"), following=following
    )
    result.notes += [f"Step {draft.id}: {note}" for note in (*success.notes, *read.notes)]
    result.left_out += [f"Step {draft.id}: {item}" for item in (*success.left_out, *read.left_out)]
    parts: dict[str, Any] = {"success": section, "extract": draft.extract}
    if read.on_failure is not OnFailure.FAIL:
        parts["on_failure"] = read.on_failure.value
    return {**{name: part for name, part in parts.items() if part}, "retry": read.retry}


def _operation(step: Mapping[str, Any], workflow: Workflow) -> Operation | None:
    """Return the operation of a step; None if the document has its whole request. Raises ReadError."""
    if X_REQUEST in step:
        return None
    if "workflowId" in step:
        raise ReadError(
            f"runs the workflow {quoted(str(step['workflowId']))}, which can't be imported: copy its steps."
        )
    if "operationId" not in step and "operationPath" not in step:
        raise ReadError("should have operationId or operationPath.")
    return workflow.sources.operation(step)


def _read_outputs(step_id: str, draft: _StepDraft, variables: dict[tuple[str, str], str], result: ReadSteps) -> None:
    """Add the variables of a step's outputs, and what it extracts for them."""
    outputs = draft.written.get("outputs")
    for name, expression in mapping({} if outputs is None else outputs, "outputs").items():
        variable = _property(expression, draft) if isinstance(expression, str) else None
        if variable is None:
            try:
                variable = _extracted(name, expression, draft)
            except ReadError as error:
                result.notes.append(f"Step {draft.id}: the output {quoted(name)} is left out: {error}")
                continue
            if variable != name:
                result.notes.append(f"Step {draft.id}: the output {quoted(name)} is called {variable}.")
        variables[step_id, name] = f"steps.{draft.id}.{variable}"


def _property(expression: str, draft: _StepDraft) -> str | None:
    """Return the property that every step has with the value of an expression."""
    if expression == "$statusCode":
        return "status"
    if expression == "$response.body":
        return "json" if draft.operation is None or draft.operation.answers_json else "body"
    match = _HEADER.fullmatch(expression)
    return f"headers.{match[1]}" if match else None


def _extracted(name: str, expression: Any, draft: _StepDraft) -> str:
    """Extract a part of the body, and return its name. Raises ReadError for another expression."""
    start = "$response.body#"
    if not isinstance(expression, str) or not expression.startswith(start):
        raise ReadError(f"{quoted(str(expression))} is no part of the response.")
    path = path_of(expression.removeprefix(start))
    plain = re.sub("[^A-Za-z0-9_]", "_", name)
    plain = plain if re.match("[A-Za-z_]", plain) else f"_{plain}"
    extracted = _unused(plain, {*draft.extract, *STEP_PROPERTIES})
    draft.extract[extracted] = path
    return extracted


def _step_id(step: Mapping[str, Any]) -> str:
    step_id = step.get("stepId")
    if not isinstance(step_id, str) or not step_id:
        raise ReadError("A step should have a stepId.")
    return step_id


def _new_id(step_id: str, used: set[str]) -> str:
    """Return an id in Hourhand's letters: loginStep becomes login_step."""
    plain = re.sub("[^a-z0-9_]+", "_", _CAMEL.sub("_", step_id).lower())
    return _unused(plain if re.match("[a-z]", plain) else f"step_{plain.lstrip('_')}", used)


def _unused(name: str, used: set[str]) -> str:
    """Cut a name to its limit, and number it if it is used."""
    name, number = name[:_ID_LENGTH], 1
    candidate = name
    while candidate in used:
        number += 1
        ending = f"_{number}"
        candidate = name[: _ID_LENGTH - len(ending)] + ending
    return candidate
