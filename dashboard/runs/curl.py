"""A recorded request as a curl command. Pure.

A pasted command is executed, and recorded values are untrusted: everything is quoted, and control and bidirectional
characters are escaped.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runs.attempts.redaction import REDACTED

#: Characters; the command reads a longer body from a file.
MAX_BODY = 64 * 1024
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_SHORT_ESCAPES = {"\\": r"\\", "'": r"\'", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
_HARMLESS_CONTROLS = "\n\t"
_LAST_BYTE, _LAST_OF_PLANE = 0x7F, 0xFFFF


@dataclass(frozen=True, slots=True)
class CurlCommand:
    """`placeholders` are headers whose values are redacted in history, for the user to fill in."""

    text: str
    placeholders: tuple[str, ...]
    lacks_body: bool = False


def curl_command(
    *, method: str, url: str, headers: Mapping[str, Any], body: str | None, body_encoding: str
) -> CurlCommand:
    """Build the command that sends the request again. A redacted header's value is `<name>`."""
    placeholders = tuple(name for name, value in headers.items() if value == REDACTED)
    lines = ["curl --globoff --path-as-is" + (" --head" if method == "HEAD" else f" --request {quoted(method)}")]
    for name, value in headers.items():
        shown = f"<{name}>" if value == REDACTED else str(value)
        # curl sends "name;" as a header without a value
        lines.append(f"--header {quoted(f'{name}: {shown}' if shown else f'{name};')}")
    before, lacks_body = "", body is not None and len(body) > MAX_BODY
    if lacks_body:
        lines.append("--data-binary @body")
    elif body is not None and body_encoding == "base64":
        before = f"printf %s {quoted(body)} | base64 -d | "
        lines.append("--data-binary @-")
    elif body is not None:
        lines.append(f"--data-raw {quoted(body)}")
    lines.append(f"--url {quoted(url)}")
    return CurlCommand(before + " \\\n  ".join(lines), placeholders, lacks_body)


def quoted(text: str) -> str:
    """Quote text as one word for a POSIX shell, or in bash's $'…' form if it has characters to escape."""
    if any(_is_unsafe(character) for character in text):
        return "$'" + "".join(_escaped(character) for character in text) + "'"
    if _PLAIN.fullmatch(text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"


def _is_unsafe(character: str) -> bool:
    return character not in _HARMLESS_CONTROLS and unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"}


def _escaped(character: str) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if not _is_unsafe(character):
        return character
    point = ord(character)
    if point <= _LAST_BYTE:
        return f"\\{point:03o}"
    return f"\\u{point:04x}" if point <= _LAST_OF_PLANE else f"\\U{point:08x}"
