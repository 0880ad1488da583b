"""The operations of OpenAPI 3 documents that an Arazzo document names. Nothing is fetched. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.imports.arazzo.expressions import quoted
from jobs.imports.arazzo.pointers import pointer_tokens
from jobs.imports.foreign import mapping
from jobs.imports.items import ReadError

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
_ALL_METHODS = (*METHODS, "trace")
_MAX_REFERENCES = 10
_BY_ID = re.compile(r"\$sourceDescriptions\.(?P<source>[A-Za-z0-9_-]+)\.(?P<operation>.+)", re.DOTALL)
_BY_PATH = re.compile(r"\{?\$sourceDescriptions\.(?P<source>[A-Za-z0-9_-]+)(?:\.url)?\}?#(?P<pointer>/.*)", re.DOTALL)
_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
_SERVER_VARIABLE = re.compile(r"\{([^{}]*)\}")
_JSON = re.compile(r"application/json|[a-z]+/[a-z0-9.+-]*\+json", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation. `path` has its parameters in braces; `base` is the URL before it.

    `required` are the parameters that a call must send, as (name, in). `content_type` is that of its request body.
    """

    method: str
    base: str
    path: str
    required: frozenset[tuple[str, str]]
    content_type: str | None
    answers_json: bool
    notes: tuple[str, ...]


class Sources:
    """The OpenAPI documents that came with an Arazzo document, by the names of its source descriptions."""

    def __init__(self, documents: Mapping[str, Any], *, base_url: str | None) -> None:
        self._sources = {name: _Source(name, document, base_url) for name, document in documents.items()}

    def operation(self, step: Mapping[str, Any]) -> Operation:
        """Return the operation of a step. Raises ReadError if none of the documents has it."""
        if "operationPath" in step:
            return self._by_path(step["operationPath"])
        written = step["operationId"]
        if not isinstance(written, str):
            raise ReadError("operationId should be text.")
        if match := _BY_ID.fullmatch(written):
            return self._source(match["source"]).by_id(match["operation"])
        having = [source for source in self._sources.values() if source.has(written)]
        if len(having) > 1:
            raise ReadError(
                f"the operation {quoted(written)} is in several sources: write $sourceDescriptions.NAME.OPERATION."
            )
        if not having:
            names = ", ".join(self._sources) or "none was sent"
            raise ReadError(f"the operation {quoted(written)} is in none of the sources ({names[:200]}).")
        return having[0].by_id(written)

    def _by_path(self, written: Any) -> Operation:
        named = _BY_PATH.fullmatch(written) if isinstance(written, str) else None
        if named is None:
            raise ReadError("operationPath should be as in {$sourceDescriptions.NAME.url}#/paths/~1orders/post.")
        tokens = pointer_tokens(named["pointer"])
        match tokens:
            case ["paths", path, method]:
                return self._source(named["source"]).at(path, method)
        raise ReadError(f"operationPath {quoted(written)} should name a path and a method.")

    def _source(self, name: str) -> "_Source":
        if name not in self._sources:
            raise ReadError(f"the source {name} was not sent: add its OpenAPI document as sources.{name}.")
        return self._sources[name]


