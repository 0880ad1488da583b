"""The values that assertions compare with: texts, patterns and JSON, and how errors quote them."""

import json
from typing import Any

import re2

from jobs.definition.assertions.contract import CheckedResponse, InvalidAssertionError
from jobs.definition.json_paths import CompiledPath, InvalidJsonPathError, TooManyStepsError

MAX_VALUE_DEPTH = 20
_SHOWN_CHARACTERS = 80
#: RE2 takes at most the length of the body times the size of the program: with this limit, some milliseconds.
MAX_PROGRAM_SIZE = 500
_PATTERN_MEMORY_BYTES = 1024 * 1024


def encoded(text: str) -> bytes:
    """Encode as UTF-8. Raises InvalidAssertionError."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidAssertionError("value", "Should be valid Unicode text.") from error


def pattern(text: str) -> Any:
    """Compile a pattern in RE2's syntax. Raises InvalidAssertionError, also for one that is too large."""
    options = re2.Options()
    options.max_mem = _PATTERN_MEMORY_BYTES
    options.log_errors = False
    options.never_capture = True
    try:
        compiled = re2.compile(encoded(text), options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else error
        raise InvalidAssertionError("value", f"Should be a regular expression in RE2's syntax: {why}.") from error
    if max(compiled.programsize, compiled.reverseprogramsize) > MAX_PROGRAM_SIZE:
        raise InvalidAssertionError(
            "value", "Should be a smaller pattern: its repetitions count as if they were written out."
        )
    return compiled


def json_path(text: str) -> CompiledPath:
    """Compile a JSON path. Raises InvalidAssertionError."""
    try:
        return CompiledPath.of(text)
    except InvalidJsonPathError as error:
        raise InvalidAssertionError("path", str(error)) from error


def json_value(value: Any) -> Any:
    """Return a value to compare with. Raises InvalidAssertionError if it is nested too deep."""
    if _is_deeper(value, MAX_VALUE_DEPTH):
        raise InvalidAssertionError("value", f"Should be nested at most {MAX_VALUE_DEPTH} levels deep.")
    return value


def values_at(path: CompiledPath, response: CheckedResponse) -> tuple[list[Any], str | None]:
    """Return the values that a path selects in the body, or the problem."""
    document = response.document
    if document.problem is not None:
        return [], document.problem
    try:
        return path.values(document.value), None
    except TooManyStepsError:
        return [], f"{shown_text(path.text)} visits too many values of the body"
    except Exception:  # No response may make its recording fail, whatever the library raises.
        return [], f"{shown_text(path.text)} can't be evaluated on this body"


def same(actual: Any, expected: Any) -> bool:
    """Compare JSON values: 1 equals 1.0 but not true. Recurses no deeper than `expected`."""
    match expected:
        case dict():
            if not isinstance(actual, dict) or actual.keys() != expected.keys():
                return False
            return all(same(actual[name], value) for name, value in expected.items())
        case list():
            if not isinstance(actual, list) or len(actual) != len(expected):
                return False
            return all(map(same, actual, expected))
    if isinstance(actual, (dict, list)) or isinstance(actual, bool) != isinstance(expected, bool):
        return False
    return bool(actual == expected)


def shown(value: Any) -> str:
    """Quote an assertion's value in an error."""
    try:
        return shown_text(json.dumps(value, ensure_ascii=False))
    except (ValueError, RecursionError):
        return "the asserted value"


def shown_text(text: str) -> str:
    cut = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    return cut.encode(errors="replace").decode()


def _is_deeper(value: Any, levels: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(levels == 0 or _is_deeper(item, levels - 1) for item in inside)
