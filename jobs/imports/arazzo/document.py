"""Read the workflows of an Arazzo 1.0 document, with the OpenAPI documents that it names. Nothing is fetched. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from core.exact_json import parse_float, parse_int
from jobs.imports.arazzo.components import Components
from jobs.imports.arazzo.expressions import quoted
from jobs.imports.arazzo.openapi import Sources
from jobs.imports.arazzo.steps import ReadSteps, Workflow, read_steps
from jobs.imports.foreign import items_of, mapping, refuse_others, single
from jobs.imports.items import Item, ReadError, objects_in
from jobs.imports.yaml import read_foreign_yaml
from jobs.slugs import JOB_SLUGS

#: Hourhand's extensions: the embedded document of a source, a job without its calls, and jobs that have none.
X_DOCUMENT, X_JOB, X_JOBS = "x-hourhand-document", "x-hourhand-job", "x-hourhand-jobs"
_VERSION = re.compile(r"1\.0\.[0-9]+(?:-.+)?")
_DISABLED = "New jobs of this workflow are disabled, since the above changes its course: check the steps first."
_NAME_LENGTH, _DESCRIPTION_LENGTH = 200, 2000
_MAX_INPUTS, _MAX_WORKFLOWS = 50, 1000


def parse_arazzo(text: str) -> Any:
    """Parse JSON or YAML. Raises ReadError."""
    if not text.lstrip().startswith("{"):
        return single(read_foreign_yaml(text), "an Arazzo document")
    try:
        return json.loads(text, parse_float=parse_float, parse_int=parse_int, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ReadError("The JSON is nested too deeply.") from error
    except ValueError as error:
        raise ReadError(f"Not valid JSON: {str(error)[:200]}.") from error


def read_arazzo(value: Any, *, base_url: str | None) -> list[Item]:
    """Return an item for each workflow of `{"arazzo": document, "sources": {name: OpenAPI}}`, or of a bare document.

    Raises ReadError for another file. What is left out of a workflow is in its notes; one whose course changes by that
    is not enabled.
    """
    content = mapping(value, "The file")
    sent: Mapping[str, Any] = {}
    if isinstance(content.get("arazzo"), Mapping):
        refuse_others(content, ("arazzo", "sources"), "The file")
        sent = mapping(content.get("sources", {}), "sources")
        content = content["arazzo"]
    version = content.get("arazzo")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ReadError("Should be an Arazzo document of version 1.0, such as arazzo: 1.0.1.")
    workflows = content.get("workflows")
    if not isinstance(workflows, list) or len(workflows) > _MAX_WORKFLOWS:
        raise ReadError(f"Should have a list of at most {_MAX_WORKFLOWS:,} workflows.")
    sources = Sources(_documents(content.get("sourceDescriptions"), sent), base_url=base_url)
    components, slugs = Components(content.get("components")), set[str]()
    items = items_of(
        workflows, lambda written: _item(Workflow(mapping(written, "A workflow"), components, sources), slugs)
    )
    return [*items, *objects_in({"jobs": content.get(X_JOBS, [])})]


def _documents(descriptions: Any, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI documents by the names of their sources. One that is sent wins over an embedded one."""
    if not isinstance(descriptions, list):
        raise ReadError("Should have a list of sourceDescriptions.")
    names, documents = set(), {}
    for written in descriptions:
        description = mapping(written, "A source description")
        name = description.get("name")
        if not isinstance(name, str):
            raise ReadError("A source description should have a name.")
        names.add(name)
        if (document := sent.get(name, description.get(X_DOCUMENT))) is not None:
            documents[name] = _parsed(name, document)
    if others := sorted(set(sent) - names):
        raise ReadError(f"sources has {', '.join(others)[:200]}, which the document does not describe.")
    return documents


def _parsed(name: str, document: Any) -> Any:
    if not isinstance(document, str):
        return document
    try:
        return parse_arazzo(document)
    except ReadError as error:
        raise ReadError(f"The source {quoted(name)}: {error}") from error


