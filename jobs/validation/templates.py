"""Template variables as a job is saved: each must exist, and so must the secrets that are named."""

from collections.abc import Iterator
from typing import Any

from rest_framework.exceptions import ErrorDetail, ValidationError

from accounts.models import Secret, Workspace
from jobs.definition.templates import OPENING, Template, Where, body_place, secrets_in
from jobs.validation.fields import template


def check_templates(request: dict[str, Any], workspace: Workspace) -> None:
    """Raise ValidationError for each part of a request whose template can't be saved in this workspace."""
    errors: dict[str, Any] = {}
    found: dict[tuple[str, ...], Template] = {}
    for path, text, where in _texts(request):
        if OPENING not in text:
            continue
        try:
            found[path] = template(text, where)
        except ValidationError as error:
            _put(errors, path, error.detail)
    named = frozenset[str]().union(*(secrets_in(part) for part in found.values()))
    missing = named - Secret.objects.names_in(workspace) if named else frozenset()
    for path, part in found.items():
        if unknown := sorted(secrets_in(part) & missing):
            detail = f"There is no secret {', '.join(unknown)} in this workspace."
            _put(errors, path, [ErrorDetail(detail, code="unknown_secret")])
    if errors:
        raise ValidationError(errors)


def _texts(request: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str, Where]]:
    yield ("url",), request["url"], Where.URL
    for name, value in request["headers"].items():
        yield ("headers", name), value, Where.HEADER
    shown = request.get("client_cert")
    for name, text in (shown or {}).items():
        yield ("client_cert", name), text, Where.TEXT_BODY
    body = request["body"]
    if body is not None and OPENING in body:
        yield ("body",), body, body_place(body, request["headers"])


def _put(errors: dict[str, Any], path: tuple[str, ...], detail: Any) -> None:
    *parents, last = path
    for parent in parents:
        errors = errors.setdefault(parent, {})
    errors[last] = detail
