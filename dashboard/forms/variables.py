"""Suggestions for the URL, headers and body: variables and the names of secrets."""

from collections.abc import Sequence
from dataclasses import dataclass

from accounts.models import Secret, Workspace
from jobs.definition.templates import VARIABLES

_INPUT, _SECRET = "input.PATH", "secrets.NAME"
#: Variables whose last part is to be replaced.
_TO_COMPLETE = (_INPUT, "trigger.headers.NAME", "trigger.query.NAME")
_MEANINGS = {
    "timestamp": "creation time of the execution",
    "unix": "the same in seconds since 1970",
    "uuid": "a UUID unique to the execution",
    "execution_id": "id of the execution",
    "scheduled_for": "scheduled time of the execution",
    "job": "slug of this job",
    "environment": "slug of the environment",
    _INPUT: "value at this path of the input",
    "trigger.headers.NAME": "header of the webhook's request, if kept",
    "trigger.query.NAME": "query parameter of the webhook's URL",
}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A text to insert, its meaning, and the part of it to replace."""

    text: str
    meaning: str
    blank: str = ""


def suggested_variables() -> list[Suggestion]:
    """In the order of the documentation."""
    return [
        Suggestion(f"{{{{{name}}}}}", _MEANINGS[name], name.rpartition(".")[2] if name in _TO_COMPLETE else "")
        for name in VARIABLES
        if name != _SECRET
    ]


def suggested_secrets(workspace: Workspace) -> list[Suggestion]:
    """The names of a workspace's secrets with the environments that have a value; never a value."""
    secrets = Secret.objects.filter(workspace=workspace).order_by("name", "environment__slug")
    environments: dict[str, list[str | None]] = {}
    for name, environment in secrets.values_list("name", "environment__slug"):
        environments.setdefault(name, []).append(environment)
    return [Suggestion(f"{{{{secrets.{name}}}}}", _meaning(slugs)) for name, slugs in environments.items()]


def _meaning(slugs: Sequence[str | None]) -> str:
    """None among `slugs` is a value for all environments."""
    if None in slugs:
        return "secret"
    return f"secret, only in {', '.join(slug for slug in slugs if slug)}"
