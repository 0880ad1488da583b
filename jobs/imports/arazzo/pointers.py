"""JSON Pointers (RFC 6901), and the JSON paths that select the same value. Pure."""

import re
from collections.abc import Sequence

from jobs.imports.items import ReadError

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_STEP = re.compile(r"""\.([A-Za-z_][A-Za-z0-9_]*)|\[(0|[1-9][0-9]{0,8})\]|\['((?:[^'\\])*)'\]""")
_BAD_ESCAPE = re.compile(r"~(?![01])")
_UNQUOTABLE = re.compile(r"['\\\x00-\x1f]")


def pointer_tokens(pointer: str) -> list[str]:
    """Split a pointer. Raises ReadError for one that doesn't start with / or has a wrong escape."""
    if not pointer:
        return []
    if not pointer.startswith("/") or _BAD_ESCAPE.search(pointer):
        raise ReadError(f"{pointer[:80]!r} should be a JSON Pointer, such as /items/0.")
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]


def pointer_of(tokens: Sequence[str]) -> str:
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)


def path_of(pointer: str) -> str:
    """Return the JSON path of a pointer; a number is an index. Raises ReadError for names with a quote or backslash."""
    steps = ["$"]
    for token in pointer_tokens(pointer):
        if _INDEX.fullmatch(token):
            steps.append(f"[{token}]")
        elif _PLAIN.fullmatch(token):
            steps.append(f".{token}")
        elif _UNQUOTABLE.search(token):
            raise ReadError(f"{pointer[:80]!r} has a name with a quote, backslash or control character.")
        else:
            steps.append(f"['{token}']")
    return "".join(steps)


def pointer_to(path: str) -> str | None:
    """Return the pointer of a JSON path of names and indexes; None for any other path."""
    tokens, position = [], 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            return None
        tokens.append(next(group for group in match.groups() if group is not None))
        position = match.end()
    return pointer_of(tokens) if path.startswith("$") else None
