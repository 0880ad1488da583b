"""Parses JSON bodies in bounded memory and linear time, and refuses values that can't be stored."""

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
#: Values take many times the memory of their text: 16 MiB of `[[],[],...]` would take 350 MiB.
MAX_VALUES = 1_200_000
#: How much of an oversize body is read and discarded, so that the client can read the response.
_MAX_DISCARDED_BYTES = 64 * 1024 * 1024
_CHUNK = 64 * 1024
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
#: Escapes of such characters: a text without them needs no further check.
_ESCAPED_UNSTORABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class JsonBodyParser(BaseParser):
    """Parse UTF-8 JSON up to the view's `max_body_bytes`, without duplicate keys, NaN or invalid Unicode.

    DRF's JSONParser would read the whole body up to one limit for all routes.
    """

    media_type = "application/json"

    def parse(self, stream: IO[Any], _media_type: Any = None, parser_context: Any = None) -> Any:
        view = (parser_context or {}).get("view")
        return read_json(_read(stream, getattr(view, "max_body_bytes", settings.DATA_UPLOAD_MAX_MEMORY_SIZE)))


def read_json(raw: bytes) -> Any:
    """Read a whole body as JSON. Raises ParseError, and ValidationError for text that can't be stored."""
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
    if _ESCAPED_UNSTORABLE.search(raw):
        refuse_unstorable(value)
    return value


def json_value(text: str) -> Any:
    """Parse a JSON text. Raises ValueError, and RecursionError for deep nesting."""
    return json.loads(
        text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole
    )


def why_no_json(error: ValueError) -> str:
    """The message of a `json_value` error, without a full stop."""
    if not isinstance(error, JSONDecodeError):
        return str(error)
    message = error.msg.removesuffix(" at").removesuffix(" starting").lower()
    return f"{message} in line {error.lineno}, column {error.colno}"


def _read(stream: IO[Any], limit: int) -> bytes:
    raw: bytes = stream.read(limit + 1)
    if len(raw) > limit:
        discarded = 0
        while discarded < _MAX_DISCARDED_BYTES and (chunk := stream.read(_CHUNK)):
            discarded += len(chunk)
        raise BodyTooLarge(limit)
    return raw


def _refuse_many_values(raw: bytes) -> None:
    """Refuse more than MAX_VALUES values. Separators inside strings do not count."""
    if _separators(raw) > MAX_VALUES and _separators(_STRING.sub(b"", raw)) > MAX_VALUES:
        raise ParseError(f"The body holds more than {MAX_VALUES:,} values.")


def _separators(raw: bytes) -> int:
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError(f"the key {shortened(_duplicate(name for name, _ in pairs))!r} appears twice in one object")
    return values


def _duplicate(names: Iterable[str]) -> str:
    """The first name that occurs twice."""
    seen: set[str] = set()
    # `add` returns None, which is falsy.
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _finite(text: str) -> float:
    value = parse_float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is out of range")
    return value


def _whole(text: str) -> int:
    limit = sys.get_int_max_str_digits()
    if limit and len(text.lstrip("-")) > limit:
        raise ValueError(f"the number {text[:20]}... has {len(text.lstrip('-')):,} digits; the limit is {limit:,}")
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
    """Raise ValidationError for NUL characters, lone surrogates (PostgreSQL stores neither) and deep nesting."""
    _refuse_depth(value)
    names = _unstorable(value)
    if names is not None:
        detail = ErrorDetail("NUL characters and lone surrogates are not allowed.", code="invalid_text")
        path = ".".join(_UNSTORABLE.sub("\ufffd", shortened(name)) for name in reversed(names))
        raise ValidationError({path: [detail]} if path else [detail])


def _unstorable(value: Any) -> list[str] | None:
    """The path to a text that can't be stored, innermost name first; None if there is none."""
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
