"""Undoes the content codings of an answer (RFC 9110, section 8.4), within bounds and forgivingly. Pure.

Servers get codings wrong in ways that browsers forgive: several gzip members, a line break after the last, a body that
says gzip and is plain. libcurl makes an error of each, which would hide the status. What can't be undone stays as it
came. Memory is bounded: the first part of the decoded body is kept and the rest counted, and bombs are left off.
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple, Protocol

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: What is asked for: all that can be undone here.
ACCEPTED = "gzip, deflate, br, zstd"
#: More codings on top of each other than this are no honest answer.
MAX_CODINGS = 4
#: Members of a gzip body, or frames of zstd. Each takes a decoder of its own.
MAX_MEMBERS = 1000
#: Decoders of br and zstd take megabytes each, so such a body is decoded once it is there, and read to this size.
MAX_GATHERED_BYTES = 256 * 1024
_PIECE_BYTES = 64 * 1024
_STEP_BYTES = 4096
_ZSTD_WINDOW_LOG = 23  # 8 MiB, the most that a server may need (RFC 9659)
_PADDING, _LONGEST_PADDING = b"\r\n\0", 16
_IDENTITY = frozenset({"", "identity"})
_GZIP_MAGIC, _ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_FAULTS = (zlib.error, brotli.error, zstd.ZstdError)


class CodingFault(ValueError):  # noqa: N818 - it names what is wrong with a body
    """The body is not in the coding that its headers name."""


class Undone(NamedTuple):
    """A body after its codings. `ended`: it came to its end. `fault`: why it is the bytes as they came, if it is."""

    body: bytes
    body_bytes: int
    ended: bool
    fault: str | None = None


class _Decoder(Protocol):
    """One coding, undone piece by piece."""

    @property
    def ended(self) -> bool:
        """Whether what was fed could be the whole."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """The pieces that `data` adds. Raises one of _FAULTS or CodingFault."""


class _Inflated:
    """A zlib stream: gzip, deflate in its wrapper, or bare, as `wbits` says."""

    def __init__(self, wbits: int) -> None:
        self._stream = zlib.decompressobj(wbits)

    @property
    def ended(self) -> bool:
        return self._stream.eof

    @property
    def unused(self) -> bytes:
        return self._stream.unused_data

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while True:
            piece = self._stream.decompress(data, _PIECE_BYTES)
            if piece:
                yield piece
            data = self._stream.unconsumed_tail
            if self._stream.eof or (not data and len(piece) < _PIECE_BYTES):
                return


class _Zstd:
    """A zstd frame."""

    def __init__(self) -> None:
        self._stream = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})

    @property
    def ended(self) -> bool:
        return self._stream.eof

    @property
    def unused(self) -> bytes:
        return self._stream.unused_data

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while True:
            piece = self._stream.decompress(data, _PIECE_BYTES)
            if piece:
                yield piece
            data = b""
            if self._stream.eof or self._stream.needs_input:
                return


class _Members:
    """Members one after another, each with a magic number in front. What follows the last of them is not looked at."""

    def __init__(self, make: Callable[[], Any], magic: bytes) -> None:
        self._make, self._magic = make, magic
        self._member = make()
        self._count = 1
        self._between = b""
        self._over = False

    @property
    def ended(self) -> bool:
        return bool(self._member.ended)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data and not self._over:
            if self._member.ended:
                data = self._next(data)
                if not data:
                    return
            yield from self._member.pieces(data)
            data = self._member.unused if self._member.ended else b""

    def _next(self, data: bytes) -> bytes:
        """Begin the next member, if `data` does. Members may be padded with zeros."""
        data = (self._between + data).lstrip(b"\0")
        self._between = b""
        if data.startswith(self._magic):
            self._count += 1
            if self._count > MAX_MEMBERS:
                raise CodingFault(f"it has more than {MAX_MEMBERS:,} members")
            self._member = self._make()
            return data
        if self._magic.startswith(data):
            self._between = data
        else:
            self._over = True
        return b""


class _Deflated:
    """`deflate` is zlib's format, but some servers send what is inside it bare."""

    def __init__(self) -> None:
        self._head = b""
        self._wrapped = False
        self._inner: _Inflated | None = None

    @property
    def ended(self) -> bool:
        """Bare streams say so little of themselves that many a text begins like one: nothing but padding may follow."""
        inner = self._inner
        return inner is not None and inner.ended and (self._wrapped or not inner.unused.strip(_PADDING))

    def pieces(self, data: bytes) -> Iterator[bytes]:
        if self._inner is not None:
            if not self._inner.ended:
                yield from self._inner.pieces(data)
            return
        self._head += data
        if len(self._head) < 2:  # noqa: PLR2004 - the size of zlib's header
            return
        self._wrapped = self._head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(self._head[:2], "big") % 31 == 0
        self._inner = _Inflated(zlib.MAX_WBITS if self._wrapped else -zlib.MAX_WBITS)
        yield from self._inner.pieces(self._head)


