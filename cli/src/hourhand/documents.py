"""Documents that commands take: JSON, or YAML limited to what JSON can express; from an argument, a file or stdin."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import click
import yaml

STDIN = "-"
#: What JSON reads as a number.
NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?")


_BOOLEAN = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")


class _JsonLoader(yaml.SafeLoader):
    """Reads only null, true, false and JSON's numbers as such, as the server does. Dates and `yes` are text."""

    yaml_implicit_resolvers: dict[str, Any] = {}


def _construct_number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    return json.loads(str(loader.construct_scalar(node)))


_JsonLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_JsonLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_JsonLoader.add_implicit_resolver("!number", re.compile(rf"^{NUMBER.pattern}$"), list("-0123456789"))
_JsonLoader.add_constructor("!number", _construct_number)


def parse(text: str) -> Any:
    """Return the value of a document. Raises ValueError."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return yaml.load(text, Loader=_JsonLoader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(f"neither JSON nor YAML: {error}") from error


def parse_object(text: str, source: str) -> dict[str, Any]:
    """Return the object that a document holds. Raises UsageError."""
    try:
        value = parse(text)
    except ValueError as error:
        raise click.UsageError(f"{source} is {error}") from error
    if not isinstance(value, dict):
        raise click.UsageError(f"{source} must hold an object, with the fields of a job.")
    return value


def read_text(path: str) -> str:
    """Return the text of a file, or of stdin for `-`. Raises UsageError."""
    try:
        raw = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path} is not UTF-8 text.") from error


class Json(click.ParamType):
    """A JSON value; `@FILE` is the value in a file, and `@-` that on stdin."""

    name = "json"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        text = read_text(value[1:]) if value.startswith("@") else value
        try:
            return json.loads(text)
        except ValueError as error:
            self.fail(f"{text[:100]!r} is not JSON: {error}. Texts need quotes.", parameter, context)
