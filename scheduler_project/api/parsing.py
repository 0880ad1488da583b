"""Reads JSON bodies: bounded, and refusing what would be lost or could not be stored."""

import json
import math
import re
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.parsers import JSONParser

from scheduler_project.exact_json import parse_float, parse_int

MAX_DEPTH = 100
#: How much of an oversize body is read and thrown away, so that the client gets to read the answer.
_DRAINED_BYTES = 64 * 1024 * 1024
_CHUNK = 64 * 1024
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class JsonBodyParser(JSONParser):
    """UTF-8 JSON up to DATA_UPLOAD_MAX_MEMORY_SIZE bytes; no key twice, no NaN, no text that is no Unicode."""

    def parse(self, stream: IO[Any], media_type: Any = None, parser_context: Any = None) -> Any:  # noqa: ARG002
        raw = _read(stream)
        try:
            value = json_value(raw.decode())
        except UnicodeDecodeError as error:
            raise ParseError("The body is not UTF-8 text.") from error
        except RecursionError as error:
            raise ParseError(f"The body is nested deeper than {MAX_DEPTH} levels.") from error
        except ValueError as error:
            raise ParseError(f"The body is not valid JSON: {error}.") from error
        refuse_unstorable(value)
        return value


def json_value(text: str) -> Any:
    """What a JSON text says. Raises ValueError, and RecursionError for endless nesting."""
    return json.loads(
        text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite, parse_int=parse_int
    )


def _read(stream: IO[Any]) -> bytes:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    raw: bytes = stream.read(limit + 1)
    if len(raw) > limit:
        drained = 0
        while drained < _DRAINED_BYTES and (chunk := stream.read(_CHUNK)):
            drained += len(chunk)
        raise RequestDataTooBig
    return raw


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return made


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _finite(text: str) -> float:
    value = parse_float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is out of range")
    return value


def refuse_unstorable(value: Any, path: str = "", depth: int = 0) -> None:
    """Refuse NUL characters and lone surrogates, which PostgreSQL can't hold, and endless nesting; names the field."""
    if depth > MAX_DEPTH:
        raise ParseError(f"The body is nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, str):
        if _UNSTORABLE.search(value):
            detail = ErrorDetail("NUL characters and lone surrogates are not allowed.", code="invalid_text")
            raise ValidationError({path: [detail]} if path else [detail])
        return
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        if isinstance(key, str):
            refuse_unstorable(key, path, depth + 1)
        refuse_unstorable(child, f"{path}.{key}" if path else str(key), depth + 1)