class _Brotli:
    """A brotli stream. Its library fails on bytes after the end, so a line break there is fed byte by byte."""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    @property
    def ended(self) -> bool:
        return bool(self._stream.is_finished())

    def pieces(self, data: bytes) -> Iterator[bytes]:
        body = data.rstrip(_PADDING)
        padding = data[len(body) :]
        for part in (body, *(padding[at : at + 1] for at in range(_LONGEST_PADDING)), padding[_LONGEST_PADDING:]):
            if self.ended:
                return
            if part:
                yield from self._processed(part)

    def _processed(self, data: bytes) -> Iterator[bytes]:
        """In small steps: of a large one, the library keeps back what does not fit into its first buffer."""
        for at in range(0, len(data), _STEP_BYTES):
            piece = self._stream.process(data[at : at + _STEP_BYTES], output_buffer_limit=_PIECE_BYTES)
            while piece:
                yield piece
                piece = b"" if self.ended else self._stream.process(b"", output_buffer_limit=_PIECE_BYTES)


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": (_gzip := partial(_Members, partial(_Inflated, 16 + zlib.MAX_WBITS), _GZIP_MAGIC)),
    "x-gzip": _gzip,
    "deflate": _Deflated,
    "br": _Brotli,
    "zstd": partial(_Members, _Zstd, _ZSTD_MAGIC),
}
_STREAMED = frozenset({"gzip", "x-gzip", "deflate"})


@lru_cache(maxsize=256)
def codings_in(header: str) -> tuple[str, ...]:
    """The codings that a Content-Encoding names, in the order in which they were applied; identity is none."""
    names = (name.strip().lower() for name in header.split(","))
    return tuple(name for name in names if name not in _IDENTITY)


class Undoing:
    """Takes a body as it comes, in `codings`, and keeps `keep_bytes` of what they hold, and of the bytes themselves.

    It reads on until there are more than `read_bytes` of either.
    """

    def __init__(self, codings: tuple[str, ...], *, keep_bytes: int, read_bytes: int) -> None:
        self._keep_bytes, self._read_bytes = keep_bytes, read_bytes
        self._raw: list[bytes] = []
        self._raw_bytes = 0
        self._kept: list[bytes] = []
        self._kept_bytes = self._body_bytes = 0
        self._full = False
        self._fault = _unknown(codings)
        self._streamed = _STREAMED.issuperset(codings)
        self._decoders = [] if self._fault else [_DECODERS[name]() for name in reversed(codings)]
        self._produced = [0] * len(self._decoders)
        self._names = ", ".join(codings)

    def feed(self, chunk: bytes) -> bool:
        """Take the next bytes. False: that is enough, the rest need not come."""
        gathering = not self._streamed and self._fault is None
        if self._raw_bytes < (MAX_GATHERED_BYTES if gathering else self._keep_bytes):
            self._raw.append(chunk)
        self._raw_bytes += len(chunk)
        if not gathering and self._fault is None and not self._full:
            self._decode(chunk)
        return not self._full and self._raw_bytes <= (MAX_GATHERED_BYTES if gathering else self._read_bytes)

    def result(self) -> Undone:
        """The body, once no more comes."""
        raw = b"".join(self._raw)
        if self._raw_bytes and not self._streamed and self._fault is None:
            self._decode(raw[:MAX_GATHERED_BYTES])
        ended = not self._raw_bytes or (not self._full and all(decoder.ended for decoder in self._decoders))
        raw = raw[: self._keep_bytes]
        if self._fault is None and not ended and not self._full and _is_text(raw):
            self._fault = f"it is text, not {self._names}"
        if self._fault is not None:
            return Undone(raw, self._raw_bytes, self._raw_bytes <= self._read_bytes, self._note())
        return Undone(b"".join(self._kept)[: self._keep_bytes], self._body_bytes, ended)

    def _note(self) -> str:
        return f"The content coding of the body could not be undone ({self._fault}): these are the bytes as they came."

    def _decode(self, data: bytes) -> None:
        try:
            for piece in self._pieces(data, 0):
                self._body_bytes += len(piece)
                if self._kept_bytes < self._keep_bytes:
                    self._kept.append(piece)
                    self._kept_bytes += len(piece)
        except _FAULTS:
            self._forget(f"it is not {self._names}")
        except CodingFault as fault:
            self._forget(str(fault))

    def _forget(self, fault: str) -> None:
        self._fault = fault
        self._kept.clear()
        self._decoders.clear()

    def _pieces(self, data: bytes, stage: int) -> Iterator[bytes]:
        """What `data` comes to after the decoders from `stage` on. Ends where one has given enough."""
        if stage == len(self._decoders):
            yield data
            return
        for piece in self._decoders[stage].pieces(data):
            self._produced[stage] += len(piece)
            yield from self._pieces(piece, stage + 1)
            if self._produced[stage] > self._read_bytes:
                self._full = True
            if self._full:
                return


def _unknown(codings: tuple[str, ...]) -> str | None:
    if len(codings) > MAX_CODINGS:
        return f"there are more than {MAX_CODINGS} on top of each other"
    unknown = next((name for name in codings if name not in _DECODERS), None)
    return None if unknown is None else f"{unknown[:40]} is none that Hourhand knows"


def _is_text(raw: bytes) -> bool:
    """Whether these bytes, perhaps cut, are UTF-8 and no control characters: then they are not compressed."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data" or not error.start:
            return False
        text = raw[: error.start].decode()
    return bool(text) and not any(control in text for control in _CONTROLS)


#: Text has none of these; a compressed body of any size does.
_CONTROLS = tuple(chr(code) for code in range(32) if chr(code) not in "\t\n\f\r\x1b")
