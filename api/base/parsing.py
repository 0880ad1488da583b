"""Reads JSON bodies: bounded, linear in their bytes, and refusing what would be lost or could not be stored."""

import json
import math
import re
import sys
from collections.abc import Iterable
from json import JSONDecodeError
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.parsers import BaseParser

from api.base.problems import BodyTooLarge, shortened
from core.exact_json import parse_float, parse_int

MAX_DEPTH = 100
#: What an object costs in memory is many times its text: `[[],[],...]` of 16 MiB would take 350 MiB.
MAX_VALUES = 1_200_000
#: How much of an oversize body is read and thrown away, so that the client gets to read the answer.
_DRAINED_BYTES = 64 * 1024 * 1024
_CHUNK = 64 * 1024
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
#: How JSON spells what can't be stored: a text without it needs no closer look.
_SPELLED_UNSTORABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class JsonBodyParser(BaseParser):
    """UTF-8 JSON up to as many bytes as the view takes; no key twice, no NaN, no text that is no Unicode.

    It is no JSONParser of the framework: of such the whole body is read before they see it, up to one limit for all.
    """

    media_type = "application/json"

    def parse(self, stream: IO[Any], _media_type: Any = None, parser_context: Any = None) -> Any:
        view = (parser_context or {}).get("view")
        raw = _read(stream, getattr(view, "max_body_bytes", settings.DATA_UPLOAD_MAX_MEMORY_SIZE))
        _refuse_many_values(raw)
        try:
            value = json_value(raw.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise ParseError("The body is not UTF-8 text.") from error
        except RecursionError as error:
            raise _too_deep() from error
        except ValueError as error:
            raise ParseError(f"The body is not valid JSON: {why_no_json(error)}.") from error
        _refuse_depth(value)
        if _SPELLED_UNSTORABLE.search(raw):
            refuse_unstorable(value)
        return value


def json_value(text: str) -> Any:
    """What a JSON text says. Raises ValueError, and RecursionError for endless nesting."""
    return json.loads(
        text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole
    )


def why_no_json(error: ValueError) -> str:
    """The sentence of an error of `json_value`, without its full stop."""
    if not isinstance(error, JSONDecodeError):
        return str(error)
    what = error.msg.removesuffix(" at").removesuffix(" starting").lower()
    return f"{what} in line {error.lineno}, column {error.colno}"


def _read(stream: IO[Any], limit: int) -> bytes:
    raw: bytes = stream.read(limit + 1)
    if len(raw) > limit:
        drained = 0
        while drained < _DRAINED_BYTES and (chunk := stream.read(_CHUNK)):
            drained += len(chunk)
        raise BodyTooLarge(limit)
    return raw


def _refuse_many_values(raw: bytes) -> None:
    """Refuse a text that would become more objects than memory is there for. Texts in it count as one each."""
    if _separators(raw) > MAX_VALUES and _separators(_STRING.sub(b"", raw)) > MAX_VALUES:
        raise ParseError(f"The body holds more than {MAX_VALUES:,} values.")


def _separators(raw: bytes) -> int:
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError(f"the key {shortened(_twice(name for name, _ in pairs))!r} stands twice in one object")
    return made


def _twice(names: Iterable[str]) -> str:
    """The first name that was there before."""
    seen: set[str] = set()
    # `add` returns None: each name is looked up, then kept.
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _finite(text: str) -> float:
    value = parse_float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is out of range")
    return value


def _whole(text: str) -> int:
    most = sys.get_int_max_str_digits()
    if most and len(text.lstrip("-")) > most:
        raise ValueError(f"the number {text[:20]}... has {len(text.lstrip('-')):,} digits, of at most {most:,}")
    return parse_int(text)


def _refuse_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> ParseError:
    return ParseError(f"The body is nested deeper than {MAX_DEPTH} levels.")


def refuse_unstorable(value: Any) -> None:
    """Refuse NUL characters and lone surrogates, which PostgreSQL can't hold, and endless nesting; names the field."""
    _refuse_depth(value)
    names = _unstorable(value)
    if names is not None:
        detail = ErrorDetail("NUL characters and lone surrogates are not allowed.", code="invalid_text")
        path = ".".join(_UNSTORABLE.sub("\ufffd", shortened(name)) for name in reversed(names))
        raise ValidationError({path: [detail]} if path else [detail])


def _unstorable(value: Any) -> list[str] | None:
    """The names that lead to a text that can't be stored, the innermost first; None without any."""
    if isinstance(value, str):
        return [] if _UNSTORABLE.search(value) else None
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        if isinstance(key, str) and _UNSTORABLE.search(key):
            return []
        if (names := _unstorable(child)) is not None:
            names.append(str(key))
            return names
    return None
