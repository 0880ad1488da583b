"""JSON paths (RFC 9535) that are safe to evaluate on whatever an endpoint answers. Pure.

The path is somebody's and the document is somebody else's, so the part of the standard that is taken is the part whose
work grows no faster than the document: no functions but `length`, `..` once, comma lists of names only, filters that
compare with literals. No node is then visited twice by one step of a path, and a count of steps bounds the rest.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from jsonpath import JSONPath, JSONPathEnvironment, JSONPathMatch
from jsonpath.filter import (
    BaseExpression,
    FilterExpressionLiteral,
    FilterQuery,
    FunctionExtension,
    InfixExpression,
    Nil,
    walk,
)
from jsonpath.function_extensions import Length
from jsonpath.segments import JSONPathRecursiveDescentSegment
from jsonpath.selectors import Filter, NameSelector

MAX_PATH_CHARACTERS = 300
#: How many values an evaluation may look at; one of 64 KiB that somebody wrote by hand has some thousand.
MAX_STEPS = 20_000


class InvalidJsonPathError(ValueError):
    """A path that is no JSON path, or not one of those that are taken. Says why, for people."""


class TooManyStepsError(RuntimeError):
    """The path leads through more of the document than an evaluation may look at."""


class _Environment(JSONPathEnvironment):
    """The standard, strictly, without functions that match regular expressions or take lists of nodes."""

    def setup_function_extensions(self) -> None:
        self.function_extensions["length"] = Length()


_ENVIRONMENT = _Environment(strict=True, filter_caching=False)


class _Steps:
    """What is left of an evaluation's steps."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise TooManyStepsError


class _Node(JSONPathMatch):
    """A value on the way. Counts steps, and leaves out the text of its own path, which could grow as the square."""

    __slots__ = ("steps",)

    def __init__(self, value: Any, parent: "_Node | None", root: Any, steps: _Steps) -> None:
        super().__init__(filter_context={}, obj=value, parent=parent, path="", parts=(), root=root)
        self.steps = steps

    def new_child(self, obj: object, key: int | str) -> "_Node":  # noqa: ARG002 - the library's signature
        self.steps.take()
        return _Node(obj, self, self.root, self.steps)

    def add_child(self, *children: JSONPathMatch) -> None:
        """Nothing: nobody asks a node for its children, so they need not stay in memory."""

    def filter_context(self) -> Any:
        """Asked for once for each value that a filter judges."""
        self.steps.take()
        return {}


@dataclass(frozen=True, slots=True)
class CompiledPath:
    """A path ready to be evaluated. `cost` is how many times a filter in it looks at each value."""

    text: str
    path: JSONPath
    cost: int

    @classmethod
    def of(cls, text: str) -> "CompiledPath":
        """Raises InvalidJsonPathError."""
        if len(text) > MAX_PATH_CHARACTERS:
            raise InvalidJsonPathError(f"A JSON path is at most {MAX_PATH_CHARACTERS} characters.")
        try:
            path = _ENVIRONMENT.compile(text)
        except Exception as error:  # Whatever a parser of somebody's text comes up with: it is no path that we take.
            raise InvalidJsonPathError(f"Is no JSON path: {_first_line(error)}.") from error
        if not isinstance(path, JSONPath):
            raise InvalidJsonPathError("Should be one JSON path.")
        return cls(text, path, _cost(path))

    def values(self, document: Any) -> list[Any]:
        """What the path leads to, none if to nothing. Raises TooManyStepsError, and RecursionError when too deep."""
        steps = _Steps(MAX_STEPS // self.cost)
        nodes: Iterable[JSONPathMatch] = [_Node(document, None, document, steps)]
        for segment in self.path.segments:
            nodes = segment.resolve(nodes)
        return [node.obj for node in nodes]


def _first_line(error: Exception) -> str:
    """The text that the error was made with; the library's own `str` of it can fail."""
    first = error.args[0] if error.args and isinstance(error.args[0], str) else ""
    return (first.splitlines() or [""])[0].rstrip(". ")[:200] or "it can't be read"


def _cost(path: JSONPath) -> int:
    """How much work one step can be. Raises InvalidJsonPathError for a path that could multiply it."""
    if sum(isinstance(segment, JSONPathRecursiveDescentSegment) for segment in path.segments) > 1:
        raise InvalidJsonPathError('Can hold ".." once at most.')
    cost = 1
    for segment in path.segments:
        names = {selector.name for selector in segment.selectors if isinstance(selector, NameSelector)}
        if len(segment.selectors) > 1 and len(names) != len(segment.selectors):
            raise InvalidJsonPathError("A list in brackets can hold different names only.")
        for selector in segment.selectors:
            if isinstance(selector, Filter):
                cost += sum(_looks(expression) for expression in walk(selector.expression))
    return cost


def _looks(expression: BaseExpression) -> int:
    match expression:
        case FilterQuery() if not expression.path.singular_query():
            _refuse("A filter can look at single values only, such as @.name or @.tags[0].")
        case InfixExpression() if not expression.logical and not _has_literal(expression):
            _refuse("A filter can compare with a literal only, such as 'ok', 3, true or null.")
        case FunctionExtension() | FilterQuery() | InfixExpression():
            return 1
    return 0


def _has_literal(comparison: InfixExpression) -> bool:
    return any(isinstance(side, (FilterExpressionLiteral, Nil)) for side in (comparison.left, comparison.right))


def _refuse(why: str) -> NoReturn:
    raise InvalidJsonPathError(why)
