"""What defines a type of assertion: its JSON, its labels, and its check of a response."""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple, NoReturn, Protocol, TypeVar

MAX_TEXT_CHARACTERS = 1000


class InvalidAssertionError(ValueError):
    """An assertion that can't be compiled: `field` is the wrong part, the text says why."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class Document(NamedTuple):
    """A body as JSON, or why it is not JSON."""

    value: Any
    problem: str | None


class CheckedResponse:
    """The response that assertions check. `headers` has lower-case names; `body` is the recorded part.

    `unreadable` says why the body can't be decoded as text; `opaque`: not even its ASCII characters can be searched.
    """

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        body_truncated: bool,
        total_ms: int | None,
        *,
        unreadable: str | None = None,
        opaque: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.body_truncated = body_truncated
        self.total_ms = total_ms
        self._unreadable = unreadable
        self._opaque = opaque

    def hides(self, text: str) -> str | None:
        """Return why the body can't be searched for a text, if so: in an unknown charset only ASCII can be."""
        return self._unreadable if self._unreadable and (self._opaque or not text.isascii()) else None

    @functools.cached_property
    def document(self) -> Document:
        """The body as JSON, parsed once for all assertions."""
        if self.body_truncated:
            return Document(None, "the body was truncated")
        try:
            return Document(json.loads(self.body, parse_constant=_no_constant), None)
        except (ValueError, RecursionError):
            return Document(None, "the body is not JSON")

    @property
    def body_words(self) -> str:
        """What an error calls the body."""
        return "recorded part of the body" if self.body_truncated else "body"


class Assertion(Protocol):
    """A condition on a response."""

    def problem(self, response: CheckedResponse) -> str | None:
        """Return why it does not hold, or None if it does. Never quotes the response."""


class Shape(Enum):
    """The fields of an assertion besides `type`: a value of some JSON type, and perhaps a header name or a path.

    The API has a serializer for each shape, and the form parses its value. The names of types with a header or a path
    begin with `header_` and `json_path_`; the form chooses its fields by that.
    """

    STATUS = auto()
    MILLISECONDS = auto()
    TEXT = auto()
    HEADER = auto()
    #: A path, and any JSON value.
    JSON = auto()
    #: A path, and whether something is there; true by default.
    PRESENCE = auto()

    @property
    def subject(self) -> str | None:
        """The field besides `value`: `name`, `path` or None."""
        return _SUBJECTS.get(self)

    def parts(self, written: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of an assertion's JSON. Raises InvalidAssertionError, and KeyError for a missing field."""
        value = written.get("value", True if self is Shape.PRESENCE else None)
        if type(value) is not _TYPES.get(self, type(value)):
            raise InvalidAssertionError("value", f"Should be {_NAMES[self]}.")
        return {"value": value, **({self.subject: written[self.subject]} if self.subject else {})}


_NAMES = {
    Shape.STATUS: "a whole number",
    Shape.MILLISECONDS: "a whole number",
    Shape.TEXT: "text",
    Shape.HEADER: "text",
    Shape.PRESENCE: "true or false",
}
_SUBJECTS = {Shape.HEADER: "name", Shape.JSON: "path", Shape.PRESENCE: "path"}
_TYPES: dict[Shape, type] = {
    Shape.STATUS: int,
    Shape.MILLISECONDS: int,
    Shape.TEXT: str,
    Shape.HEADER: str,
    Shape.PRESENCE: bool,
}


@dataclass(frozen=True, slots=True)
class AssertionType:
    """A type: its `name` in JSON, its `label` in the form, and its `words` on the job's page, which complete "and if".

    `negated` are its words if the value is false; `compile_parts` makes an assertion of the parts of its shape.
    """

    name: str
    shape: Shape
    label: str
    words: str
    negated: str
    compile_parts: Callable[..., Assertion]

    def compiled(self, written: Mapping[str, Any]) -> Assertion:
        """Compile an assertion's JSON. Raises InvalidAssertionError, and KeyError for a missing field."""
        return self.compile_parts(**self.shape.parts(written))


#: By name, in the order of the form.
ASSERTION_TYPES: dict[str, AssertionType] = {}
_Class = TypeVar("_Class", bound=type[Assertion])


def assertion_type(name: str, shape: Shape, *, label: str, words: str, negated: str = "") -> Callable[[_Class], _Class]:
    """Register a class as a type of assertion. Its `compiled`, else the class itself, takes the parts of its shape."""

    def register(assertion: _Class) -> _Class:
        ASSERTION_TYPES[name] = AssertionType(
            name, shape, label, words, negated, getattr(assertion, "compiled", assertion)
        )
        return assertion

    return register


def spelled_value(written: Mapping[str, Any]) -> str:
    """Return an assertion's value as the form spells it: text as it is, anything else as JSON."""
    value = written.get("value")
    kind = ASSERTION_TYPES.get(str(written.get("type")))
    if isinstance(value, str) and (kind is None or kind.shape is not Shape.JSON):
        return value
    return json.dumps(value, ensure_ascii=False)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
