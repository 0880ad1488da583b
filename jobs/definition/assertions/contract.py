"""What a type of assertion is: how it is written, what it is called, and how it judges an answer."""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple, NoReturn, Protocol, TypeVar

MAX_TEXT_CHARACTERS = 1000


class InvalidAssertionError(ValueError):
    """An assertion that can't be compiled. `field` is the part of it that is wrong; its text says why."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class Document(NamedTuple):
    """A body as JSON, or why it is none."""

    value: Any
    problem: str | None


class Answer:
    """What assertions look at. `headers` has lower-case names; `body` is what was kept; `total_ms` may be unknown.

    `unreadable` says why the body is no text that can be read; `opaque`: its ASCII can't be either.
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
        """Why nobody can tell if a text is in the body, if so: in bytes of an unknown charset only ASCII is found."""
        return self._unreadable if self._unreadable and (self._opaque or not text.isascii()) else None

    @functools.cached_property
    def document(self) -> Document:
        """The body as JSON, read once however many assertions ask."""
        if self.body_truncated:
            return Document(None, "the body was not kept whole")
        try:
            return Document(json.loads(self.body, parse_constant=_no_constant), None)
        except (ValueError, RecursionError):
            return Document(None, "the body is not JSON")

    @property
    def kept(self) -> str:
        """What to call the body in a sentence."""
        return "part of the body that was kept" if self.body_truncated else "body"


class Assertion(Protocol):
    """One thing that must hold."""

    def problem(self, answer: Answer) -> str | None:
        """A short sentence if it does not hold. It never quotes the answer."""


class Shape(Enum):
    """How assertions are written beside their type: a value, of some sort, and what it is about.

    The API has a serializer for each shape and the form a way to read its value. Types about a header or a path are
    named after them (`header_...`, `json_path_...`): the form shows the field that the name asks for.
    """

    STATUS = auto()
    MILLISECONDS = auto()
    TEXT = auto()
    HEADER = auto()
    #: A path, and any JSON value.
    JSON = auto()
    #: A path, and whether there is something: there is, where no value is given.
    PRESENCE = auto()

    @property
    def subject(self) -> str | None:
        """The field that it has beside its value."""
        return _SUBJECTS.get(self)

    def parts(self, written: Mapping[str, Any]) -> dict[str, Any]:
        """The parts of a written assertion. Raises InvalidAssertionError; KeyError where it lacks its subject."""
        value = written.get("value", True if self is Shape.PRESENCE else None)
        if type(value) is not _SORTS.get(self, type(value)):
            raise InvalidAssertionError("value", "Is not of the type that this assertion compares with.")
        return {"value": value, **({self.subject: written[self.subject]} if self.subject else {})}


_SUBJECTS = {Shape.HEADER: "name", Shape.JSON: "path", Shape.PRESENCE: "path"}
_SORTS: dict[Shape, type] = {
    Shape.STATUS: int,
    Shape.MILLISECONDS: int,
    Shape.TEXT: str,
    Shape.HEADER: str,
    Shape.PRESENCE: bool,
}


@dataclass(frozen=True, slots=True)
class AssertionType:
    """A type: its `name` on the wire, its `label` in the form, and its `words` on the job's page, which complete "and
    if ..."; `denied` are those where its value is false."""

    name: str
    shape: Shape
    label: str
    words: str
    denied: str
    made: Callable[..., Assertion]

    def compiled(self, written: Mapping[str, Any]) -> Assertion:
        """Raises InvalidAssertionError; KeyError as `Shape.parts`."""
        return self.made(**self.shape.parts(written))


#: By name, in the order in which people choose from them.
ASSERTION_TYPES: dict[str, AssertionType] = {}
_Class = TypeVar("_Class", bound=type[Assertion])


def assertion_type(name: str, shape: Shape, *, label: str, words: str, denied: str = "") -> Callable[[_Class], _Class]:
    """Make a class a type of assertion: it is made of the parts of its shape, by `compiled` where it has that."""

    def register(assertion: _Class) -> _Class:
        ASSERTION_TYPES[name] = AssertionType(
            name, shape, label, words, denied, getattr(assertion, "compiled", assertion)
        )
        return assertion

    return register


def spelled_value(written: Mapping[str, Any]) -> str:
    """The value of a written assertion as people write it: text as it is, anything else as JSON."""
    value = written.get("value")
    known = ASSERTION_TYPES.get(str(written.get("type")))
    if isinstance(value, str) and (known is None or known.shape is not Shape.JSON):
        return value
    return json.dumps(value, ensure_ascii=False)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
