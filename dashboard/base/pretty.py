"""Format a recorded body for reading. Pure."""

import json
from dataclasses import dataclass

from core.words import size_words

_INDENT = "  "
_DEEPEST = 12  # levels of indentation: a hostile body must not grow a hundredfold
_BASE64 = "base64"


@dataclass(frozen=True, slots=True)
class PrettyBody:
    """A body as text. `is_json`: it was indented; `is_base64`: it is not UTF-8 text."""

    text: str
    is_json: bool = False
    is_base64: bool = False
    is_absent: bool = False
    size: str = ""


def pretty_body(text: str | None, encoding: str) -> PrettyBody:
    """Indent JSON; leave anything else as it is."""
    if text is None:
        return PrettyBody("", is_absent=True)
    if encoding == _BASE64:
        return PrettyBody(text, is_base64=True)
    size = size_words(len(text.encode()))
    if text.lstrip()[:1] in ("{", "["):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return PrettyBody(text, size=size)
        return PrettyBody(indented_json(text), is_json=True, size=size)
    return PrettyBody(text, size=size)


def indented_json(text: str) -> str:
    """Add line breaks and indentation to valid JSON, with every token unchanged.

    `json.dumps(json.loads(text))` would round large numbers, drop repeated keys and rewrite escapes, and history shows
    exactly what was sent and received.
    """
    parts: list[str] = []
    depth = position = 0
    while position < len(text):
        character = text[position]
        if character == '"':
            end = _end_of_string(text, position)
            parts.append(text[position:end])
            position = end
            continue
        if character in "{[":
            closing = _skip_space(text, position + 1)
            if text[closing] in "}]":
                parts.append(character + text[closing])
                position = closing + 1
                continue
            depth += 1
            parts.append(character + "\n" + _margin(depth))
        elif character in "}]":
            depth -= 1
            parts.append("\n" + _margin(depth) + character)
        elif character == ",":
            parts.append(",\n" + _margin(depth))
        elif character == ":":
            parts.append(": ")
        elif not character.isspace():
            parts.append(character)
        position += 1
    return "".join(parts)


def _margin(depth: int) -> str:
    return _INDENT * min(depth, _DEEPEST)


def _end_of_string(text: str, start: int) -> int:
    """The position after the closing quote of the string that opens at `start`."""
    position = start + 1
    while text[position] != '"':
        position += 2 if text[position] == "\\" else 1
    return position + 1


def _skip_space(text: str, position: int) -> int:
    while text[position].isspace():
        position += 1
    return position
