"""Captures what a command writes: bounded in memory at any rate, and in pieces for the live view.

Offsets count the bytes of the text in UTF-8. Bytes that are not UTF-8 become U+FFFD, and no character is ever divided.
"""

import codecs
import json
import threading
from dataclasses import dataclass, field

HEAD_BYTES = 16 * 1024
TAIL_BYTES = 48 * 1024
#: The most JSON of one stream in a heartbeat, whose two streams and other fields must stay under 64 KiB.
PIECE_JSON_BYTES = 30 * 1024
#: The sustained rate of live output of one stream. A full piece may be sent at once.
LIVE_BYTES_PER_SECOND = 8 * 1024
#: A character of UTF-8 has 1 to 4 bytes, and those after the first are 0b10xxxxxx.
_CONTINUATION_MASK, _CONTINUATION = 0xC0, 0x80
_MAX_CHARACTER_BYTES = 4


@dataclass(frozen=True)
class Piece:
    """A part of a stream for the live view. `offset` is in bytes. The repr hides the text."""

    offset: int
    text: str = field(repr=False)

    @property
    def end(self) -> int:
        """The offset after the piece."""
        return self.offset + len(self.text.encode())


@dataclass(frozen=True)
class CapturedOutput:
    """What is kept of one stream. The repr hides the text.

    `head` and `tail` are its first 16 KiB and its last 48 KiB; `tail` begins at `tail_offset`, and is empty if the head
    is all. `total_bytes` counts what the command wrote. `truncated`: something between head and tail is left out.
    """

    head: str = field(default="", repr=False)
    tail: str = field(default="", repr=False)
    tail_offset: int = 0
    total_bytes: int = 0
    truncated: bool = False

    @property
    def text(self) -> str:
        """Head and tail, with a line between them that says how much is left out."""
        if not self.truncated:
            return self.head + self.tail
        missing = self.tail_offset - len(self.head.encode())
        return f"{self.head}\n[... {missing:,} bytes left out ...]\n{self.tail}"


class StreamCapture:
    """Captures one stream. One thread writes, and any thread may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._head = bytearray()
        #: The end of the stream after the head. It grows to twice its size, so that few bytes are moved.
        self._tail = bytearray()
        self._decoded_bytes = 0
        self._total_bytes = 0

    def write(self, raw: bytes, *, final: bool = False) -> None:
        """Take the next bytes of the stream. `final`: none follow, so an unfinished character is invalid."""
        with self._lock:
            self._total_bytes += len(raw)
            self._keep(self._decoder.decode(raw, final).encode())

    def close(self) -> None:
        """End the stream."""
        self.write(b"", final=True)

    def captured(self) -> CapturedOutput:
        """Return what is kept so far."""
        with self._lock:
            tail = _whole_characters(bytes(self._tail[-TAIL_BYTES:]))
            tail_offset = self._decoded_bytes - len(tail)
            return CapturedOutput(
                self._head.decode(), tail.decode(), tail_offset, self._total_bytes, tail_offset > len(self._head)
            )

    def piece(self, offset: int, *, max_bytes: int = TAIL_BYTES) -> Piece | None:
        """Return the stream from `offset`, as far as it is kept and `max_bytes` and a heartbeat allow. None at its end.

        The piece begins later than `offset` if the stream went on faster than it was read.
        """
        with self._lock:
            start, kept = self._from(offset)
        text = _without_partial_end(kept[:max_bytes]).decode()
        text = _cut_to_json(text, PIECE_JSON_BYTES)
        return Piece(start, text) if text else None

    def _keep(self, encoded: bytes) -> None:
        self._decoded_bytes += len(encoded)
        if not self._tail and len(self._head) < HEAD_BYTES:
            first = _without_partial_end(encoded[: HEAD_BYTES - len(self._head)])
            self._head += first
            encoded = encoded[len(first) :]
        self._tail += encoded[-TAIL_BYTES:]
        if len(self._tail) > 2 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]

    def _from(self, offset: int) -> tuple[int, bytes]:
        """Return the kept bytes from `offset` up to the next gap, and where they begin."""
        tail = _whole_characters(bytes(self._tail[-TAIL_BYTES:]))
        tail_offset = self._decoded_bytes - len(tail)
        head_bytes = len(self._head)
        if offset < head_bytes:
            kept = bytes(self._head[offset:]) + (tail if tail_offset == head_bytes else b"")
        else:
            kept = tail[max(0, offset - tail_offset) :]
            offset = max(offset, tail_offset)
        whole = _whole_characters(kept)
        return offset + len(kept) - len(whole), whole


class LiveFeed:
    """Takes pieces of one stream for heartbeats. A piece is repeated until the server has confirmed it."""

    def __init__(self, capture: StreamCapture, *, now: float) -> None:
        """`now` is in seconds on any monotonic clock, as in `next`."""
        self._capture = capture
        self._confirmed = 0
        self._taken = 0
        self._allowance = float(PIECE_JSON_BYTES)
        self._at = now

    def next(self, *, now: float) -> Piece | None:
        """Return what to send now, or None. What was sent before counts again only where it is new."""
        self._allowance = min(PIECE_JSON_BYTES, self._allowance + (now - self._at) * LIVE_BYTES_PER_SECOND)
        self._at = now
        repeated = max(0, self._taken - self._confirmed)
        piece = self._capture.piece(self._confirmed, max_bytes=min(PIECE_JSON_BYTES, repeated + int(self._allowance)))
        if piece is not None:
            self._allowance -= max(0, piece.end - max(self._taken, piece.offset))
            self._taken = max(self._taken, piece.end)
        return piece

    def confirm(self, offset: int) -> None:
        """Note that the server has the stream up to `offset`. An older confirmation changes nothing."""
        self._confirmed = max(self._confirmed, min(offset, self._taken))


def _whole_characters(encoded: bytes) -> bytes:
    """Return UTF-8 without the rest of a character at its start."""
    start = 0
    while start < min(len(encoded), _MAX_CHARACTER_BYTES) and encoded[start] & _CONTINUATION_MASK == _CONTINUATION:
        start += 1
    return encoded[start:]


def _without_partial_end(encoded: bytes) -> bytes:
    """Return UTF-8 without the beginning of a character at its end."""
    return encoded.decode("utf-8", "ignore").encode()


def _cut_to_json(text: str, max_bytes: int) -> str:
    """Return the beginning of `text` whose JSON has at most `max_bytes`: a control character takes six of them."""
    while (size := len(json.dumps(text))) > max_bytes:
        text = text[: len(text) * max_bytes // size]
    return text