def _item(workflow: Workflow, slugs: set[str]) -> Item:
    written = workflow.written
    workflow_id = written.get("workflowId")
    if not isinstance(workflow_id, str) or not workflow_id:
        raise ReadError("A workflow should have a workflowId.")
    try:
        steps = read_steps(workflow)
        if X_JOB in written:
            return Item(_own_job(mapping(written[X_JOB], X_JOB), steps), notes=tuple(steps.notes), whole=True)
    except ReadError as error:
        raise ReadError(f"Workflow {quoted(workflow_id)}: {error}") from error
    if written.get("dependsOn"):
        steps.left_out.append(f"dependsOn {quoted(str(written['dependsOn']))}: run the other workflows yourself")
    slug = JOB_SLUGS.make(workflow_id, taken=slugs)
    slugs.add(slug)
    definition: dict[str, Any] = {
        "slug": slug,
        "name": _line(written.get("summary") or workflow_id)[:_NAME_LENGTH],
        "description": _description(workflow)[:_DESCRIPTION_LENGTH],
        "kind": "workflow",
        "workflow": {"steps": list(steps.steps.values()), **_output(written.get("outputs"), steps)},
    }
    left_out = [f"Left out: {item}." for item in steps.left_out]
    notes = [*steps.notes, *_note_on_inputs(written), *left_out, *([_DISABLED] if left_out else [])]
    return Item(definition, notes=tuple(notes), enabled=not left_out, whole=True)


def _own_job(job: Mapping[str, Any], steps: ReadSteps) -> dict[str, Any]:
    """Put the calls of the document into a job that Hourhand wrote, at their places among its other steps."""
    own = mapping(job.get("workflow"), f"workflow of {X_JOB}")
    order = own.get("steps")
    if not isinstance(order, list):
        raise ReadError(f"{X_JOB} should list the steps.")
    named = [item for item in order if isinstance(item, str)]
    if sorted(named) != sorted(steps.steps):
        raise ReadError(f"{X_JOB} lists other steps than the workflow has: change both, or remove {X_JOB}.")
    placed = [steps.steps[item] if isinstance(item, str) else item for item in order]
    return {**job, "workflow": {**own, "steps": placed}}


def _output(outputs: Any, steps: ReadSteps) -> dict[str, Any]:
    if not outputs:
        return {}
    values = {}
    for name, expression in mapping(outputs, "outputs").items():
        try:
            values[name] = str(steps.outputs.variable(str(expression)))
        except ReadError as error:
            steps.notes.append(f"The output {quoted(name)} is left out: {error}")
    return {"output": values}


def _description(workflow: Workflow) -> str:
    """Join what the document says of the workflow, and a line on its inputs."""
    inputs = ", ".join(_inputs(workflow))
    described = workflow.written.get("description")
    parts = (described.strip() if isinstance(described, str) else "", f"Input: {inputs}." if inputs else "")
    return "\n\n".join(part for part in parts if part)


def _inputs(workflow: Workflow) -> Iterator[str]:
    schema = workflow.components.inputs(workflow.written.get("inputs"))
    properties, required = schema.get("properties"), schema.get("required")
    for name, described in islice(properties.items(), _MAX_INPUTS) if isinstance(properties, Mapping) else ():
        kind = described.get("type") if isinstance(described, Mapping) else None
        needed = isinstance(required, list) and name in required
        words = [*([kind] if isinstance(kind, str) else []), *(["required"] if needed else [])]
        yield f"{name} ({', '.join(words)})" if words else name


def _note_on_inputs(workflow: Mapping[str, Any]) -> list[str]:
    return ["The schema of inputs is not checked; a missing input fails the step that uses it."] * (
        "inputs" in workflow
    )


def _line(text: Any) -> str:
    return " ".join(str(text).split())


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
