"""Output of the supervised programs: to a log file each, of bounded size, and to the terminal."""

import contextlib
import os
from collections import deque
from pathlib import Path
from typing import BinaryIO

_LOG_BYTES = 10 * 1024 * 1024  # a full log becomes NAME.log.1, replacing the previous one
_LONGEST_LINE = 64 * 1024
_NAME_WIDTH = 9
_TAIL_LINES = 20


class Terminal:
    """A stream for people. A closed pipe ends the output, not Hourhand. None: no output."""

    def __init__(self, stream: BinaryIO | None) -> None:
        self._stream = stream

    def write(self, text: bytes) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None

    def say(self, text: str) -> None:
        """Write a line of the supervisor."""
        self.write(text.encode(errors="replace") + b"\n")


class Log:
    """The log file of one program over all its restarts, and its last lines for error messages."""

    def __init__(self, name: str, directory: Path, terminal: Terminal | None) -> None:
        self._path = directory / f"{name}.log"
        self._file = self._open()
        self._terminal = terminal
        self._prefix = f"{name:<{_NAME_WIDTH}}| ".encode()
        self._unfinished = b""
        self._tail: deque[bytes] = deque(maxlen=_TAIL_LINES)

    def _open(self) -> BinaryIO:
        # Private: a program's output may hold what users sent.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(descriptor, "ab", buffering=0)

    def feed(self, chunk: bytes) -> None:
        """Add output. Whole lines are written; an unfinished one waits for its end."""
        text = self._unfinished + chunk
        end = text.rfind(b"\n") + 1
        if len(text) - end > _LONGEST_LINE:
            text += b"\n"
            end = len(text)
        self._unfinished = text[end:]
        if end:
            self._write(text[:end])

    def end(self) -> None:
        """Write a last line that has no newline, after the program ended."""
        if self._unfinished:
            self._write(self._unfinished + b"\n")
            self._unfinished = b""

    def tail(self) -> str:
        return "\n".join("    " + line.decode(errors="replace") for line in self._tail)

    def forget_tail(self) -> None:
        """Drop the last lines, before a restart that they do not explain."""
        self._tail.clear()

    def close(self) -> None:
        self.end()
        self._file.close()

    def _write(self, lines: bytes) -> None:
        with contextlib.suppress(OSError):  # a full disk: the terminal still gets them
            if self._file.tell() + len(lines) > _LOG_BYTES:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                full, self._file = self._file, self._open()
                full.close()
            self._file.write(lines)
        split = lines[:-1].split(b"\n")
        self._tail.extend(split[-_TAIL_LINES:])
        if self._terminal is not None:
            self._terminal.write(b"".join(self._prefix + line + b"\n" for line in split))
