"""Takes the values that a step extracts from its response. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core import exact_json
from jobs.definition.assertions.contract import CheckedResponse
from jobs.definition.assertions.values import values_at
from jobs.definition.facts import MISSING
from jobs.definition.workflow.contract import MAX_RESULT_BYTES, Extraction


@dataclass(frozen=True, slots=True)
class Extracted:
    """The values by name, those that are secret apart. `problem` says which is missing, and quotes no value."""

    public: dict[str, Any] = field(default_factory=dict)
    secret: dict[str, Any] = field(default_factory=dict, repr=False)
    problem: str = ""


def extracted_from(response: CheckedResponse, extractions: Sequence[Extraction]) -> Extracted:
    """Take the values from a response's JSON: a path that can select several gives the list of them."""
    taken = Extracted()
    for wanted in extractions:
        values, problem = values_at(wanted.path, response)
        selected: Any = values[0] if values and wanted.path.is_singular else values
        value = selected if values else wanted.default
        if value is MISSING:
            return Extracted(problem=f"{wanted.name}: {problem or f'{wanted.path.text} selects nothing in the body'}")
        (taken.secret if wanted.secret else taken.public)[wanted.name] = value
    if any(len(exact_json.compact(values)) > MAX_RESULT_BYTES for values in (taken.public, taken.secret)):
        return Extracted(problem="the values are larger than 64 KiB")
    return taken
