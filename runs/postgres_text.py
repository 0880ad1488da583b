"""Text and arrays in the forms that PostgreSQL accepts. Pure."""

import base64
import json
from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring_ascii as _json_text
from typing import Any

from core import exact_json

_LONGEST_CHARACTER = 4  # bytes, in UTF-8
_NUL = "\\u0000"


def as_text(body: bytes | None) -> tuple[str | None, str]:
    """A body as PostgreSQL can store it, its UTF-8 text or else base64, with the name of that encoding."""
    if body is None:
        return None, "utf-8"
    if b"\x00" not in body:
        try:
            return body.decode(), "utf-8"
        except UnicodeDecodeError as error:
            # A text that was cut within a character is still text.
            if error.reason == "unexpected end of data" and len(body) - error.start < _LONGEST_CHARACTER:
                return body[: error.start].decode(), "utf-8"
    return base64.b64encode(body).decode(), "base64"


def as_json(headers: dict[str, str]) -> str:
    """Headers as a JSON object. It contains no line break and no tab: JSON escapes them."""
    # json.dumps would set up an encoder for each object, at twice the cost for a few headers.
    members = [f"{_json_text(name)}: {_json_text(value)}" for name, value in headers.items()]
    text = "{" + ", ".join(members) + "}"
    if _NUL not in text:
        return text
    return json.dumps({clean(name): clean(value) for name, value in headers.items()})


def storable_json(value: Any) -> str:
    """A value as JSON that PostgreSQL can store: without NUL, and without halves of surrogate pairs."""
    return exact_json.compact(value).replace(_NUL, "\\ufffd").encode(errors="replace").decode()


def clean(text: str) -> str:
    """Replace NUL characters, which PostgreSQL can't store."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def escaped(text: str) -> str:
    """A value in COPY's text format."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def escaped_json(text: str) -> str:
    """The same for JSON, in which line breaks and tabs are escaped already."""
    return text.replace("\\", "\\\\")


def array(values: Sequence[object]) -> str:
    """A PostgreSQL array literal of Hourhand's own values: ids, numbers, states. Each is quoted, none escaped.

    psycopg2 would adapt a list element by element, at six times the cost.
    """
    return '{"' + '","'.join(map(str, values)) + '"}' if values else "{}"


def sparse_array(values: Iterable[object]) -> str:
    """The same for values that may be None, such as instants."""
    return "{" + ",".join(["NULL" if value is None else f'"{value}"' for value in values]) + "}"


def text_array(values: Sequence[str]) -> str:
    """The same for any text."""
    return array([value.replace("\\", "\\\\").replace('"', '\\"') for value in values])
