"""The API reference as Markdown, a page for each resource. Pure: the OpenAPI document in, texts out."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ops.reference.schemas import Components, Row, Schema, described, name_of, referring_to, title

_BASE = "/api/v1"
_MADE = "<!-- Made from the OpenAPI document by `manage.py write_reference`: change the code's words, then run it. -->"
_PROBLEM = "Problem"
_FIRST_ERROR = 400


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    said: Mapping[str, Any]

    @property
    def resource(self) -> str:
        return str(self.said["tags"][0])

    @property
    def summary(self) -> str:
        return str(self.said["summary"])

    @property
    def short(self) -> str:
        return f"{self.method} {self.path.removeprefix(_BASE)}"

    @property
    def body(self) -> Mapping[str, Any]:
        content = self.said.get("requestBody", {}).get("content", {})
        return dict(content.get("application/json", {}))

    @property
    def is_reading_of_itself(self) -> bool:
        """The list of a resource, or one of them: where its object is at home."""
        return (
            self.method == "GET"
            and re.fullmatch(rf"/{self.resource}/(\{{\w+\}}/)?", self.path[len(_BASE) :]) is not None
        )

    def answers(self) -> Iterator[tuple[str, Schema]]:
        """The codes of success, each with the schema of its body; an empty one where it has none."""
        for code, answer in sorted(self.said["responses"].items()):
            if int(code) < _FIRST_ERROR:
                for content in (answer.get("content") or {"": {}}).values():
                    yield code, content.get("schema", {})

    def errors(self) -> dict[str, str]:
        return {
            code: str(answer["description"])
            for code, answer in sorted(self.said["responses"].items())
            if int(code) >= _FIRST_ERROR
        }


class Reference:
    """The pages of one document, by their file names."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.schemas: Mapping[str, Schema] = document["components"]["schemas"]
        self.operations = [
            Operation(method.upper(), path, said)
            for path, methods in document["paths"].items()
            for method, said in methods.items()
        ]
        self.bodies = _bodies(self.operations)
        self.homes = self._homes()
        links = {name: f"{page}.md#{anchor}" for name, (page, anchor) in self.homes.items()}
        self.components = Components(self.schemas, links)
        told = Counter((code, words) for one in self.operations for code, words in one.errors().items())
        self.common = {code: words for (code, words), _ in sorted(told.items(), key=lambda item: item[1])}
        self.everywhere = set.intersection(*(set(one.errors()) for one in self.operations))

    def pages(self) -> dict[str, str]:
        by_resource: dict[str, list[Operation]] = {}
        for operation in self.operations:
            by_resource.setdefault(operation.resource, []).append(operation)
        pages = {f"{name}.md": self._page(name, by_resource[name]) for name in sorted(by_resource)}
        return {"index.md": self._index(by_resource), **pages}

    def _homes(self) -> dict[str, tuple[str, str]]:
        """Where the table of each object is that is sent or answered by itself: the page, and the anchor there."""
        found: dict[str, tuple[str, str]] = {_PROBLEM: ("index", "errors")}
        for operation in sorted(self.operations, key=lambda one: not one.is_reading_of_itself):
            for schema in (*(schema for _code, schema in operation.answers()), operation.body.get("schema", {})):
                name = name_of(self._one_of_list(schema))
                if name is not None:
                    page = found.get(self._plain_name(name), (operation.resource, ""))[0]
                    anchor = slug(self._heading(name))
                    found.setdefault(self._plain_name(name), (page, anchor))
                    found.setdefault(name, (page, anchor))
        return found

    def _plain_name(self, name: str) -> str:
        """`Job` of `JobRequest` and `PatchedJobRequest`, which is what one sends of it."""
        return name.removeprefix("Patched").removesuffix("Request") or name if name in self.bodies else name

    def _heading(self, name: str) -> str:
        return f"Fields: {title(self._plain_name(name)).lower()}"

    def _one_of_list(self, schema: Schema) -> Schema:
        """What a page of results holds; any other schema as it is."""
        listed = self.schemas.get(name_of(schema) or "", {}).get("properties", {}).get("results")
        return listed["items"] if listed else schema

    def _index(self, by_resource: Mapping[str, list[Operation]]) -> str:
        return _text(
            "# API reference",
            _MADE,
            f"Every route under `{_BASE}/`, as the OpenAPI document that Hourhand serves at `/api/schema/` has it. "
            "What holds on all of them, such as keys, pages and sending a request again, is in [The API](../api.md).",
            _table(
                ["resource", "operations"],
                (
                    [
                        f"[{name}]({name}.md)",
                        "<br>".join(f"[`{one.short}`]({name}.md#{slug(one.summary)})" for one in by_resource[name]),
                    ]
                    for name in sorted(by_resource)
                ),
            ),
            "## Errors",
            "Each is `application/problem+json`, with these fields:",
            self._fields(self.schemas[_PROBLEM], sent=None),
            _table(
                ["status", "when", "where"],
                (
                    [code, words, "every route" if code in self.everywhere else "the routes that name it"]
                    for code, words in sorted(self.common.items())
                ),
            ),
        )

    def _page(self, resource: str, operations: list[Operation]) -> str:
        objects = sorted({self._plain_name(name) for name, (page, _) in self.homes.items() if page == resource})
        return _text(
            f"# {resource.replace('-', ' ').capitalize()}",
            _MADE,
            _table(
                ["route", "what it does"],
                ([f"[`{one.short}`](#{slug(one.summary)})", one.summary] for one in operations),
            ),
            *(part for one in operations for part in self._operation(one, resource)),
            *(part for name in objects for part in self._object(name)),
        )

    def _operation(self, operation: Operation, page: str) -> Iterator[str]:
        yield f"## {operation.summary}"
        yield f"`{operation.method} {operation.path}`"
        if operation.said.get("description"):
            yield " ".join(operation.said["description"].split())
        asked = [one for one in operation.said.get("parameters", []) if one["in"] == "query"]
        if asked:
            yield _table(
                ["parameter", "type", "meaning"],
                (
                    [f"`{one['name']}`", self.components.kind(one["schema"]), _meaning(self._parameter(one))]
                    for one in asked
                ),
            )
        if "schema" in operation.body:
            yield f"Send {self._linked(operation.body['schema'], page)}."
            example = next(iter(operation.body.get("examples", {}).values()), None)
            if example is not None:
                yield f"```json\n{json.dumps(example['value'], indent=2, ensure_ascii=False)}\n```"
        yield "Answers " + "; ".join(self._answer(code, schema, page) for code, schema in operation.answers()) + "."
        yield self._errors(operation)

    def _parameter(self, one: Mapping[str, Any]) -> Row:
        row = next(self.components.rows({"properties": {one["name"]: one["schema"]}}))
        return Row(row.path, row.kind, described(one), bool(one.get("required")), row.default)

    def _answer(self, code: str, schema: Schema, page: str) -> str:
        return f"`{code}` with {self._linked(schema, page)}" if schema else f"`{code}` without a body"

    def _linked(self, schema: Schema, page: str) -> str:
        one = self._one_of_list(schema)
        if name_of(one) not in self.components.homes:
            return {"string": "text", "object": "a JSON object"}[one.get("type", "object")]
        home = self.components.homes[name_of(one) or ""].removeprefix(f"{page}.md")
        word = title(self._plain_name(name_of(one) or "")).lower()
        return f"a page of [{word}]({home})" if one is not schema else f"[{word}]({home})"

    def _errors(self, operation: Operation) -> str:
        named = {code: words for code, words in operation.errors().items() if code not in self.everywhere}
        special = {code: words for code, words in operation.errors().items() if self.common[code] != words}
        codes = ", ".join(f"`{code}`" for code in named)
        line = (
            f"Errors: {codes}, and [those of every route](index.md#errors)."
            if codes
            else "[Errors](index.md#errors) of every route."
        )
        return " ".join([line, *(f"`{code}`: {words}" for code, words in special.items())])

    def _object(self, name: str) -> Iterator[str]:
        if name == _PROBLEM:
            return
        asked = sorted(one for one in self.bodies if self._plain_name(one) == name)
        whole = next((referring_to(one) for one in asked if not one.startswith("Patched")), None)
        patched = next((referring_to(one) for one in asked if one.startswith("Patched")), None)
        shown = referring_to(name) if name in self.schemas and name not in self.bodies else None
        yield f"## {self._heading(name)}"
        words = described(self.components.resolved(shown or whole or patched or {}))
        if words:
            yield words
        if patched is not None and whole is not None:
            yield "A `PATCH` needs none of them, and leaves what it does not name as it is."
        yield self._fields(shown, sent=whole or patched)

    def _fields(self, shown: Schema | None, *, sent: Schema | None) -> str:
        """One table for what is sent and what is answered: `sent` says of each field whether it is."""
        answered = {row.path: row for row in self.components.rows(shown)} if shown else {}
        taken = {row.path: row for row in self.components.rows(sent)} if sent else {}
        paths = [*answered, *(path for path in taken if path not in answered)]
        if not taken:
            return _table(
                ["field", "type", "meaning"], ([f"`{row.path}`", row.kind, row.meaning] for row in answered.values())
            )
        return _table(
            ["field", "sent", "type", "meaning"],
            (
                [
                    f"`{path}`",
                    _sent(taken.get(path)),
                    (taken.get(path) or answered[path]).kind,
                    _meaning(taken.get(path) or answered[path], hidden=bool(answered) and path not in answered),
                ]
                for path in paths
            ),
        )


def slug(heading: str) -> str:
    """The anchor that code hosts and MkDocs give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _bodies(operations: Iterable[Operation]) -> frozenset[str]:
    """The schemas that are sent as a whole: which of them are asked for, and not answered."""
    return frozenset(name for one in operations if (name := name_of(one.body.get("schema", {}))) is not None)


def _sent(row: Row | None) -> str:
    if row is None:
        return "never"
    return "required" if row.required else "optional"


def _meaning(row: Row, *, hidden: bool = False) -> str:
    default = f"Default: `{row.default}`." if row.default is not None else ""
    required = "Required." if row.required and hidden else ""
    return " ".join(part for part in (row.meaning, default, required, "Not answered." if hidden else "") if part)


def _table(headings: list[str], rows: Iterable[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _text(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"
