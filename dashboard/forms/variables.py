"""What the form suggests for the URL, headers and body: the variables that there are, and the names of secrets."""

from collections.abc import Iterable
from dataclasses import dataclass

from accounts.models import Secret, Workspace
from jobs.definition.templates import VARIABLES

_INPUT, _SECRET = "input.PATH", "secrets.NAME"
_MEANINGS = {
    "timestamp": "when the execution was made",
    "unix": "the same, in seconds since 1970",
    "uuid": "a UUID of the execution's own",
    "execution_id": "the execution's id",
    "scheduled_for": "the time that it was planned for",
    "job": "this job's slug",
    "environment": "the environment's slug",
    _INPUT: "what stands there in the input",
}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A text to insert, what it becomes, and the part of it that somebody has to write over."""

    text: str
    meaning: str
    blank: str = ""


def suggested_variables() -> list[Suggestion]:
    """In the order that they are documented in."""
    return [
        Suggestion(f"{{{{{name}}}}}", _MEANINGS[name], "PATH" if name == _INPUT else "")
        for name in VARIABLES
        if name != _SECRET
    ]


def suggested_secrets(workspace: Workspace) -> list[Suggestion]:
    """The secrets of a workspace by their names, each with where it has a value; never the value."""
    found = Secret.objects.filter(workspace=workspace).order_by("name", "environment__slug")
    places: dict[str, list[str | None]] = {}
    for name, environment in found.values_list("name", "environment__slug"):
        places.setdefault(name, []).append(environment)
    return [Suggestion(f"{{{{secrets.{name}}}}}", _where(known)) for name, known in places.items()]


def _where(environments: Iterable[str | None]) -> str:
    """Where a secret has a value."""
    known = list(environments)
    if None in known:
        return "a secret"
    return f"a secret, in {', '.join(slug for slug in known if slug)} only"
