"""A workflow as text: YAML for people, without what has its default."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django import forms
from rest_framework import serializers
from rest_framework.fields import SkipField

from core import exact_json
from dashboard.forms.fields import json_in
from jobs.definition.calls import STEP_LISTS
from jobs.imports import ReadError, read_yaml, yaml_text
from jobs.validation.steps import STEP_SERIALIZERS
from jobs.validation.workflow import WorkflowSerializer

_MISSING = object()


def workflow_in(text: str) -> Any:
    """Read a workflow from YAML or JSON. Raises forms.ValidationError."""
    if text.lstrip().startswith("{"):
        return json_in(text)
    try:
        return read_yaml(text)
    except ReadError as error:
        raise forms.ValidationError(str(error)) from error


def workflow_text(workflow: Mapping[str, Any]) -> str:
    """Write a workflow as YAML; as JSON where YAML would lose the digits of a number."""
    short = short_workflow(workflow)
    try:
        text = yaml_text(short)
        same = exact_json.compact(read_yaml(text)) == exact_json.compact(short)
    except Exception:
        same = False
    return text if same else exact_json.compact(short)


def short_workflow(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what has its default."""
    first = {name: workflow[name] for name in workflow if name not in STEP_LISTS}
    short = _short(first, _workflow_fields())
    lists = {name: [_short_step(step) for step in workflow.get(name) or ()] for name in STEP_LISTS}
    head = {name: value for name, value in short.items() if name != "output"}
    tail = {name: value for name, value in short.items() if name == "output"}
    return {**head, "steps": lists["steps"], **({"finally": lists["finally"]} if lists["finally"] else {}), **tail}


def _short_step(step: Any) -> Any:
    kind = step.get("type") if isinstance(step, Mapping) else None
    if not isinstance(kind, str) or kind not in STEP_SERIALIZERS:
        return step
    retry = step.get("retry")
    if isinstance(retry, Mapping) and retry.get("policy") is not None:
        step = {**step, "retry": {"policy": retry["policy"]}}
    return _short(step, _step_fields(kind))


def _short(value: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    short: dict[str, Any] = {}
    for name in (*(name for name in fields if name in value), *(name for name in value if name not in fields)):
        field, inner = fields.get(name), value[name]
        if isinstance(inner, Mapping) and isinstance(field, serializers.Serializer):
            section = _short(inner, field.fields)
            if section or field.required:
                short[name] = section
        elif field is None or not _is_same(inner, _default(field)):
            short[name] = inner
    return short


def _default(field: Any) -> Any:
    try:
        return field.get_default()
    except SkipField:
        return _MISSING


def _is_same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and value == default


@lru_cache(maxsize=1)
def _workflow_fields() -> dict[str, Any]:
    return dict(WorkflowSerializer().fields)


@lru_cache(maxsize=len(STEP_SERIALIZERS))
def _step_fields(kind: str) -> dict[str, Any]:
    return dict(STEP_SERIALIZERS[kind]().fields)
