"""YAML that means what JSON can say: no aliases, no tags, no dates, no key twice; bounded in depth.

Numbers are those of JSON. YAML 1.1 has others, which mean what few expect: 010 is 8, 1:30 is 90, 1_000 is 1000.
"""

import math
import re
from typing import Any

import yaml

from jobs.imports.items import ReadError

MAX_DEPTH = 50
_Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BaseDumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_NUMBER_TAGS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
#: RFC 8259, section 6. Python reads whole numbers of up to 4,300 digits, in a time that grows with their square.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_MAX_DIGITS = 4300
_SHOWN = 40
_OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class _Loader(_Base):  # type: ignore[misc,valid-type]
    """Leaves dates as the text that they are written in."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise ReadError(f"Line {key_node.start_mark.line + 1}: keys should be text.")
            if key in found:
                raise ReadError(
                    f"Line {key_node.start_mark.line + 1}: the key {_cut(key)!r} stands twice in one object."
                )
            found[key] = self.construct_object(value_node, deep=deep)
        return found

    def construct_number(self, node: Any) -> int | float:
        text = self.construct_scalar(node)
        line = f"Line {node.start_mark.line + 1}: "
        shape = _NUMBER.fullmatch(text)
        if shape is None:
            raise ReadError(f"{line}{_cut(text)} is a number in YAML only: write it in plain decimals, or in quotes.")
        if len(text) > _MAX_DIGITS:
            raise ReadError(f"{line}the number {_cut(text)} has more than {_MAX_DIGITS:,} digits.")
        if shape[1] is None and shape[2] is None:
            return int(text)
        if not math.isfinite(value := float(text)):
            raise ReadError(f"{line}the number {_cut(text)} is out of range.")
        return value


for _tag in _NUMBER_TAGS:
    _Loader.add_constructor(_tag, _Loader.construct_number)


class _Dumper(_BaseDumper):  # type: ignore[misc,valid-type]
    """Writes everything where it stands."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def read_yaml(text: str) -> Any:
    """The value of one YAML document. Raises ReadError, naming the line."""
    try:
        _refuse_tricks(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"Line {mark.line + 1}: " if mark else ""
        raise ReadError(f"{where}{getattr(error, 'problem', None) or 'This is no YAML'}.") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(f"This is no YAML: {error}.") from error


def yaml_text(value: Any) -> str:
    """YAML as people write it: in the order given, block style, no aliases."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _line(event: yaml.Event) -> str:
    return f"Line {event.start_mark.line + 1}: " if event.start_mark else ""


def _refuse_tricks(text: str) -> None:
    """Refuse before anything is built what could make much of little."""
    depth = 0
    for event in yaml.parse(text, Loader=_Base):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ReadError(f"{_line(event)}anchors and aliases are not supported.")
        if isinstance(event, _OPENING):
            depth += 1
            if depth > MAX_DEPTH:
                raise ReadError(f"{_line(event)}nested deeper than {MAX_DEPTH} levels.")
        elif isinstance(event, _CLOSING):
            depth -= 1
