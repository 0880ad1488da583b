"""JSON paths (RFC 9535) that are safe to evaluate on any response. Pure.

Neither the path nor the document is trusted, so only the part of the standard is supported whose work is linear in the
document: the only function is `length`, `..` is allowed once, lists in brackets hold names only, and filters compare
with literals. No segment then visits a node twice, and a limit on steps bounds the rest.
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
#: The most values that an evaluation visits; a typical document of 64 KiB has a few thousand.
MAX_STEPS = 20_000


class InvalidJsonPathError(ValueError):
    """Not a JSON path, or not one of the supported part. The text says why."""


class TooManyStepsError(RuntimeError):
    """The evaluation visited more than MAX_STEPS values."""


class _Environment(JSONPathEnvironment):
    """The strict standard, without functions that match regular expressions or take lists of nodes."""

    def setup_function_extensions(self) -> None:
        self.function_extensions["length"] = Length()


_ENVIRONMENT = _Environment(strict=True, filter_caching=False)


class _Steps:
    """The remaining steps of an evaluation."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise TooManyStepsError


class _Node(JSONPathMatch):
    """A visited value. Counts steps, and omits the text of its own path, whose size could grow quadratically."""

    __slots__ = ("steps",)

    def __init__(self, value: Any, parent: "_Node | None", root: Any, steps: _Steps) -> None:
        super().__init__(filter_context={}, obj=value, parent=parent, path="", parts=(), root=root)
        self.steps = steps

    def new_child(self, obj: object, key: int | str) -> "_Node":  # noqa: ARG002 - the library's signature
        self.steps.take()
        return _Node(obj, self, self.root, self.steps)

    def add_child(self, *children: JSONPathMatch) -> None:
        """Keep no children in memory: nothing reads them."""

    def filter_context(self) -> Any:
        """Count a step: the library calls this once for each value that a filter tests."""
        self.steps.take()
        return {}


@dataclass(frozen=True, slots=True)
class CompiledPath:
    """A compiled path. `cost` is how many times its filters visit each value."""

    text: str
    path: JSONPath
    cost: int

    @classmethod
    def of(cls, text: str) -> "CompiledPath":
        """Compile a path. Raises InvalidJsonPathError."""
        if len(text) > MAX_PATH_CHARACTERS:
            raise InvalidJsonPathError(f"Should have at most {MAX_PATH_CHARACTERS} characters.")
        try:
            path = _ENVIRONMENT.compile(text)
        except Exception as error:  # The library's parser can raise anything on untrusted text.
            raise InvalidJsonPathError(f"Should be a JSON path, as in $.status: {_first_line(error)}.") from error
        if not isinstance(path, JSONPath):
            raise InvalidJsonPathError("Should be a single JSON path.")
        return cls(text, path, _cost(path))

    @property
    def is_singular(self) -> bool:
        """Whether it can select one value at most."""
        return self.path.singular_query()

    def values(self, document: Any) -> list[Any]:
        """Return the values that the path selects. Raises TooManyStepsError, and RecursionError if nested too deep."""
        steps = _Steps(MAX_STEPS // self.cost)
        nodes: Iterable[JSONPathMatch] = [_Node(document, None, document, steps)]
        for segment in self.path.segments:
            nodes = segment.resolve(nodes)
        return [node.obj for node in nodes]


def _first_line(error: Exception) -> str:
    """Return the error's first argument; the library's own `__str__` can raise."""
    first = error.args[0] if error.args and isinstance(error.args[0], str) else ""
    return (first.splitlines() or [""])[0].rstrip(". ")[:200] or "it can't be read"


def _cost(path: JSONPath) -> int:
    """Return the work per step. Raises InvalidJsonPathError for a path whose work is not linear."""
    if sum(isinstance(segment, JSONPathRecursiveDescentSegment) for segment in path.segments) > 1:
        raise InvalidJsonPathError('Should have ".." at most once.')
    cost = 1
    for segment in path.segments:
        names = {selector.name for selector in segment.selectors if isinstance(selector, NameSelector)}
        if len(segment.selectors) > 1 and len(names) != len(segment.selectors):
            raise InvalidJsonPathError("A list in brackets should hold names only, each once.")
        for selector in segment.selectors:
            if isinstance(selector, Filter):
                cost += sum(_visits(expression) for expression in walk(selector.expression))
    return cost


def _visits(expression: BaseExpression) -> int:
    match expression:
        case FilterQuery() if not expression.path.singular_query():
            _refuse("A filter should read single values, such as @.name or @.tags[0].")
        case InfixExpression() if not expression.logical and not _has_literal(expression):
            _refuse("A filter should compare with a literal, such as 'ok', 3, true or null.")
        case FunctionExtension() | FilterQuery() | InfixExpression():
            return 1
    return 0


def _has_literal(comparison: InfixExpression) -> bool:
    return any(isinstance(side, (FilterExpressionLiteral, Nil)) for side in (comparison.left, comparison.right))


def _refuse(reason: str) -> NoReturn:
    raise InvalidJsonPathError(reason)
