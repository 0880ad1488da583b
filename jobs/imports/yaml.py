"""The subset of YAML that is equivalent to JSON, and that all YAML parsers agree on.

Values are built from the parser's events, not by PyYAML's constructors, which read `010` and `1:30` as numbers, digits
as dates, and tags as objects.
"""

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import yaml

from core.exact_json import parse_float, parse_int
from jobs.imports.items import ReadError

MAX_DEPTH = 50
_Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BaseDumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FRACTION = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
#: Text that YAML 1.1 or 1.2 reads as a boolean, a number or (`=`, `<<`) a special value, and JSON does not.
_AMBIGUOUS = re.compile(
    r"""=|<<|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF
    |[-+]?0[0-7_]+ | [-+]?[0-9][0-9_]* | [-+]?0o[0-7_]+ | [-+]?0x[0-9a-fA-F_]+ | [-+]?0b[01_]+
    |[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?
    |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?
    |[-+]?\.(?:inf|Inf|INF) | \.(?:nan|NaN|NAN)""",
    re.VERBOSE,
)
_MERGE = "<<"
_SYMBOLS = ("=", _MERGE)
_MAX_QUOTED = 40


class _Dumper(_BaseDumper):  # type: ignore[misc,valid-type]
    """A dumper without aliases that quotes text which could be read as another type."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _quoted_where_needed(dumper: Any, text: str) -> Any:
    plain = text not in _CONSTANTS and not _FRACTION.fullmatch(text) and not _AMBIGUOUS.fullmatch(text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else "'")


_Dumper.add_representer(str, _quoted_where_needed)


def read_yaml(text: str) -> Any:
    """Read a single YAML document. Raises ReadError, naming the line."""
    documents = _Documents(text, ambiguous_as_text=False)
    value = next(documents, None)
    if next(documents, documents) is not documents:
        raise ReadError(f"Line {documents.line}: should have one document, and another starts here.")
    return value


def read_foreign_yaml(text: str) -> list[Any]:
    """Read all documents of a file for another program. Raises ReadError, naming the line.

    Words and numbers that YAML parsers disagree on, such as `on` and `010`, are text, and so are keys.
    """
    return list(_Documents(text, ambiguous_as_text=True))


def yaml_text(value: Any) -> str:
    """Write YAML in block style, in the given order, without aliases."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text


class _Documents(Iterator[Any]):
    """Iterate over the documents of a text. `line` is where the current one starts."""

    def __init__(self, text: str, *, ambiguous_as_text: bool) -> None:
        self._ambiguous_as_text = ambiguous_as_text
        self._events = self._parsed(text)
        self.line = 1

    def _parsed(self, text: str) -> Iterator[Any]:
        try:
            yield from yaml.parse(text, Loader=_Base)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"Line {mark.line + 1}: " if mark else ""
            raise ReadError(f"{where}{getattr(error, 'problem', None) or 'Should be YAML'}.") from error
        except ValueError as error:  # not Unicode
            raise ReadError(f"Should be YAML: {error}.") from error

    def __next__(self) -> Any:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                content = next(self._events)
                self.line = content.start_mark.line + 1
                return self._value(content, depth=0)
        raise StopIteration

    def _value(self, event: Any, *, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise _at(event, "anchors and aliases are not supported: write the values out.")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")[:_MAX_QUOTED]
            raise _at(event, f"tags are not supported: remove {tag}.")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event) if event.implicit[0] else event.value
        if depth == MAX_DEPTH:
            raise _at(event, f"should be nested at most {MAX_DEPTH} levels deep.")
        read = self._mapping if isinstance(event, yaml.MappingStartEvent) else self._sequence
        return read(depth + 1)

    def _sequence(self, depth: int) -> list[Any]:
        values = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, depth=depth))
        return values

    def _mapping(self, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value == _MERGE:
                raise _at(event, "merge keys (<<) are not supported: write the values out.")
            key = self._key(event, depth)
            if not isinstance(key, str):
                raise _at(event, "keys should be text.")
            if key in values:
                raise _at(event, f"the key {_shortened(key)} is given twice in one object.")
            values[key] = self._value(next(self._events), depth=depth)
        return values

    def _key(self, event: Any, depth: int) -> Any:
        """Read a key. In a file for another program `200:` is text, as its parser reads it."""
        key = self._value(event, depth=depth)
        return event.value if self._ambiguous_as_text and isinstance(event, yaml.ScalarEvent) else key

    def _scalar(self, event: Any) -> Any:
        """Read unquoted text."""
        text = event.value
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _FRACTION.fullmatch(text):
            return _number(event)
        if not self._ambiguous_as_text and _AMBIGUOUS.fullmatch(text):
            raise _at(event, f"YAML parsers disagree on {_shortened(text)}: {_instead(text)}.")
        return text


def _instead(text: str) -> str:
    """What to write for text that parsers disagree on."""
    if text in _SYMBOLS:
        return "quote it"
    return f"write {'true or false' if text.isalpha() else 'the number as in JSON'}, or quote it"


def _number(event: Any) -> int | float:
    """Read a number in JSON's syntax, and keep its digits: `1.10` stays `1.10`. Refuses one that would lose digits."""
    text = event.value
    try:
        if _INTEGER.fullmatch(text):
            return parse_int(text)
        value = parse_float(text)
    except ValueError:  # too many digits for Python
        raise _at(event, f"the number {_shortened(text)} is too long.") from None
    if not math.isfinite(value):
        raise _at(event, f"the number {_shortened(text)} is out of range.")
    if Decimal(text) != Decimal(repr(float(value))):
        raise _at(event, f"the number {_shortened(text)} has more digits than a number can store: quote it.")
    return value


def _at(event: Any, problem: str) -> ReadError:
    return ReadError(f"Line {event.start_mark.line + 1}: {problem}")


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}...")
