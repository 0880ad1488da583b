"""Simple conditions of Arazzo's criteria, such as `$statusCode == 200 && $response.body#/ok == true`. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jobs.imports.items import ReadError

FIRST, LAST = 100, 599
#: Sets of statuses are integers with a bit for each code.
ALL_STATUSES = (1 << (LAST - FIRST + 1)) - 1
_STATUS = "$statusCode"
_MAX_CHARACTERS = 2000
_MAX_DEPTH = 20
_TOKEN = re.compile(
    r"""\s*(?:(?P<operator>&&|\|\||==|!=|<=|>=|[<>!()])
    |'(?P<text>(?:[^']|'')*)' | (?P<number>-?[0-9]+(?:\.[0-9]+)?) | (?P<word>true|false|null)\b
    |(?P<expression>\$[^\s()!=<>&|']+))""",
    re.VERBOSE,
)
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_WORDS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Expression:
    """A runtime expression."""

    text: str


@dataclass(frozen=True, slots=True)
class Relation:
    """An expression compared with a literal or another expression; of two sides, the expression is `left`."""

    left: Any
    operator: str
    right: Any


@dataclass(frozen=True, slots=True)
class Combination:
    """`&&`, `||`, or `!` of one part."""

    operator: str
    parts: tuple[Any, ...]


def parse_condition(text: str) -> Any:
    """Parse a condition into Combinations, Relations and Expressions. Raises ReadError."""
    if len(text) > _MAX_CHARACTERS:
        raise ReadError(f"has more than {_MAX_CHARACTERS:,} characters")
    parser = _Parser(list(_tokens(text)))
    condition = parser.any_of(depth=0)
    if parser.next is not None:
        raise ReadError("can't be read")
    return condition


def all_of(condition: Any) -> Iterator[Any]:
    """Yield the parts of a condition that must all hold."""
    if isinstance(condition, Combination) and condition.operator == "&&":
        for part in condition.parts:
            yield from all_of(part)
    else:
        yield condition


def statuses_of(condition: Any) -> int | None:
    """Return the statuses for which a condition holds; None if it depends on more than the status."""
    if isinstance(condition, Combination):
        sets = [statuses_of(part) for part in condition.parts]
        if any(part is None for part in sets):
            return None
        known = [part for part in sets if part is not None]
        match condition.operator:
            case "!":
                return ALL_STATUSES & ~known[0]
            case "&&":
                return _folded(known, intersect=True)
        return _folded(known, intersect=False)
    if isinstance(condition, Relation) and condition.left == Expression(_STATUS):
        return _compared(condition.operator, condition.right)
    return None


def written_statuses(statuses: int) -> list[str]:
    """Write a set of statuses as classes and codes."""
    written = []
    for first in range(FIRST, LAST, 100):
        bits = statuses >> (first - FIRST) & (1 << 100) - 1
        if bits == (1 << 100) - 1:
            written.append(f"{first // 100}xx")
        else:
            written += [str(first + offset) for offset in range(100) if bits >> offset & 1]
    return written


def codes(statuses: int) -> list[int]:
    return [code for code in range(FIRST, LAST + 1) if statuses >> (code - FIRST) & 1]


def _folded(sets: list[int], *, intersect: bool) -> int:
    result = ALL_STATUSES if intersect else 0
    for part in sets:
        result = result & part if intersect else result | part
    return result


def _compared(operator: str, literal: Any) -> int | None:
    """Return the statuses that compare so with a number, or with a text that spells one."""
    if isinstance(literal, str) and re.fullmatch("[0-9]{1,6}", literal):
        literal = float(literal)
    if isinstance(literal, bool) or not isinstance(literal, int | float):
        return None
    below = _below(literal)
    equal = 1 << (int(literal) - FIRST) if literal == int(literal) and FIRST <= literal <= LAST else 0
    return {
        "==": equal, "!=": ALL_STATUSES & ~equal, "<": below, "<=": below | equal, ">": ALL_STATUSES & ~(below | equal),
        ">=": ALL_STATUSES & ~below,
    }[operator]  # fmt: skip


def _below(number: float) -> int:
    """Return the statuses that are less than a number."""
    count = min(max(int(-(-number // 1)) - FIRST, 0), LAST - FIRST + 1)
    return (1 << count) - 1


def _tokens(text: str) -> Iterator[tuple[str, Any]]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise ReadError("can't be read")
        kind = str(match.lastgroup)
        yield kind, match[kind]
        position = match.end()


class _Parser:
    """A recursive descent; `next` is the token at the position, None at the end."""

    def __init__(self, tokens: list[tuple[str, Any]]) -> None:
        self._tokens = tokens
        self._position = 0

    @property
    def next(self) -> tuple[str, Any] | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def any_of(self, *, depth: int) -> Any:
        return self._combined("||", lambda: self._combined("&&", lambda: self._negated(depth)))

    def _combined(self, operator: str, part: Any) -> Any:
        parts = [part()]
        while self._takes(operator):
            parts.append(part())
        return Combination(operator, tuple(parts)) if len(parts) > 1 else parts[0]

    def _negated(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ReadError("is nested too deeply")
        if self._takes("!"):
            return Combination("!", (self._negated(depth + 1),))
        if self._takes("("):
            inner = self.any_of(depth=depth + 1)
            if not self._takes(")"):
                raise ReadError("lacks a )")
            return inner
        return self._comparison()

    def _comparison(self) -> Any:
        left = self._operand()
        token = self.next
        if token is None or token[0] != "operator" or token[1] not in _COMPARISONS:
            return left
        self._position += 1
        right, operator = self._operand(), token[1]
        if not isinstance(left, Expression) and isinstance(right, Expression):
            left, right, operator = right, left, _MIRRORED.get(operator, operator)
        return Relation(left, operator, right)

    def _operand(self) -> Any:
        token = self.next
        if token is None or token[0] == "operator":
            raise ReadError("can't be read")
        self._position += 1
        kind, text = token
        match kind:
            case "text":
                return text.replace("''", "'")
            case "number":
                return float(text) if "." in text else int(text)
            case "word":
                return _WORDS[text]
        return Expression(text)

    def _takes(self, operator: str) -> bool:
        if self.next != ("operator", operator):
            return False
        self._position += 1
        return True
