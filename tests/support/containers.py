"""docker-compose.yml and the Dockerfile, parsed without Docker."""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from tests.support.project import ROOT

#: The variables that compose requires from an operator.
ENV = {
    "POSTGRES_PASSWORD": "p:w@d/ %",
    "SECRET_KEY": "s" * 50,
    "HOURHAND_ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "HOURHAND_OUTBOUND_ALLOW": "127.0.0.0/8",
    "HOURHAND_OUTBOUND_PORTS": "*",
}
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<rule>:-|:\?)(?P<rest>[^${}]*))?\})")
_SECONDS = {"s": 1, "m": 60}


class MissingVariableError(Exception):
    """A variable that compose demands is not set."""


class Image(NamedTuple):
    """The last stage of the Dockerfile."""

    command: list[str]
    healthcheck: list[str]
    environment: dict[str, str]
    user: str


def compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return docker-compose.yml with the variables interpolated. Raises MissingVariableError."""
    return interpolated(yaml.safe_load((ROOT / "docker-compose.yml").read_text()), variables)


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """Interpolate like compose: `$$`, `${NAME}`, `${NAME:-default}` and `${NAME:?error}`, possibly nested."""
    if isinstance(value, dict):
        return {key: interpolated(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [interpolated(one, variables) for one in value]
    if not isinstance(value, str):
        return value

    def put(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "\0"
        name, rule, rest = found["name"], found["rule"], found["rest"]
        if rule == ":?" and not variables.get(name):
            raise MissingVariableError(f"{name}: {rest}")
        return variables.get(name) or (rest if rule == ":-" else "")

    # From the inside out: a default may contain another variable.
    while value != (value := _VARIABLE.sub(put, value)):
        pass
    return value.replace("\0", "$")


def seconds(duration: str) -> float:
    """Convert `90s` or `1m` to seconds."""
    return float(duration[:-1]) * _SECONDS[duration[-1]]


def image() -> Image:
    """Parse the last stage of the Dockerfile."""
    lines = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text())).splitlines()
    last = lines[max(place for place, line in enumerate(lines) if line.startswith("FROM")) :]

    def of(word: str) -> str:
        return next(line.removeprefix(word).strip() for line in last if line.startswith(word))

    return Image(
        command=json.loads(of("CMD")),
        healthcheck=json.loads(of("HEALTHCHECK").partition(" CMD ")[2]),
        environment=dict(word.split("=", 1) for word in shlex.split(of("ENV"))),
        user=of("USER"),
    )
