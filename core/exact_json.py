"""JSON whose numbers keep their digits: `1.10` stays `1.10`, where a float would become `1.1`. Pure.

Numbers are ordinary floats and integers. Those whose own text would differ remember how they were written, and
`compact` writes them that way again.
"""

import json
from collections.abc import Iterator
from typing import Any


class ExactFloat(float):
    """A float whose own text would change its digits."""

    __slots__ = ("written",)
    written: str

    def __new__(cls, written: str) -> "ExactFloat":
        number = super().__new__(cls, written)
        number.written = written
        return number

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        return (self.written,)


class ExactInt(int):
    """The integer `-0`."""

    written: str

    def __new__(cls, written: str) -> "ExactInt":
        number = super().__new__(cls, written)
        number.written = written
        return number

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        return (self.written,)


def parse_float(text: str) -> float:
    """For `json.loads`: a number with a fraction or an exponent."""
    value = float(text)
    return value if repr(value) == text else ExactFloat(text)


def parse_int(text: str) -> int:
    """For `json.loads`: a whole number. Raises ValueError for thousands of digits."""
    return ExactInt(text) if text == "-0" else int(text)


class ExactDecoder(json.JSONDecoder):
    """The decoder of a model's JSONField."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"parse_float": parse_float, "parse_int": parse_int, **options})


class ExactEncoder(json.JSONEncoder):
    """The encoder of a model's JSONField."""

    def encode(self, o: Any) -> str:
        return "".join(_pieces(o)) if _holds_exact(o) else super().encode(o)


def loads(text: str) -> Any:
    """Parse JSON. Raises ValueError, or RecursionError if it is nested too deeply."""
    return json.loads(text, parse_float=parse_float, parse_int=parse_int)


def compact(value: Any) -> str:
    """Write JSON without blanks; characters beyond ASCII are not escaped."""
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
