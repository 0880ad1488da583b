"""Results on disk, from the end of a command until the server has acknowledged them.

Each result is a file of its own: its checksum, and its JSON. Only one process may use the directory (see
`identity.lock_directory`).
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hourhand.agent.durable import remove_durably, remove_leftovers, write_durably

logger = logging.getLogger(__name__)

MAX_RESULTS = 1000
MAX_BYTES = 256 * 1024 * 1024
#: How many damaged files are kept for inspection.
MAX_DAMAGED = 20
_DAMAGED = "damaged"
_EXECUTION = re.compile(r"[0-9A-Za-z-]{1,64}")
_NAME = re.compile(rf"({_EXECUTION.pattern})\.([1-9][0-9]{{0,8}})\.json")


class SpoolError(Exception):
    """The result could not be stored: the spool or the disk is full, or can't be written."""


@dataclass(frozen=True, order=True)
class AttemptKey:
    """An attempt: the id of its execution, and its number from 1."""

    execution: str
    number: int


@dataclass(frozen=True)
class SpooledResult:
    """A result that the server has not acknowledged: an attempt, and the JSON body to send. Its repr hides the body."""

    attempt: AttemptKey
    body: Mapping[str, Any] = field(repr=False)


class Spool:
    """The results in a directory. Any thread may use it."""

    def __init__(self, directory: Path, *, max_results: int = MAX_RESULTS, max_bytes: int = MAX_BYTES) -> None:
        """Open the spool and create its directory. Damaged files are set aside. Raises OSError."""
        self._directory = directory
        self._max_results, self._max_bytes = max_results, max_bytes
        self._lock = threading.Lock()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_leftovers(directory)
        #: The bytes of each result on disk, oldest first.
        self._sizes: dict[AttemptKey, int] = {}
        for path in sorted(directory.glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
            key = _key_of(path)
            if key is None:
                self._set_aside(path, "its name is not that of a result")
            elif self._read(key) is not None:
                self._sizes[key] = path.stat().st_size

    def put(self, attempt: AttemptKey, body: Mapping[str, Any]) -> None:
        """Store a result; it is on disk when this returns. A second one of an attempt replaces the first.

        Raises SpoolError, and ValueError for an execution's id that can't be a file's name.
        """
        if not _EXECUTION.fullmatch(attempt.execution) or attempt.number < 1:
            raise ValueError(f"{attempt!r} is not an attempt.")
        content = _written(body)
        with self._lock:
            others = {key: size for key, size in self._sizes.items() if key != attempt}
            if len(others) >= self._max_results:
                raise SpoolError(f"{self._directory} is full: {len(others)} results wait to be sent.")
            if sum(others.values()) + len(content) > self._max_bytes:
                raise SpoolError(f"{self._directory} is full: {sum(others.values())} bytes wait to be sent.")
            try:
                write_durably(self._path(attempt), content)
            except OSError as error:
                raise SpoolError(f"{self._directory} can't be written: {error}") from error
            self._sizes[attempt] = len(content)

    def pending(self) -> tuple[AttemptKey, ...]:
        """Return the attempts whose results wait to be sent, oldest first."""
        with self._lock:
            return tuple(self._sizes)

    def read(self, attempt: AttemptKey) -> SpooledResult | None:
        """Return a stored result. None if it is not stored, or is damaged: then it is set aside."""
        with self._lock:
            if attempt not in self._sizes:
                return None
            body = self._read(attempt)
            if body is None:
                del self._sizes[attempt]
                return None
            return SpooledResult(attempt, body)

    def remove(self, attempt: AttemptKey) -> None:
        """Remove a result that the server has acknowledged. One that is not stored is fine. Raises SpoolError."""
        with self._lock:
            if attempt not in self._sizes:
                return
            try:
                remove_durably(self._path(attempt))
            except OSError as error:
                raise SpoolError(f"{self._directory} can't be written: {error}") from error
            del self._sizes[attempt]

    @property
    def free(self) -> int:
        """How many more results fit by their number. An agent claims no more than it can store."""
        with self._lock:
            return max(0, self._max_results - len(self._sizes))

    @property
    def damaged(self) -> tuple[Path, ...]:
        """The files that were set aside, to be reported."""
        return tuple(sorted((self._directory / _DAMAGED).glob("*")))

    def _path(self, attempt: AttemptKey) -> Path:
        return self._directory / f"{attempt.execution}.{attempt.number}.json"

    def _read(self, attempt: AttemptKey) -> Mapping[str, Any] | None:
        path = self._path(attempt)
        try:
            return _parsed(path.read_bytes())
        except (OSError, ValueError) as error:
            self._set_aside(path, str(error))
            return None

    def _set_aside(self, path: Path, reason: str) -> None:
        logger.error("agent_result_damaged", extra={"file": str(path), "reason": reason})
        directory = self._directory / _DAMAGED
        with contextlib.suppress(OSError):
            directory.mkdir(mode=0o700, exist_ok=True)
            path.replace(directory / path.name)
            os.utime(directory / path.name)
            for old in sorted(self.damaged, key=lambda path: path.stat().st_mtime_ns)[:-MAX_DAMAGED]:
                old.unlink()


def _key_of(path: Path) -> AttemptKey | None:
    match = _NAME.fullmatch(path.name)
    return AttemptKey(match[1], int(match[2])) if match else None


def _written(body: Mapping[str, Any]) -> bytes:
    content = json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def _parsed(stored: bytes) -> Mapping[str, Any]:
    """Return the body of a stored result. Raises ValueError."""
    checksum, _, content = stored.partition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() != checksum:
        raise ValueError("the checksum does not match")
    body = json.loads(content)
    if not isinstance(body, dict):
        raise ValueError("it is not a JSON object")
    return body