class _Source:
    """One OpenAPI document, with its operations by id."""

    def __init__(self, name: str, document: Any, base_url: str | None) -> None:
        self._name = name
        self._document = mapping(document, f"The source {name[:80]}")
        if not str(self._document.get("openapi", "")).startswith("3."):
            raise ReadError(f"The source {name[:80]} should be an OpenAPI document of version 3.")
        self._base_url = base_url
        self._by_id: dict[str, tuple[str, str]] = {}
        for path, method, operation in self._all():
            if isinstance(operation_id := operation.get("operationId"), str):
                self._by_id.setdefault(operation_id, (path, method))

    def has(self, operation_id: str) -> bool:
        return operation_id in self._by_id

    def by_id(self, operation_id: str) -> Operation:
        if operation_id not in self._by_id:
            raise ReadError(f"the operation {quoted(operation_id)} is not in the source {self._name}.")
        return self.at(*self._by_id[operation_id])

    def at(self, path: str, method: str) -> Operation:
        """Return the operation of a path and a method. Raises ReadError."""
        paths = self._document.get("paths")
        item = self._resolved(paths.get(path) if isinstance(paths, Mapping) else None)
        operation = item.get(method) if method in _ALL_METHODS else None
        if not isinstance(operation, Mapping):
            raise ReadError(f"the operation {method[:20]} {path[:200]} is not in the source {self._name}.")
        if method not in METHODS:
            raise ReadError(f"the method {method.upper()} can't be called.")
        base, notes = self._server(operation, item)
        body = self._resolved(operation.get("requestBody"))
        return Operation(
            method.upper(), base, path, self._required(item, operation), _content_type(body),
            self._answers_json(operation), (*notes, *self._security(operation)),
        )  # fmt: skip

    def _all(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        paths = self._document.get("paths")
        for path, written in paths.items() if isinstance(paths, Mapping) else ():
            item = self._resolved(written)
            for method in _ALL_METHODS:
                if isinstance(operation := item.get(method), Mapping):
                    yield path, method, operation

    def _resolved(self, value: Any) -> Mapping[str, Any]:
        """Follow `$ref` inside the document; an empty object for what leads nowhere, outside or in a circle."""
        for _ in range(_MAX_REFERENCES):
            if not isinstance(value, Mapping):
                return {}
            reference = value.get("$ref")
            if reference is None:
                return value
            value = self._referenced(reference)
        return {}

    def _referenced(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return None
        value: Any = self._document
        for token in pointer_tokens(reference[1:]):
            value = value.get(token) if isinstance(value, Mapping) else None
        return value

    def _required(self, item: Mapping[str, Any], operation: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
        required = set()
        for holder in (item, operation):
            listed = holder.get("parameters")
            for parameter in map(self._resolved, listed if isinstance(listed, list) else ()):
                key = parameter.get("name"), parameter.get("in")
                if parameter.get("required") is True and all(isinstance(part, str) for part in key):
                    required.add(key)
        return frozenset(required)  # type: ignore[arg-type]

    def _answers_json(self, operation: Mapping[str, Any]) -> bool:
        """Whether its successful responses are JSON; also if the document doesn't say."""
        responses = operation.get("responses")
        contents = [
            content
            for status, response in (responses.items() if isinstance(responses, Mapping) else ())
            if str(status).startswith("2") and isinstance(content := self._resolved(response).get("content"), Mapping)
        ]
        return not contents or any(_JSON.match(str(media)) for content in contents for media in content)

    def _server(self, *holders: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
        """Return the URL before the path, without / at its end, and notes."""
        for holder in (*holders, self._document):
            servers = holder.get("servers")
            if isinstance(servers, list) and servers:
                server = mapping(servers[0], "A server")
                url = _with_defaults(server)
                notes = (f"Of {len(servers)} servers, the first is called: {url[:200]}.",) if len(servers) > 1 else ()
                return self._absolute(url), notes
        return self._absolute("/"), ()

    def _absolute(self, url: str) -> str:
        if _ABSOLUTE.match(url):
            return url.rstrip("/")
        if self._base_url is None:
            raise ReadError(
                f"the source {self._name} has no absolute server URL: send base_url, such as https://example.com."
            )
        return f"{self._base_url.rstrip('/')}/{url.strip('/')}".rstrip("/")

    def _security(self, operation: Mapping[str, Any]) -> tuple[str, ...]:
        needed = operation.get("security", self._document.get("security"))
        first = needed[0] if isinstance(needed, list) and needed else None
        if not isinstance(first, Mapping) or not first:
            return ()
        names = ", ".join(map(str, first))[:200]
        return (f"The operation requires {names}: add its header yourself, with {{{{secrets.NAME}}}}.",)


def _with_defaults(server: Mapping[str, Any]) -> str:
    """Return a server's URL with the defaults of its variables."""
    variables = server.get("variables")

    def default(match: re.Match[str]) -> str:
        variable = variables.get(match[1]) if isinstance(variables, Mapping) else None
        value = variable.get("default") if isinstance(variable, Mapping) else None
        if not isinstance(value, str):
            raise ReadError(f"the server variable {match[1][:80]} has no default.")
        return value

    url = server.get("url")
    if not isinstance(url, str):
        raise ReadError("A server should have a url.")
    return _SERVER_VARIABLE.sub(default, url)


def _content_type(body: Mapping[str, Any]) -> str | None:
    content = body.get("content")
    return next(iter(content), None) if isinstance(content, Mapping) else None
