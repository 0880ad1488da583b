"""The request of a step: its operation, with the step's parameters and payload. Pure."""

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

from jobs.definition.headers import is_name
from jobs.imports.arazzo.expressions import Outputs, quoted
from jobs.imports.arazzo.openapi import Operation
from jobs.imports.arazzo.pointers import pointer_tokens
from jobs.imports.call import FORM, Call
from jobs.imports.foreign import mapping
from jobs.imports.items import ReadError
from jobs.imports.names import holds_credential

_PATH_PARAMETER = re.compile(r"\{([^{}]+)\}")
_JSON = re.compile(r"application/json|text/json|[a-z]+/[a-z0-9.+-]*\+json", re.IGNORECASE)
_CREDENTIALS = frozenset({"authorization", "cookie", "x-api-key"})
_CONTENT_TYPE = "Content-Type"


def read_request(
    operation: Operation, parameters: Iterable[Mapping[str, Any]], body: Any, outputs: Outputs
) -> tuple[dict[str, Any], list[str]]:
    """Return a step's `request` section, and notes. Raises ReadError for a value that can't be sent."""
    sent = _Parameters(outputs)
    for parameter in parameters:
        sent.add(parameter)
    url = operation.base + _PATH_PARAMETER.sub(lambda match: sent.in_path(match[1], operation.path), operation.path)
    call = Call(method=operation.method)
    call.set_url(_without_templates(url))  # refuses what Hourhand would send differently
    request: dict[str, Any] = {"url": sent.with_query(url), "method": operation.method}
    headers = sent.all_headers()
    if body is not None:
        content_type, text = _body(mapping(body, "requestBody"), operation, outputs)
        if content_type and not any(name.lower() == _CONTENT_TYPE.lower() for name in headers):
            headers[_CONTENT_TYPE] = content_type
        request["body"] = text
    if headers:
        request["headers"] = headers
    return request, [*operation.notes, *sent.missing(operation.required), *_plain_credentials(headers)]


class _Parameters:
    """The parameters of one step, by their places."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._path: dict[str, str] = {}
        self._query: list[str] = []
        self._headers: dict[str, str] = {}
        self._cookies: list[str] = []
        self._sent: set[tuple[str, str]] = set()

    def add(self, parameter: Mapping[str, Any]) -> None:
        name, place = parameter.get("name"), parameter.get("in")
        if not isinstance(name, str) or not name:
            raise ReadError("a parameter should have a name.")
        if place not in ("path", "query", "header", "cookie"):
            raise ReadError(f"the parameter {quoted(name)} should be in path, query, header or cookie.")
        try:
            self._add(name, place, parameter.get("value"))
        except ReadError as error:
            raise ReadError(f"the parameter {quoted(name)}: {error}") from error
        self._sent.add((name, place))

    def in_path(self, name: str, path: str) -> str:
        if name not in self._path:
            raise ReadError(f"the path {path[:200]} has the parameter {quoted(name)}, for which the step has no value.")
        return self._path[name]

    def with_query(self, url: str) -> str:
        return f"{url}?{'&'.join(self._query)}" if self._query else url

    def all_headers(self) -> dict[str, str]:
        return {**self._headers, **({"Cookie": "; ".join(self._cookies)} if self._cookies else {})}

    def missing(self, required: Iterable[tuple[str, str]]) -> list[str]:
        return [
            f"The operation requires the parameter {name} in {place}, which the step doesn't send."
            for name, place in sorted(set(required) - self._sent)
        ]

    def _add(self, name: str, place: str, value: Any) -> None:
        if place == "path":
            self._path[name] = self._outputs.quoted_text(value)
        elif place == "query":
            # A list is sent as OpenAPI's default for queries: the parameter once for each item.
            values = value if isinstance(value, list) else [value]
            key = self._outputs.quoted_text(name)
            self._query += [f"{key}={self._outputs.quoted_text(item)}" for item in values]
        elif place == "cookie":
            self._cookies.append(f"{name}={self._outputs.quoted_text(value)}")
        else:
            if not is_name(name):
                raise ReadError("is no valid name of a header.")
            if any(name.lower() == given.lower() for given in self._headers):
                raise ReadError("is given twice: Hourhand sends each header once.")
            self._headers[name] = self._header_value(value)

    def _header_value(self, value: Any) -> str:
        if isinstance(value, dict | list):
            raise ReadError("a list or an object can't be written here.")
        return self._outputs.text(value) if isinstance(value, str) else self._outputs.json_text(value)


def _body(body: Mapping[str, Any], operation: Operation, outputs: Outputs) -> tuple[str | None, str]:
    """Return the content type and the text of a request's body."""
    content_type = body.get("contentType", operation.content_type)
    payload = _replaced(body.get("payload"), body.get("replacements"))
    if content_type is not None and not isinstance(content_type, str):
        raise ReadError("contentType should be text.")
    if content_type is None and not isinstance(payload, str):
        content_type = "application/json"
    media = (content_type or "").partition(";")[0].strip().lower()
    try:
        if isinstance(payload, str):
            return content_type, outputs.text(payload)
        if _JSON.fullmatch(media):
            return content_type, outputs.json_text(payload)
        if media == FORM and isinstance(payload, dict):
            pairs = (f"{outputs.quoted_text(name)}={outputs.quoted_text(value)}" for name, value in payload.items())
            return content_type, "&".join(pairs)
    except ReadError as error:
        raise ReadError(f"the payload: {error}") from error
    raise ReadError(f"a payload for {quoted(str(content_type))} should be text.")


def _replaced(payload: Any, replacements: Any) -> Any:
    """Apply `replacements`, whose targets are JSON Pointers to existing places."""
    if not replacements:
        return payload
    if not isinstance(replacements, list) or not isinstance(payload, dict | list):
        raise ReadError("replacements should be a list, of a payload that is an object or a list.")
    payload = copy.deepcopy(payload)
    for written in replacements:
        replacement = mapping(written, "A replacement")
        target = replacement.get("target")
        tokens = pointer_tokens(target) if isinstance(target, str) else []
        if not tokens:
            raise ReadError("the target of a replacement should be a JSON Pointer, such as /items/0.")
        holder: Any = payload
        for token in tokens[:-1]:
            holder = _inside(holder, token, str(target))
        _inside(holder, tokens[-1], str(target))
        holder[int(tokens[-1]) if isinstance(holder, list) else tokens[-1]] = replacement.get("value")
    return payload


def _inside(value: Any, token: str, target: str) -> Any:
    if isinstance(value, dict) and token in value:
        return value[token]
    if isinstance(value, list) and re.fullmatch("[0-9]{1,9}", token) and int(token) < len(value):
        return value[int(token)]
    raise ReadError(f"the payload has no {quoted(target)} to replace.")


def _without_templates(url: str) -> str:
    return re.sub(r"\{\{[^{}]*\}\}", "x", url)


def _plain_credentials(headers: Mapping[str, str]) -> list[str]:
    plain = [
        name
        for name, value in headers.items()
        if "{{" not in value and (name.lower() in _CREDENTIALS or holds_credential(value))
    ]
    if not plain:
        return []
    return [f"{', '.join(plain)} is stored in the job as plain text: use a secret, {{{{secrets.NAME}}}}."]
