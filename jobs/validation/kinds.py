"""Which sections a definition of each kind has."""

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ErrorDetail

from jobs.definition.calls import WORKFLOW, is_workflow
from jobs.definition.overrides import SECTIONS

_REQUIRED = ErrorDetail("This field is required.", code="required")
_NULL = ErrorDetail("This field may not be null.", code="null")
_IN_STEPS = ErrorDetail("A workflow has it in its steps: leave it out here, or null.", code="conflicting")
_OF_WORKFLOWS = ErrorDetail("Only for the kind workflow: leave it out, or null.", code="conflicting")


def with_defaults(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in the sections that a definition of its kind may leave out."""
    if is_workflow(sent):
        return {**dict.fromkeys(SECTIONS), **sent}
    return {"success": {}, "retry": {}, WORKFLOW: None, **sent}


def section_errors(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the errors of sections that a definition of its kind lacks, and of those that belong to another kind."""
    if is_workflow(sent):
        errors = {section: [_IN_STEPS] for section in SECTIONS if sent.get(section) is not None}
        return {**errors, **_missing(sent, WORKFLOW)}
    errors = {} if sent.get(WORKFLOW) is None else {WORKFLOW: [_OF_WORKFLOWS]}
    for section in SECTIONS:
        errors |= _missing(sent, section)
    return errors


def of_kind(stored: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a stored definition what `changes` to another kind make meaningless."""
    if "kind" not in changes or changes["kind"] == stored.get("kind"):
        return dict(stored)
    return {name: value for name, value in stored.items() if name not in (*SECTIONS, WORKFLOW)}


def _missing(sent: Mapping[str, Any], section: str) -> dict[str, list[ErrorDetail]]:
    if section not in sent:
        return {section: [_REQUIRED]}
    return {section: [_NULL]} if sent[section] is None else {}
