"""What assertions compare with: texts, patterns and values in JSON, and how sentences show them."""

import json
from typing import Any

import re2

from jobs.definition.assertions.contract import Answer, InvalidAssertionError
from jobs.definition.json_paths import CompiledPath, InvalidJsonPathError, TooManyStepsError

MAX_VALUE_DEPTH = 20
_SHOWN_CHARACTERS = 80
#: RE2's time is the length of the answer times, at worst, the size of the program: with these, some milliseconds.
MAX_PROGRAM_SIZE = 500
_PATTERN_MEMORY_BYTES = 1024 * 1024


def encoded(text: str) -> bytes:
    """Raises InvalidAssertionError."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidAssertionError("value", "Should be valid Unicode text.") from error


def pattern(text: str) -> Any:
    """A compiled pattern of RE2's that is not too large. Raises InvalidAssertionError."""
    options = re2.Options()
    options.max_mem = _PATTERN_MEMORY_BYTES
    options.log_errors = False
    options.never_capture = True
    try:
        compiled = re2.compile(encoded(text), options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else error
        raise InvalidAssertionError("value", f"Is no regular expression of RE2's syntax: {why}.") from error
    if max(compiled.programsize, compiled.reverseprogramsize) > MAX_PROGRAM_SIZE:
        raise InvalidAssertionError("value", "Is too large a pattern once its repetitions are written out.")
    return compiled


def json_path(text: str) -> CompiledPath:
    """Raises InvalidAssertionError."""
    try:
        return CompiledPath.of(text)
    except InvalidJsonPathError as error:
        raise InvalidAssertionError("path", str(error)) from error


def json_value(value: Any) -> Any:
    """A value that can be compared with. Raises InvalidAssertionError."""
    if _is_deeper(value, MAX_VALUE_DEPTH):
        raise InvalidAssertionError("value", f"Can be nested {MAX_VALUE_DEPTH} levels deep at most.")
    return value


def values_at(path: CompiledPath, answer: Answer) -> tuple[list[Any], str | None]:
    """What a path leads to in the body, and why that can't be told."""
    document = answer.document
    if document.problem is not None:
        return [], document.problem
    try:
        return path.values(document.value), None
    except TooManyStepsError:
        return [], f"{shown_text(path.text)} leads through too much of the body"
    except Exception:  # An answer must never make its recording fail, whatever a library does with it.
        return [], f"{shown_text(path.text)} can't be followed in this body"


def same(found: Any, wanted: Any) -> bool:
    """Equality of JSON values: 1 is 1.0 but not true. Goes no deeper than `wanted` does."""
    match wanted:
        case dict():
            if not isinstance(found, dict) or found.keys() != wanted.keys():
                return False
            return all(same(found[name], value) for name, value in wanted.items())
        case list():
            if not isinstance(found, list) or len(found) != len(wanted):
                return False
            return all(map(same, found, wanted))
    if isinstance(found, (dict, list)) or isinstance(found, bool) != isinstance(wanted, bool):
        return False
    return bool(found == wanted)


def shown(value: Any) -> str:
    """A value of the assertion as a sentence holds it."""
    try:
        return shown_text(json.dumps(value, ensure_ascii=False))
    except (ValueError, RecursionError):
        return "what was asserted"


def shown_text(text: str) -> str:
    cut = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    return cut.encode(errors="replace").decode()


def _is_deeper(value: Any, levels: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(levels == 0 or _is_deeper(item, levels - 1) for item in inside)
