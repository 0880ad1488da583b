"""What a job asserts of an answer beyond its status. Pure; no answer makes it raise, or take long.

Written form: the objects of `success.assertions`. Each is compiled once for each version of a job.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeVar

import re2

from jobs.json_paths import CompiledPath, InvalidJsonPathError, TooManyStepsError

T = TypeVar("T")

MAX_ASSERTIONS = 10
MAX_TEXT_CHARACTERS = 1000
MAX_VALUE_DEPTH = 20
MAX_ERROR_CHARACTERS = 300
_SHOWN_CHARACTERS = 80
#: RE2's time is the length of the answer times, at worst, the size of the program: with these, some milliseconds.
MAX_PROGRAM_SIZE = 500
_PATTERN_MEMORY_BYTES = 1024 * 1024


class InvalidAssertionError(ValueError):
    """An assertion that can't be compiled. `field` is the part of it that is wrong; its text says why."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class Answer:
    """What assertions look at. `headers` has lower-case names; `body` is what was kept; `total_ms` may be unknown."""

    def __init__(
        self, status: int, headers: Mapping[str, str], body: bytes, body_truncated: bool, total_ms: int | None
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.body_truncated = body_truncated
        self.total_ms = total_ms

    @functools.cached_property
    def document(self) -> "_Document":
        """The body as JSON, read once however many assertions ask."""
        if self.body_truncated:
            return _Document(None, "the body was not kept whole")
        try:
            return _Document(json.loads(self.body, parse_constant=_no_constant), None)
        except (ValueError, RecursionError):
            return _Document(None, "the body is not JSON")


@dataclass(frozen=True, slots=True)
class _Document:
    value: Any
    problem: str | None


class Assertion(Protocol):
    """One thing that must hold."""

    def problem(self, answer: Answer) -> str | None:
        """A short sentence if it does not hold."""


@dataclass(frozen=True, slots=True)
class StatusEquals:
    value: int

    def problem(self, answer: Answer) -> str | None:
        return None if answer.status == self.value else f"the status is {answer.status}, not {self.value}"


@dataclass(frozen=True, slots=True)
class HeaderEquals:
    name: str
    value: str

    def problem(self, answer: Answer) -> str | None:
        found = answer.headers.get(self.name.lower())
        if found is None:
            return f"there is no header {self.name}"
        return None if found == self.value else f"the header {self.name} is not {_shown(self.value)}"


@dataclass(frozen=True, slots=True)
class HeaderContains:
    name: str
    value: str

    def problem(self, answer: Answer) -> str | None:
        found = answer.headers.get(self.name.lower())
        if found is None:
            return f"there is no header {self.name}"
        return None if self.value in found else f"the header {self.name} does not contain {_shown(self.value)}"


@dataclass(frozen=True, slots=True)
class BodyContains:
    value: str
    encoded: bytes

    def problem(self, answer: Answer) -> str | None:
        return None if self.encoded in answer.body else f"the {_kept(answer)} does not contain {_shown(self.value)}"


@dataclass(frozen=True, slots=True)
class BodyNotContains:
    """Does not hold for a body that was not kept whole: nobody knows what the rest contains."""

    value: str
    encoded: bytes

    def problem(self, answer: Answer) -> str | None:
        if self.encoded in answer.body:
            return f"the body contains {_shown(self.value)}"
        if answer.body_truncated:
            return f"the body was not kept whole, so it may contain {_shown(self.value)}"
        return None


@dataclass(frozen=True, slots=True)
class BodyMatches:
    value: str
    pattern: Any

    def problem(self, answer: Answer) -> str | None:
        if self.pattern.search(answer.body) is not None:
            return None
        return f"the {_kept(answer)} does not match {_shown(self.value)}"


@dataclass(frozen=True, slots=True)
class JsonPathEquals:
    """Holds if the path leads somewhere, and everything that it leads to is this value."""

    path: CompiledPath
    value: Any

    def problem(self, answer: Answer) -> str | None:
        found, problem = _values_at(self.path, answer)
        if problem is not None:
            return problem
        if not found:
            return f"there is nothing at {_shown_text(self.path.text)}"
        if all(_same(value, self.value) for value in found):
            return None
        return f"the value at {_shown_text(self.path.text)} is not {_shown(self.value)}"


@dataclass(frozen=True, slots=True)
class JsonPathExists:
    """Holds if the path leads somewhere; with a `value` of False, if it leads nowhere."""

    path: CompiledPath
    value: bool

    def problem(self, answer: Answer) -> str | None:
        found, problem = _values_at(self.path, answer)
        if problem is not None or bool(found) == self.value:
            return problem
        return f"there is {'nothing' if self.value else 'something'} at {_shown_text(self.path.text)}"


@dataclass(frozen=True, slots=True)
class ResponseTimeUnder:
    value: int

    def problem(self, answer: Answer) -> str | None:
        if answer.total_ms is not None and answer.total_ms < self.value:
            return None
        took = "an unknown time" if answer.total_ms is None else f"{answer.total_ms} ms"
        return f"the answer took {took}, not under {self.value} ms"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An assertion that was saved and can't be compiled any more. It holds of nothing, so that somebody notices."""

    detail: str

    def problem(self, answer: Answer) -> str | None:  # noqa: ARG002 - as every assertion
        return f"the assertion can't be judged: {self.detail}"


def compile_assertion(written: Mapping[str, Any]) -> Assertion:
    """One assertion from its written form, whose fields have their types. Raises InvalidAssertionError."""
    value = written.get("value")
    match written["type"]:
        case "status_equals":
            return StatusEquals(_of(int, value))
        case "header_equals":
            return HeaderEquals(written["name"], _of(str, value))
        case "header_contains":
            return HeaderContains(written["name"], _of(str, value))
        case "body_contains":
            return BodyContains(_of(str, value), _encoded(value))
        case "body_not_contains":
            return BodyNotContains(_of(str, value), _encoded(value))
        case "body_matches":
            return BodyMatches(_of(str, value), _pattern(_encoded(value)))
        case "json_path_equals":
            if _is_deeper(value, MAX_VALUE_DEPTH):
                raise InvalidAssertionError("value", f"Can be nested {MAX_VALUE_DEPTH} levels deep at most.")
            return JsonPathEquals(_path(written["path"]), value)
        case "json_path_exists":
            return JsonPathExists(_path(written["path"]), _of(bool, written.get("value", True)))
        case "response_time_under_ms":
            return ResponseTimeUnder(_of(int, value))
    raise InvalidAssertionError("type", "Is no type of assertion.")


def compile_assertions(written: Sequence[Mapping[str, Any]]) -> tuple[Assertion, ...]:
    """Saved assertions, for whoever judges. Never raises: a worker must not fail on what an older release saved."""
    return tuple(_compiled_or_unreadable(item) for item in written)


def _compiled_or_unreadable(written: Mapping[str, Any]) -> Assertion:
    try:
        return compile_assertion(written)
    except (InvalidAssertionError, KeyError) as error:
        return Unreadable(str(error))


def failed_assertion(
    assertions: Sequence[Assertion],
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    body_truncated: bool,
    total_ms: int | None,
) -> str | None:
    """Says of the first assertion that does not hold why not; None if all hold.

    `body` is what was kept of the body and `body_truncated` if that is not all of it. The text never quotes the answer.
    """
    answer = Answer(status, headers, body, body_truncated, total_ms)
    for number, assertion in enumerate(assertions, start=1):
        problem = assertion.problem(answer)
        if problem is not None:
            which = f"assertion {number}: " if len(assertions) > 1 else ""
            return f"{which}{problem}"[:MAX_ERROR_CHARACTERS]
    return None


def _values_at(path: CompiledPath, answer: Answer) -> tuple[list[Any], str | None]:
    document = answer.document
    if document.problem is not None:
        return [], document.problem
    try:
        return path.values(document.value), None
    except TooManyStepsError:
        return [], f"{_shown_text(path.text)} leads through too much of the body"
    except Exception:  # An answer must never make its recording fail, whatever a library does with it.
        return [], f"{_shown_text(path.text)} can't be followed in this body"


def _same(found: Any, wanted: Any) -> bool:
    """Equality of JSON values: 1 is 1.0 but not true. Goes no deeper than `wanted` does."""
    match wanted:
        case dict():
            if not isinstance(found, dict) or found.keys() != wanted.keys():
                return False
            return all(_same(found[name], value) for name, value in wanted.items())
        case list():
            if not isinstance(found, list) or len(found) != len(wanted):
                return False
            return all(map(_same, found, wanted))
    if isinstance(found, (dict, list)) or isinstance(found, bool) != isinstance(wanted, bool):
        return False
    return bool(found == wanted)


def _is_deeper(value: Any, levels: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(levels == 0 or _is_deeper(item, levels - 1) for item in inside)


def _pattern(text: bytes) -> Any:
    options = re2.Options()
    options.max_mem = _PATTERN_MEMORY_BYTES
    options.log_errors = False
    options.never_capture = True
    try:
        pattern = re2.compile(text, options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else error
        raise InvalidAssertionError("value", f"Is no regular expression of RE2's syntax: {why}.") from error
    if max(pattern.programsize, pattern.reverseprogramsize) > MAX_PROGRAM_SIZE:
        raise InvalidAssertionError("value", "Is too large a pattern once its repetitions are written out.")
    return pattern


def _path(text: str) -> CompiledPath:
    try:
        return CompiledPath.of(text)
    except InvalidJsonPathError as error:
        raise InvalidAssertionError("path", str(error)) from error


def _of(kind: type[T], value: Any) -> T:
    if type(value) is not kind:
        raise InvalidAssertionError("value", "Is not of the type that this assertion compares with.")
    return value


def _encoded(text: Any) -> bytes:
    try:
        return _of(str, text).encode()
    except UnicodeEncodeError as error:
        raise InvalidAssertionError("value", "Should be valid Unicode text.") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _kept(answer: Answer) -> str:
    return "part of the body that was kept" if answer.body_truncated else "body"


def _shown(value: Any) -> str:
    try:
        return _shown_text(json.dumps(value, ensure_ascii=False))
    except (ValueError, RecursionError):
        return "what was asserted"


def _shown_text(text: str) -> str:
    cut = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    return cut.encode(errors="replace").decode()
