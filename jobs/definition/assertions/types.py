"""The types of assertions, one class each."""

from dataclasses import dataclass
from typing import Any, Self

from jobs.definition.assertions.contract import CheckedResponse, Shape, assertion_type
from jobs.definition.assertions.values import (
    encoded,
    json_path,
    json_value,
    pattern,
    same,
    shown,
    shown_text,
    values_at,
)
from jobs.definition.json_paths import CompiledPath


@dataclass(frozen=True, slots=True)
class _OfHeader:
    """A header's name, in any case, and a value."""

    name: str
    value: str

    def header(self, response: CheckedResponse) -> str | None:
        return response.headers.get(self.name.lower())

    @property
    def missing(self) -> str:
        return f"there is no header {self.name}"


@dataclass(frozen=True, slots=True)
class _OfBodyText:
    """A text to search the body for."""

    value: str
    encoded: bytes

    @classmethod
    def compiled(cls, value: str) -> Self:
        return cls(value, encoded(value))

    def hidden(self, response: CheckedResponse) -> str | None:
        """Return the problem of a body that can't be searched for this text."""
        why = response.hides(self.value)
        return why and f"the body can't be searched for {shown(self.value)}: {why}"


@assertion_type("status_equals", Shape.STATUS, label="Status is", words="the status is {value}")
@dataclass(frozen=True, slots=True)
class StatusEquals:
    value: int

    def problem(self, response: CheckedResponse) -> str | None:
        return None if response.status == self.value else f"the status is {response.status}, not {self.value}"


@assertion_type("header_equals", Shape.HEADER, label="Header is", words="the header {name} is “{value}”")
@dataclass(frozen=True, slots=True)
class HeaderEquals(_OfHeader):
    def problem(self, response: CheckedResponse) -> str | None:
        value = self.header(response)
        if value is None:
            return self.missing
        return None if value == self.value else f"the header {self.name} is not {shown(self.value)}"


@assertion_type("header_contains", Shape.HEADER, label="Header contains", words="the header {name} contains “{value}”")
@dataclass(frozen=True, slots=True)
class HeaderContains(_OfHeader):
    def problem(self, response: CheckedResponse) -> str | None:
        value = self.header(response)
        if value is None:
            return self.missing
        return None if self.value in value else f"the header {self.name} does not contain {shown(self.value)}"


@assertion_type("body_contains", Shape.TEXT, label="Body contains", words="the body contains “{value}”")
@dataclass(frozen=True, slots=True)
class BodyContains(_OfBodyText):
    def problem(self, response: CheckedResponse) -> str | None:
        if hidden := self.hidden(response):
            return hidden
        return (
            None if self.encoded in response.body else f"the {response.body_words} does not contain {shown(self.value)}"
        )


@assertion_type(
    "body_not_contains", Shape.TEXT, label="Body does not contain", words="the body does not contain “{value}”"
)
@dataclass(frozen=True, slots=True)
class BodyNotContains(_OfBodyText):
    """Does not hold for a body that was truncated or can't be searched: its content is unknown."""

    def problem(self, response: CheckedResponse) -> str | None:
        if hidden := self.hidden(response):
            return hidden
        if self.encoded in response.body:
            return f"the body contains {shown(self.value)}"
        if response.body_truncated:
            return f"the body was truncated, so it may contain {shown(self.value)}"
        return None


@assertion_type("body_matches", Shape.TEXT, label="Body matches pattern", words="the body matches {value}")
@dataclass(frozen=True, slots=True)
class BodyMatches:
    value: str
    pattern: Any

    @classmethod
    def compiled(cls, value: str) -> Self:
        return cls(value, pattern(value))

    def problem(self, response: CheckedResponse) -> str | None:
        if why := response.hides(self.value):
            return f"the body can't be matched with {shown(self.value)}: {why}"
        if self.pattern.search(response.body) is not None:
            return None
        return f"the {response.body_words} does not match {shown(self.value)}"


@assertion_type("json_path_equals", Shape.JSON, label="JSON path has the value", words="{path} in the JSON is {value}")
@dataclass(frozen=True, slots=True)
class JsonPathEquals:
    """Holds if the path selects something, and all selected values are equal to this value."""

    path: CompiledPath
    value: Any

    @classmethod
    def compiled(cls, path: str, value: Any) -> Self:
        return cls(json_path(path), json_value(value))

    def problem(self, response: CheckedResponse) -> str | None:
        values, problem = values_at(self.path, response)
        if problem is not None:
            return problem
        if not values:
            return f"there is nothing at {shown_text(self.path.text)}"
        if all(same(value, self.value) for value in values):
            return None
        return f"the value at {shown_text(self.path.text)} is not {shown(self.value)}"


@assertion_type(
    "json_path_exists",
    Shape.PRESENCE,
    label="JSON path exists",
    words="{path} is in the JSON",
    negated="{path} is not in the JSON",
)
@dataclass(frozen=True, slots=True)
class JsonPathExists:
    """Holds if the path selects something; with a `value` of False, if it selects nothing."""

    path: CompiledPath
    value: bool

    @classmethod
    def compiled(cls, path: str, value: bool) -> Self:
        return cls(json_path(path), value)

    def problem(self, response: CheckedResponse) -> str | None:
        values, problem = values_at(self.path, response)
        if problem is not None or bool(values) == self.value:
            return problem
        return f"there is {'nothing' if self.value else 'something'} at {shown_text(self.path.text)}"


@assertion_type(
    "response_time_under_ms", Shape.MILLISECONDS, label="Took less than, ms", words="it took less than {value} ms"
)
@dataclass(frozen=True, slots=True)
class ResponseTimeUnder:
    value: int

    def problem(self, response: CheckedResponse) -> str | None:
        if response.total_ms is not None and response.total_ms < self.value:
            return None
        took = "an unknown time" if response.total_ms is None else f"{response.total_ms} ms"
        return f"the response took {took}, not under {self.value} ms"
