"""Reads a stored workflow for workers. A stored one has every field, as the validator completed it. Pure."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.definition.assertions import compile_assertion
from jobs.definition.conditions import compile_condition
from jobs.definition.contract import JobDefinition
from jobs.definition.facts import MISSING, STEP_ID_PATTERN
from jobs.definition.json_paths import CompiledPath
from jobs.definition.templates import Template, TemplateContext, parse
from jobs.definition.webhook import SECRET_REFERENCE
from jobs.definition.webhook_signatures import Preset
from jobs.definition.workflow.contract import (
    AnyStep,
    ApprovalStep,
    DelayStep,
    Extraction,
    FormField,
    HttpStep,
    OnFailure,
    Poll,
    StepType,
    WebhookStep,
    WorkflowDefinition,
)

_HEADER = re.compile(rf"\bsteps\.({STEP_ID_PATTERN})\.headers\.([A-Za-z0-9_-]+)")


def workflow_of(config: Mapping[str, Any]) -> WorkflowDefinition:
    """Read an effective definition of the kind `workflow`.

    Raises what reading its parts does: KeyError, ValueError, InvalidAssertionError, InvalidConditionError.
    """
    workflow = config["workflow"]
    named = _named_headers(workflow)
    written = [*workflow["steps"], *workflow["finally"]]
    steps = [_step(position, step, named, config["name"]) for position, step in enumerate(written)]
    cut = len(workflow["steps"])
    return WorkflowDefinition(
        name=config["name"],
        steps=tuple(steps[:cut]),
        finally_steps=tuple(step for step in steps[cut:] if isinstance(step, HttpStep)),
        output=workflow["output"],
        timeout_seconds=workflow["timeout_seconds"],
        concurrency=config["concurrency"],
        has_callback=config.get("callback") is not None,
    )


def _named_headers(workflow: Any) -> dict[str, frozenset[str]]:
    """The response headers that templates anywhere in the workflow name, by step."""
    named: dict[str, set[str]] = {}
    for step, header in _HEADER.findall(json.dumps(workflow)):
        named.setdefault(step, set()).add(header.lower())
    return {step: frozenset(headers) for step, headers in named.items()}


def _step(position: int, step: Mapping[str, Any], named: Mapping[str, frozenset[str]], name: str) -> AnyStep:
    common: dict[str, Any] = {
        "id": step["id"],
        "position": position,
        "conditions": tuple(map(compile_condition, step["if"])),
        "written_conditions": tuple(step["if"]),
        "on_failure": OnFailure(step["on_failure"]),
    }
    kept_headers = named.get(step["id"], frozenset())
    match StepType(step["type"]):
        case StepType.HTTP:
            call = JobDefinition.of(
                {**{part: step[part] for part in ("request", "success", "retry")}, **_OF_STEP, "name": name}
            )
            return HttpStep(
                **common, call=call, extract=tuple(_extractions(step["extract"])), poll=_poll(step["poll"]),
                kept_headers=kept_headers,
            )  # fmt: skip
        case StepType.DELAY:
            return DelayStep(**common, seconds=step["seconds"], until=_template(step["until"]))
        case StepType.WEBHOOK:
            return _webhook(step, {**common, **_wait(step)}, kept_headers)
        case StepType.APPROVAL:
            return _approval(step, {**common, **_wait(step)})


#: What a step's call has of a job, beside its sections.
_OF_STEP: dict[str, Any] = {"concurrency": None}


def _wait(step: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "timeout_seconds": step["timeout_seconds"],
        "continues_on_timeout": step["on_timeout"] == OnFailure.CONTINUE,
    }


def _webhook(step: Mapping[str, Any], common: dict[str, Any], kept_headers: frozenset[str]) -> WebhookStep:
    verify, accept = step["verify"], tuple(step["accept"])
    reference = SECRET_REFERENCE.fullmatch(verify["secret"] or "")
    return WebhookStep(
        **common,
        preset=Preset(verify["preset"]),
        secret_name=reference and reference["name"],
        header=verify["header"],
        accept=tuple(map(compile_condition, accept)),
        written_accept=accept,
        kept_headers=kept_headers,
    )


def _approval(step: Mapping[str, Any], common: dict[str, Any]) -> ApprovalStep:
    fields = (
        FormField(field["name"], field["label"], field["type"], field["required"], tuple(field["options"]))
        for field in step["form"]
    )
    return ApprovalStep(
        **common,
        message=_template(step["message"]),
        approvers=tuple(step["approvers"]),
        required=step["required"],
        self_approval=step["self_approval"],
        form=tuple(fields),
    )


def _extractions(written: Mapping[str, Any]) -> Iterator[Extraction]:
    """Read `extract`: by name a path, or an object with `path` and perhaps `default` and `secret`."""
    for name, spelled in written.items():
        parts: Mapping[str, Any] = {"path": spelled} if isinstance(spelled, str) else spelled
        yield Extraction(
            name, CompiledPath.of(parts["path"]), parts.get("default", MISSING), parts.get("secret", False)
        )


def _poll(written: Mapping[str, Any] | None) -> Poll | None:
    if written is None:
        return None
    return Poll(_assertions(written["until"]), written["every_seconds"], written["timeout_seconds"])


def _assertions(written: Sequence[Mapping[str, Any]]) -> tuple[Any, ...]:
    return tuple(map(compile_assertion, written))


def _template(text: str | None) -> Template | None:
    return None if text is None else parse(text, TemplateContext.TEXT_BODY)
