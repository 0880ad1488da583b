"""Arazzo's runtime expressions as the template variables with the same values, and texts that contain them. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from accounts.names import SECRET_NAME_PATTERN
from core import exact_json
from jobs.definition.facts import BRACES, OPENING
from jobs.imports.arazzo.pointers import pointer_tokens
from jobs.imports.items import ReadError
from jobs.imports.yaml import MAX_DEPTH

_ROOTS = (
    r"\$(?:url|method|statusCode|(?:request|response|inputs|outputs|steps|workflows|sourceDescriptions|components)\.)"
)
_WHOLE = re.compile(rf"{_ROOTS}[^{{}}]*")
_EMBEDDED = re.compile(rf"\{{({_ROOTS}[^{{}}]*)\}}")
_INPUT = re.compile(r"\$inputs\.(?P<name>[^#]+)(?:#(?P<pointer>.*))?", re.DOTALL)
_OUTPUT = re.compile(
    r"\$steps\.(?P<step>[A-Za-z0-9_-]+)\.outputs\.(?P<name>[A-Za-z0-9._-]+)(?:#(?P<pointer>.*))?", re.DOTALL
)
#: What a variable's path may consist of.
_SEGMENT = re.compile(r"[A-Za-z0-9_-]{1,100}")
_DOTTED = re.compile(r"[A-Za-z0-9_-]{1,100}(?:\.[A-Za-z0-9_-]{1,100})*")
_KEPT = re.compile(rf"\{{\{{\s*secrets\.{SECRET_NAME_PATTERN}\s*\}}\}}|\{{\{{")
_ALLOWED = "only $inputs.NAME and $steps.ID.outputs.NAME can be sent"
_MAX_QUOTED = 120


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable in a text, without its braces."""

    name: str

    def __str__(self) -> str:
        return f"{{{{{self.name}}}}}"


@dataclass(frozen=True, slots=True)
class Outputs:
    """The variables that carry the outputs of a workflow's steps, by the step's id in the document and the output."""

    variables: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def variable(self, expression: str) -> Variable:
        """Return the variable of an expression. Raises ReadError for one that Hourhand has no value for."""
        if match := _INPUT.fullmatch(expression):
            if not _DOTTED.fullmatch(match["name"]):
                raise ReadError(f"{quoted(expression)}: names of inputs should be of letters, digits, _, - and dots.")
            return Variable(f"input.{match['name']}{_dotted(expression, match['pointer'])}")
        if (match := _OUTPUT.fullmatch(expression)) is None:
            raise ReadError(f"{quoted(expression)} can't be imported: {_ALLOWED}.")
        variable = self.variables.get((match["step"], match["name"]))
        if variable is None:
            raise ReadError(f"{quoted(expression)}: the step {match['step']} has no such output, or it isn't imported.")
        if match["pointer"] and variable.split(".")[2] in ("status", "headers", "body"):
            raise ReadError(f"{quoted(expression)} points into a value that is no JSON.")
        return Variable(variable + _dotted(expression, match["pointer"]))

    def parts(self, text: str) -> Iterator[str | Variable]:
        """Yield the pieces of a text that is an expression, or has some in braces."""
        if _WHOLE.fullmatch(text):
            yield self.variable(text)
            return
        position = 0
        for match in _EMBEDDED.finditer(text):
            yield text[position : match.start()]
            yield self.variable(match[1])
            position = match.end()
        yield text[position:]

    def text(self, text: str) -> str:
        """Return a text as a template, for headers and plain bodies."""
        return "".join(escaped(part) if isinstance(part, str) else str(part) for part in self.parts(text))

    def quoted_text(self, value: Any) -> str:
        """Return a scalar as a template for a URL's path or query, or a form. Raises ReadError for other values."""
        if isinstance(value, dict | list):
            raise ReadError("a list or an object can't be written here.")
        if not isinstance(value, str):
            return quote("" if value is None else exact_json.compact(value), safe="")
        pieces = (_percent_encoded(part) if isinstance(part, str) else str(part) for part in self.parts(value))
        return "".join(pieces)

    def json_text(self, value: Any, *, depth: int = 0) -> str:
        """Return a JSON value as a template. A text that is one expression keeps the type of the expression's value."""
        if depth > MAX_DEPTH:
            raise ReadError(f"the payload should be nested at most {MAX_DEPTH} levels deep.")
        if isinstance(value, dict):
            items = (
                f"{json.dumps(escaped(name))}:{self.json_text(item, depth=depth + 1)}" for name, item in value.items()
            )
            return f"{{{','.join(items)}}}"
        if isinstance(value, list):
            return f"[{','.join(self.json_text(item, depth=depth + 1) for item in value)}]"
        if not isinstance(value, str):
            return exact_json.compact(value)
        if _WHOLE.fullmatch(value):
            return str(self.variable(value))
        return json.dumps(self.text(value), ensure_ascii=False)


def escaped(text: str) -> str:
    """Escape the braces of a text that a template would take for a variable; secrets remain variables."""
    return _KEPT.sub(lambda match: f"{{{{{BRACES}}}}}" if match[0] == OPENING else match[0], text)


def quoted(text: str) -> str:
    """Quote an expression for a message."""
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."


def _percent_encoded(text: str) -> str:
    """Percent-encode a text except for its secrets."""
    position, pieces = 0, []
    for match in _KEPT.finditer(text):
        if match[0] != OPENING:
            pieces += [quote(text[position : match.start()], safe="", errors="replace"), match[0]]
            position = match.end()
    return "".join([*pieces, quote(text[position:], safe="", errors="replace")])


def _dotted(expression: str, pointer: str | None) -> str:
    tokens = pointer_tokens(pointer or "")
    if not all(_SEGMENT.fullmatch(token) for token in tokens):
        raise ReadError(f"{quoted(expression)}: the names in a pointer should be of letters, digits, _ and -.")
    return "".join(f".{token}" for token in tokens)
