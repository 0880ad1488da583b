"""JSON whose numbers keep their digits: `1.10` stays `1.10`, where a float would make `1.1` of it. Pure.

Numbers read here are floats and integers like any other, which remember how they were written where their own text
would differ; `compact` writes them so again.
"""

import json
from collections.abc import Iterator
from typing import Any


class ExactFloat(float):
    """A number whose digits a float's own text would change."""

    __slots__ = ("written",)
    written: str

    def __new__(cls, written: str) -> "ExactFloat":
        made = super().__new__(cls, written)
        made.written = written
        return made

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        return (self.written,)


class ExactInt(int):
    """`-0`, which no integer says."""

    written: str

    def __new__(cls, written: str) -> "ExactInt":
        made = super().__new__(cls, written)
        made.written = written
        return made

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        return (self.written,)


def parse_float(text: str) -> float:
    """For `json.loads`: a number with a fraction or an exponent."""
    value = float(text)
    return value if repr(value) == text else ExactFloat(text)


def parse_int(text: str) -> int:
    """For `json.loads`: a whole number. Raises ValueError for one of thousands of digits."""
    return ExactInt(text) if text == "-0" else int(text)


class ExactDecoder(json.JSONDecoder):
    """For a model's field."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"parse_float": parse_float, "parse_int": parse_int, **options})


class ExactEncoder(json.JSONEncoder):
    """For a model's field."""

    def encode(self, o: Any) -> str:
        return "".join(_pieces(o)) if _holds_exact(o) else super().encode(o)


def loads(text: str) -> Any:
    """Raises ValueError, and RecursionError for endless nesting."""
    return json.loads(text, parse_float=parse_float, parse_int=parse_int)


def compact(value: Any) -> str:
    """A JSON value without blanks, characters beyond ASCII as they are."""
    if _holds_exact(value):
        return "".join(_pieces(value))
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _holds_exact(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_exact, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_holds_exact, value))
    return isinstance(value, (ExactFloat, ExactInt))


def _pieces(value: Any) -> Iterator[str]:
    if isinstance(value, (ExactFloat, ExactInt)):
        yield value.written
    elif isinstance(value, dict):
        yield "{"
        for number, (key, member) in enumerate(value.items()):
            yield f"{',' if number else ''}{json.dumps(key, ensure_ascii=False)}:"
            yield from _pieces(member)
        yield "}"
    elif isinstance(value, (list, tuple)):
        yield "["
        for number, member in enumerate(value):
            if number:
                yield ","
            yield from _pieces(member)
        yield "]"
    else:
        yield json.dumps(value, ensure_ascii=False)
