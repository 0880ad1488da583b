"""The result of reading a file: one item for each job in it, valid or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ReadError(ValueError):
    """A file or line that can't be imported. The message says what would be right."""


@dataclass(frozen=True, slots=True)
class Item:
    """A job object (None: see `problem`), and its line in a file of lines.

    `notes` describe what was left out without effect on the call. `enabled`: False if the job is off in the file.
    `whole` items have a complete definition; others only a request and a schedule.
    """

    definition: Mapping[str, Any] | None
    problem: str | None = None
    line: int | None = None
    notes: tuple[str, ...] = ()
    enabled: bool = True
    whole: bool = False


def objects_in(value: Any) -> list[Item]:
    """Return the items of `{"jobs": [...]}`. Raises ReadError for anything else."""
    if not isinstance(value, Mapping) or set(value) != {"jobs"} or not isinstance(value["jobs"], list):
        raise ReadError('Should be an object with one list, {"jobs": [...]}.')
    return [
        Item(job, whole=True) if isinstance(job, Mapping) else Item(None, "Should be a job object.")
        for job in value["jobs"]
    ]
