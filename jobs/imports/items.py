"""What a file holds: one item for each job in it, readable or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ReadError(ValueError):
    """A file, or a line of it, that can't be read. The message says what would be right."""


@dataclass(frozen=True, slots=True)
class Item:
    """The job object that was read (None: what was wrong with it), and from which line, if lines mean something.

    `notes` say what of the original is not carried over though the job calls the same. `enabled`: False where the
    file says that it is off. `whole` jobs say all of their definition; others only when to call what.
    """

    definition: Mapping[str, Any] | None
    wrong: str | None = None
    line: int | None = None
    notes: tuple[str, ...] = ()
    enabled: bool = True
    whole: bool = False


def objects_in(value: Any) -> list[Item]:
    """The items of `{"jobs": [...]}`. Raises ReadError for anything else."""
    if not isinstance(value, Mapping) or set(value) != {"jobs"} or not isinstance(value["jobs"], list):
        raise ReadError('Should be an object with one list, {"jobs": [...]}.')
    return [
        Item(job, whole=True) if isinstance(job, Mapping) else Item(None, "Should be a job object.")
        for job in value["jobs"]
    ]
