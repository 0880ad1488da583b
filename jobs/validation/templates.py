"""Validate template variables: each must exist, and so must the secrets that they name."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rest_framework.exceptions import ErrorDetail, ValidationError

from accounts.models import Secret, Workspace
from jobs.definition.conditions import compile_condition
from jobs.definition.facts import BODY, OPENING, SECRETS
from jobs.definition.templates import Template, TemplateContext, body_context, secrets_in
from jobs.definition.workflow.scope import PLAIN, TemplateScope, out_of_scope
from jobs.validation.fields import template


def check_templates(request: dict[str, Any], workspace: Workspace, scope: TemplateScope = PLAIN) -> None:
    """Raises ValidationError with each part of a request that has an invalid template or an unknown secret.

    A variable that means nothing in this `scope` counts as unknown.
    """
    errors: dict[str, Any] = {}
    templates: dict[tuple[str, ...], Template] = {}
    for path, text, context in _texts(request):
        if OPENING not in text:
            continue
        try:
            templates[path] = template(text, context)
        except ValidationError as error:
            _put(errors, path, error.detail)
    names = frozenset[str]().union(*(secrets_in(part) for part in templates.values()))
    missing = names - Secret.objects.names_in(workspace) if names else frozenset()
    for path, part in templates.items():
        if unknown := sorted(secrets_in(part) & missing):
            detail = f"This workspace has no secret {', '.join(unknown)}."
            _put(errors, path, [ErrorDetail(detail, code="unknown_secret")])
        elif problem := out_of_scope(part.variables, scope):
            _put(errors, path, [ErrorDetail(problem, code="unknown_variable")])
    if errors:
        raise ValidationError(errors)


def check_text(text: str, scope: TemplateScope) -> None:
    """Raises ValidationError for a text with an invalid template, a secret, or a variable that means nothing here.

    People see such a text once it is rendered, so it holds no secret.
    """
    if OPENING not in text:
        return
    variables = template(text, TemplateContext.TEXT_BODY).variables
    if problem := _without_secrets(variables) or out_of_scope(variables, scope):
        raise ValidationError(problem, code="unknown_variable")


def check_condition(condition: Mapping[str, Any], scope: TemplateScope) -> None:
    """Raises ValidationError for a side of a valid condition that names a secret, or what means nothing here.

    Where a request's body is there, the condition sees that alone.
    """
    compiled = compile_condition(condition)
    errors = {}
    for side, operand in (("value", compiled.value), ("to", compiled.to)):
        problem = _beyond_body(operand.variables) if scope.has_body else out_of_scope(operand.variables, scope)
        if problem := _without_secrets(operand.variables) or problem:
            errors[side] = [ErrorDetail(problem, code="unknown_variable")]
    if errors:
        raise ValidationError(errors)


def _without_secrets(variables: Iterable[str]) -> str | None:
    names = sorted(variable for variable in variables if variable.startswith(SECRETS))
    return f"{{{{{names[0]}}}}} has no place here: only a request holds secrets." if names else None


def _beyond_body(variables: Iterable[str]) -> str | None:
    names = sorted(variable for variable in variables if variable.partition(".")[0] != BODY)
    return f"{{{{{names[0]}}}}} is not known here: accept sees {{{{body.PATH}}}} only." if names else None


def _texts(request: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str, TemplateContext]]:
    yield ("url",), request["url"], TemplateContext.URL
    for name, value in request["headers"].items():
        yield ("headers", name), value, TemplateContext.HEADER
    for name, text in (request.get("client_cert") or {}).items():
        yield ("client_cert", name), text, TemplateContext.TEXT_BODY
    body = request["body"]
    if body is not None and OPENING in body:
        yield ("body",), body, body_context(body, request["headers"])


def _put(errors: dict[str, Any], path: tuple[str, ...], detail: Any) -> None:
    *parents, last = path
    for parent in parents:
        errors = errors.setdefault(parent, {})
    errors[last] = detail
