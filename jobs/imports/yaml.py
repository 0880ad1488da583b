"""YAML that means what JSON can say, and that no two readers of YAML take for different values.

Values are built from the parser's events, without PyYAML's constructors: those make numbers of `010` and `1:30`, dates
of digits, and objects of tags.
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
#: What YAML 1.1 or 1.2 takes for a boolean, a number or (`=`) nothing that it can make, and JSON spells otherwise.
_DISPUTED = re.compile(
    r"""=|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF
    |[-+]?0[0-7_]+ | [-+]?[0-9][0-9_]* | [-+]?0o[0-7_]+ | [-+]?0x[0-9a-fA-F_]+ | [-+]?0b[01_]+
    |[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?
    |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?
    |[-+]?\.(?:inf|Inf|INF) | \.(?:nan|NaN|NAN)""",
    re.VERBOSE,
)
_MERGE = "<<"
_SHOWN = 40


class _Dumper(_BaseDumper):  # type: ignore[misc,valid-type]
    """Writes everything where it stands, and quotes a text that would be read as anything else."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _quoted_where_needed(dumper: Any, text: str) -> Any:
    plain = (
        text not in _CONSTANTS and text != _MERGE and not _FRACTION.fullmatch(text) and not _DISPUTED.fullmatch(text)
    )
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else "'")


_Dumper.add_representer(str, _quoted_where_needed)


def read_yaml(text: str) -> Any:
    """The value of one YAML document. Raises ReadError, naming the line."""
    documents = _Documents(text, disputed_as_text=False)
    value = next(documents, None)
    if next(documents, documents) is not documents:
        raise ReadError(f"Line {documents.line}: another document begins; a file holds one.")
    return value


def read_foreign_yaml(text: str) -> list[Any]:
    """The values of all documents of a file that was written for another program. Raises ReadError, naming the line.

    Words and numbers that readers of YAML dispute, as `on` and `010`, are the text that they are written in.
    """
    return list(_Documents(text, disputed_as_text=True))


def yaml_text(value: Any) -> str:
    """YAML as people write it: in the order given, block style, no aliases."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text


class _Documents(Iterator[Any]):
    """The documents of a text, one by one. `line` is where the latest one begins."""

    def __init__(self, text: str, *, disputed_as_text: bool) -> None:
        self._disputed_as_text = disputed_as_text
        self._events = self._parsed(text)
        self.line = 1

    def _parsed(self, text: str) -> Iterator[Any]:
        try:
            yield from yaml.parse(text, Loader=_Base)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"Line {mark.line + 1}: " if mark else ""
            raise ReadError(f"{where}{getattr(error, 'problem', None) or 'This is no YAML'}.") from error
        except ValueError as error:  # a text that is no Unicode
            raise ReadError(f"This is no YAML: {error}.") from error

    def __next__(self) -> Any:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                content = next(self._events)
                self.line = content.start_mark.line + 1
                return self._value(content, depth=0)
        raise StopIteration

    def _value(self, event: Any, *, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise _at(event, "anchors and aliases are not supported.")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")[:_SHOWN]
            raise _at(event, f"tags are not supported: leave out {tag}.")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event) if event.implicit[0] else event.value
        if depth == MAX_DEPTH:
            raise _at(event, f"nested deeper than {MAX_DEPTH} levels.")
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
                raise _at(event, "merges are not supported.")
            key = self._value(event, depth=depth)
            if not isinstance(key, str):
                raise _at(event, "keys should be text.")
            if key in values:
                raise _at(event, f"the key {_shortened(key)} stands twice in one object.")
            values[key] = self._value(next(self._events), depth=depth)
        return values

    def _scalar(self, event: Any) -> Any:
        """What a text without quotes says."""
        text = event.value
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _FRACTION.fullmatch(text):
            return _number(event)
        if not self._disputed_as_text and _DISPUTED.fullmatch(text):
            what = "true or false" if text.isalpha() else "the number as JSON does"
            raise _at(event, f"readers of YAML differ on {_shortened(text)}: write {what}, or put it in quotes.")
        return text


def _number(event: Any) -> int | float:
    """A number in JSON's spelling, which it keeps: `1.10` stays `1.10`. One that would lose digits is refused."""
    text = event.value
    try:
        if _INTEGER.fullmatch(text):
            return parse_int(text)
        value = parse_float(text)
    except ValueError:  # more digits than Python reads
        raise _at(event, f"the number {_shortened(text)} is too long.") from None
    if not math.isfinite(value):
        raise _at(event, f"the number {_shortened(text)} is out of range.")
    if Decimal(text) != Decimal(repr(float(value))):
        raise _at(event, f"the number {_shortened(text)} has more digits than can be kept: put it in quotes.")
    return value


def _at(event: Any, told: str) -> ReadError:
    return ReadError(f"Line {event.start_mark.line + 1}: {told}")


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
