"""The requests of a workflow's calls as OpenAPI operations, and the parameters and payloads of its steps. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, unquote_plus

from core import exact_json
from jobs.definition.templates import Template, TemplateContext, body_context
from jobs.imports.arazzo.writing.values import Part, WrittenValues, template_of

_URL = re.compile(r"(?P<origin>[a-z]+://[^/?#\0]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?", re.IGNORECASE)
_PLACE = re.compile("\0([0-9]+)\0")
#: OpenAPI ignores header parameters of these names.
_IGNORED = frozenset({"accept", "content-type", "authorization"})
_ANY_RESPONSE = {"default": {"description": "Any response"}}


@dataclass(slots=True)
class WrittenCall:
    """The fields of an Arazzo step for one request, and what they can't express."""

    fields: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class WrittenSources:
    """The OpenAPI documents of an export, one for each origin."""

    def __init__(self) -> None:
        self._by_origin: dict[str, tuple[str, dict[str, Any]]] = {}

    def descriptions(self, extension: str) -> list[dict[str, Any]]:
        """Return the source descriptions. Each has its document under `extension`, where its URL points."""
        return [
            {"name": name, "url": f"#/sourceDescriptions/{index}/{extension}", "type": "openapi", extension: document}
            for index, (name, document) in enumerate(self._by_origin.values())
        ]

    def call(self, request: Mapping[str, Any], operation_id: str, values: WrittenValues) -> WrittenCall:
        """Write a request as an operation, or as one that exists, and the step's fields that call it."""
        call = WrittenCall()
        url = _SplitUrl.of(request["url"])
        path, parameters = _path(url, values)
        parameters += _query(url, values, call.notes)
        headers = dict(request["headers"])
        content_type = next((headers.pop(name) for name in list(headers) if name.lower() == "content-type"), None)
        parameters += [
            {"name": name, "in": "header", "value": values.text(template_of(text, TemplateContext.HEADER).parts)}
            for name, text in headers.items()
        ]
        body = request["body"]
        name, operation = self._operation(url.origin, path, request["method"].lower(), operation_id)
        call.fields["operationId"] = f"$sourceDescriptions.{name}.{operation['operationId']}"
        if parameters:
            call.fields["parameters"] = parameters
        if body is not None:
            call.fields["requestBody"] = _body(body, content_type, request["headers"], values)
            media = (content_type or "text/plain").partition(";")[0].strip()
            operation.setdefault("requestBody", {"content": {}})["content"].setdefault(media, {})
        _declare(operation, parameters)
        if request["client_cert"] or request["ca_cert"] or not request["tls_verify"]:
            call.notes.append("The request's certificates and TLS settings.")
        return call

    def _operation(self, origin: str, path: str, method: str, operation_id: str) -> tuple[str, dict[str, Any]]:
        if origin not in self._by_origin:
            new: dict[str, Any] = {
                "openapi": "3.1.0", "info": {"title": origin, "version": "1.0.0"}, "servers": [{"url": origin}],
                "paths": {},
            }  # fmt: skip
            self._by_origin[origin] = self._unused_name(origin), new
        name, document = self._by_origin[origin]
        added = {"operationId": operation_id, "responses": _ANY_RESPONSE}
        operation: dict[str, Any] = document["paths"].setdefault(path, {}).setdefault(method, added)
        return name, operation

    def _unused_name(self, origin: str) -> str:
        base = re.sub("[^A-Za-z0-9]+", "-", origin.partition("://")[2]).strip("-") or "source"
        names = {name for name, _ in self._by_origin.values()}
        name, number = base, 1
        while name in names:
            number += 1
            name = f"{base}-{number}"
        return name


@dataclass(frozen=True, slots=True)
class _SplitUrl:
    """The parts of a URL, in which each variable is its number between NULs."""

    origin: str
    path: str
    query: str
    variables: tuple[Any, ...]

    @classmethod
    def of(cls, text: str) -> "_SplitUrl":
        template: Template = template_of(text, TemplateContext.URL)
        variables = tuple(part for part in template.parts if not isinstance(part, str))
        numbers = iter(range(len(variables)))
        marked = "".join(part if isinstance(part, str) else f"\0{next(numbers)}\0" for part in template.parts)
        match = _URL.match(marked)
        if match is None:
            return cls(text, "", "", ())
        return cls(match["origin"], match["path"], match["query"] or "", variables)

    def parts(self, marked: str) -> Iterator[Part]:
        """Yield the literal, still percent-encoded, and the variables of a part."""
        for index, piece in enumerate(_PLACE.split(marked)):
            yield self.variables[int(piece)] if index % 2 else piece


def _path(url: _SplitUrl, values: WrittenValues) -> tuple[str, list[dict[str, Any]]]:
    """Return a path with parameters by position, so that equal paths are one, and their values."""
    pieces: list[str] = []
    parameters: list[dict[str, Any]] = []
    for part in url.parts(url.path or "/"):
        if isinstance(part, str):
            pieces.append(part.replace("{", "%7B").replace("}", "%7D"))
        else:
            name = f"p{len(parameters) + 1}"
            pieces.append(f"{{{name}}}")
            parameters.append({"name": name, "in": "path", "value": values.text([part])})
    return "".join(pieces), parameters


def _query(url: _SplitUrl, values: WrittenValues, notes: list[str]) -> list[dict[str, Any]]:
    pairs = [pair.partition("=")[::2] for pair in url.query.split("&") if pair]
    names = [unquote_plus(name) for name, _ in pairs]
    if len(set(names)) < len(names) or any("\0" in name for name in names):
        notes.append("The query: its names repeat or have variables.")
        return []
    parameters = []
    for name, (_, marked) in zip(names, pairs, strict=True):
        parts = [unquote(part.replace("+", " ")) if isinstance(part, str) else part for part in url.parts(marked)]
        parameters.append({"name": name, "in": "query", "value": values.text(parts)})
    return parameters


def _body(body: str, content_type: str | None, headers: Mapping[str, str], values: WrittenValues) -> dict[str, Any]:
    context = body_context(body, headers)
    template = template_of(body, context)
    payload: Any = None
    if context is TemplateContext.JSON_BODY and not template.variables:
        try:
            payload = exact_json.loads(body)
        except (ValueError, RecursionError):
            payload = None
    payload = values.text(template.parts) if payload is None else payload
    return {**({"contentType": content_type} if content_type else {}), "payload": payload}


def _declare(operation: dict[str, Any], parameters: list[dict[str, Any]]) -> None:
    """Add to an operation the parameters that it lacks."""
    declared = operation.setdefault("parameters", [])
    keys = {(parameter["name"], parameter["in"]) for parameter in declared}
    for parameter in parameters:
        name, place = parameter["name"], parameter["in"]
        if (name, place) not in keys and not (place == "header" and name.lower() in _IGNORED):
            declared.append(
                {"name": name, "in": place, **({"required": True} if place == "path" else {}), "schema": {}}
            )
