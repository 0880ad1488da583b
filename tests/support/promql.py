"""A parser for the part of PromQL that our dashboard and alerts use."""

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<span>\[(?:\d+[smhdw]|\$__rate_interval|\$__range)\])
    |(?P<number>\d+(?:\.\d+)?)|(?P<word>[a-zA-Z_][a-zA-Z0-9_]*)|(?P<sign>=~|!~|!=|==|<=|>=|[-+*/(){},<>=]))""",
    re.VERBOSE,
)
_FUNCTIONS = {"histogram_quantile", "rate", "increase", "absent"}
_AGGREGATIONS = {"sum", "max", "min"}
_GROUPING, _OPERATORS = {"by", "without"}, {"and", "or", "unless"}
_CLOSING = {")": "(", "}": "{"}


class MalformedError(Exception):
    """The query is not valid in this subset of PromQL."""


@dataclass
class ParsedQuery:
    """The series that a query selects: metric names, each with its label matchers."""

    series: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    grouped_by: set[str] = field(default_factory=set)


def parse_query(query: str) -> ParsedQuery:
    """Parse a query. Raises MalformedError."""
    tokens = _tokens(query)
    _check_brackets(tokens)
    parsed, place = ParsedQuery(), 0
    while place < len(tokens):
        kind, text = tokens[place]
        after = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if kind != "word" or text in _OPERATORS:
            place += 1
        elif text in _GROUPING:
            close = tokens.index(("sign", ")"), place)
            parsed.grouped_by |= {word for kind, word in tokens[place:close] if kind == "word"} - _GROUPING
            place = close
        elif text in _FUNCTIONS | _AGGREGATIONS:
            if after != "(" and after not in _GROUPING:
                raise MalformedError(f"{text} of nothing in {query}")
            place += 1
        else:
            close = tokens.index(("sign", "}"), place) if after == "{" else place
            parsed.series.append((text, _matchers(tokens[place + 2 : close])))
            place = close + 1
    if not parsed.series:
        raise MalformedError(f"{query} selects no series")
    return parsed


def _tokens(query: str) -> list[tuple[str, str]]:
    found, end = [], 0
    while end < len(query.rstrip()):
        match = _TOKEN.match(query, end)
        if match is None:
            raise MalformedError(f"{query[end:]!r} in {query}")
        found.append((match.lastgroup or "", match[match.lastgroup or 0]))
        end = match.end()
    return found


def _check_brackets(tokens: list[tuple[str, str]]) -> None:
    opened: list[str] = []
    for _, text in tokens:
        if text in _CLOSING.values():
            opened.append(text)
        elif text in _CLOSING and (not opened or opened.pop() != _CLOSING[text]):
            raise MalformedError(f"{text} closes nothing")
    if opened:
        raise MalformedError(f"{opened[-1]} is never closed")


def _matchers(tokens: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Parse `label="value"` pairs. Each alternative of a regular expression is one value."""
    matchers: dict[str, list[str]] = {}
    words = [text for _, text in tokens if text != ","]
    for label, sign, value in zip(words[::3], words[1::3], words[2::3], strict=True):
        if sign not in {"=", "=~", "!=", "!~"}:
            raise MalformedError(f"{label}{sign}{value}")
        matchers[label] = value.strip('"').split("|")
    return matchers
