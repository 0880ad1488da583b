"""The values of template variables: facts about an execution, and what its workflow's steps brought. Pure."""

import datetime
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from core import exact_json

OPENING = "{{"
#: The literal for two braces. It has no double quote or backslash, so it is the same in JSON and other text.
BRACES = "'{{'"
SECRETS = "secrets."
TRIGGER = "trigger."
STEPS = "steps."
BODY = "body"
STEP_ID_PATTERN = "[a-z][a-z0-9_]{0,39}"
EXTRACTED_PATTERN = "[A-Za-z_][A-Za-z0-9_]{0,39}"
#: What every step has; no step extracts a value of these names.
STEP_PROPERTIES = ("status", "headers", "body", "json", "resume_url")
_UUID_NAMESPACE = uuid.UUID("6f1d7a0e-5a0b-5c38-9d0c-8a4f4f1c2b7e")
#: The value of a variable without one.
MISSING: Any = object()


@dataclass(frozen=True)
class StepFacts:
    """What a step of a workflow brought. `headers` has lower-case names; `body` is None where nothing came.

    `status` is the response's status code, or how a wait ended. `resume_url` derives the URL that resumes the step.
    """

    status: int | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str | None = field(default=None, repr=False)
    extracted: Mapping[str, Any] = field(default_factory=dict, repr=False)
    resume_url: Callable[[], str] | None = field(default=None, repr=False)

    def value(self, path: list[str]) -> Any:
        """Return the value at a variable's path behind the step's id, or MISSING."""
        name, rest = path[0], path[1:]
        match name:
            case "status":
                return MISSING if self.status is None else self.status
            case "body":
                return MISSING if self.body is None else self.body
            case "headers":
                return self.headers.get(rest[0].lower(), MISSING)
            case "json":
                return value_inside(self.json, rest)
            case "resume_url":
                return MISSING if self.resume_url is None else self.resume_url()
        return value_inside(self.extracted.get(name, MISSING), rest)

    @cached_property
    def json(self) -> Any:
        """The body as JSON; MISSING where it is none."""
        try:
            return MISSING if self.body is None else exact_json.loads(self.body)
        except (ValueError, RecursionError):
            return MISSING


@dataclass(frozen=True, slots=True)
class Facts:
    """The values of one execution, the same for all its attempts. `secrets` are those of its environment."""

    execution_id: str
    created_at: datetime.datetime
    scheduled_for: datetime.datetime | None
    job: str
    environment: str
    input: Any = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)
    #: The `headers` (lower-case names) and `query` of the inbound webhook's request.
    trigger: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    #: By the id of the step, in workflows.
    steps: Mapping[str, StepFacts] = field(default_factory=dict, repr=False)
    #: The body of a request that would resume a step, for its conditions.
    body: Any = field(default=MISSING, repr=False)

    def value(self, variable: str) -> Any:
        """Return a variable's value, or `MISSING`."""
        if variable == BRACES:
            return OPENING
        match variable:
            case "timestamp":
                return _instant(self.created_at)
            case "unix":
                return int(self.created_at.timestamp())
            case "uuid":
                return str(uuid.uuid5(_UUID_NAMESPACE, self.execution_id))
            case "scheduled_for":
                return MISSING if self.scheduled_for is None else _instant(self.scheduled_for)
            case "execution_id" | "job" | "environment":
                return getattr(self, variable)
        if variable.startswith(SECRETS):
            return self.secrets.get(variable.removeprefix(SECRETS), MISSING)
        if variable.startswith(TRIGGER):
            _, part, name = variable.split(".", 2)
            return self.trigger.get(part, {}).get(name.lower() if part == "headers" else name, MISSING)
        if variable.startswith(STEPS):
            _, step, *path = variable.split(".")
            return self.steps[step].value(path) if step in self.steps else MISSING
        root = self.body if variable.partition(".")[0] == BODY else self.input
        return MISSING if root is None else value_inside(root, variable.split(".")[1:])


def value_inside(value: Any, path: list[str]) -> Any:
    """Return the value at `path` in a JSON value; a number indexes a list from 0."""
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and re.fullmatch("[0-9]+", step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value


def _instant(value: datetime.datetime) -> str:
    """Format as ISO 8601 in UTC with milliseconds and Z."""
    return value.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
