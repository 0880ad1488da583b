"""Decodes the content codings of a response body (RFC 9110, section 8.4), bounded and tolerant. Pure.

Servers get codings wrong in ways that browsers tolerate: several gzip members, a line break after the last, a plain
body that claims to be gzip. libcurl fails on each of these, which would hide the status. A body that can't be decoded
stays as received. Memory is bounded: the first part of the decoded body is kept, the rest counted, and decompression
bombs are cut.
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

#: Accept-Encoding: all codings that this module decodes.
ACCEPTED = "gzip, deflate, br, zstd"
#: The most codings on top of each other.
MAX_CODINGS = 4
#: The most members of a gzip body, or frames of zstd. Each takes a new decoder.
MAX_MEMBERS = 1000
#: Decoders of br and zstd take megabytes each, so such a body is read up to this size and then decoded at once.
MAX_GATHERED_BYTES = 256 * 1024
_PIECE_BYTES = 64 * 1024
_STEP_BYTES = 4096
_ZSTD_WINDOW_LOG = 23  # 8 MiB, the most that a server may need (RFC 9659)
_PADDING, _LONGEST_PADDING = b"\r\n\0", 16
_IDENTITY = frozenset({"", "identity"})
_GZIP_MAGIC, _ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_FAULTS = (zlib.error, brotli.error, zstd.ZstdError)


class CodingFault(ValueError):  # noqa: N818 - it describes a body, not a fault of ours
    """The body is not in the coding that its headers name."""


class DecodedBody(NamedTuple):
    """A body without its codings. `ended`: it is complete. `fault`: why it is left as received, else None."""

    body: bytes
    body_bytes: int
    ended: bool
    fault: str | None = None


class _Decoder(Protocol):
    """Decodes one coding, piece by piece."""

    @property
    def ended(self) -> bool:
        """Whether the input so far could be the whole."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Decode `data` into pieces. Raises one of _FAULTS or CodingFault."""


class _ZlibDecoder:
    """A zlib stream: `wbits` chooses gzip, zlib or raw deflate."""

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


class _ZstdDecoder:
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


class _MemberDecoder:
    """Several members, each of which begins with a magic number. Bytes after the last one are ignored."""

    def __init__(self, make: Callable[[], Any], magic: bytes) -> None:
        self._make, self._magic = make, magic
        self._member = make()
        self._count = 1
        self._partial_magic = b""
        self._done = False

    @property
    def ended(self) -> bool:
        return bool(self._member.ended)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data and not self._done:
            if self._member.ended:
                data = self._next(data)
                if not data:
                    return
            yield from self._member.pieces(data)
            data = self._member.unused if self._member.ended else b""

    def _next(self, data: bytes) -> bytes:
        """Begin the next member if `data` holds its magic number. Zeros may pad members."""
        data = (self._partial_magic + data).lstrip(b"\0")
        self._partial_magic = b""
        if data.startswith(self._magic):
            self._count += 1
            if self._count > MAX_MEMBERS:
                raise CodingFault(f"it has more than {MAX_MEMBERS:,} members")
            self._member = self._make()
            return data
        if self._magic.startswith(data):
            self._partial_magic = data
        else:
            self._done = True
        return b""


class _DeflateDecoder:
    """`deflate` is zlib's format, but some servers send raw deflate."""

    def __init__(self) -> None:
        self._head = b""
        self._wrapped = False
        self._inner: _ZlibDecoder | None = None

    @property
    def ended(self) -> bool:
        """Raw streams have no header, so that some texts look like one: only padding may follow."""
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
        self._inner = _ZlibDecoder(zlib.MAX_WBITS if self._wrapped else -zlib.MAX_WBITS)
        yield from self._inner.pieces(self._head)


class _BrotliDecoder:
    """A brotli stream. The library fails on bytes after the end, so trailing padding is fed byte by byte."""

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
                yield from self._process(part)

    def _process(self, data: bytes) -> Iterator[bytes]:
        """Decode in small steps: of a large input, the library holds back what exceeds its first buffer."""
        for at in range(0, len(data), _STEP_BYTES):
            piece = self._stream.process(data[at : at + _STEP_BYTES], output_buffer_limit=_PIECE_BYTES)
            while piece:
                yield piece
                piece = b"" if self.ended else self._stream.process(b"", output_buffer_limit=_PIECE_BYTES)


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": (_gzip := partial(_MemberDecoder, partial(_ZlibDecoder, 16 + zlib.MAX_WBITS), _GZIP_MAGIC)),
    "x-gzip": _gzip,
    "deflate": _DeflateDecoder,
    "br": _BrotliDecoder,
    "zstd": partial(_MemberDecoder, _ZstdDecoder, _ZSTD_MAGIC),
}
_STREAMED = frozenset({"gzip", "x-gzip", "deflate"})


@lru_cache(maxsize=256)
def codings_in(header: str) -> tuple[str, ...]:
    """The codings in a Content-Encoding, in the order in which they were applied, without identity."""
    names = (name.strip().lower() for name in header.split(","))
    return tuple(name for name in names if name not in _IDENTITY)


class BodyDecoder:
    """Decodes a body in `codings` as it arrives, and keeps the first `keep_bytes`, decoded and as received.

    It takes input until there are more than `read_bytes` of either.
    """

    def __init__(self, codings: tuple[str, ...], *, keep_bytes: int, read_bytes: int) -> None:
        self._keep_bytes, self._read_bytes = keep_bytes, read_bytes
        self._raw: list[bytes] = []
        self._raw_bytes = 0
        self._kept: list[bytes] = []
        self._kept_bytes = self._body_bytes = 0
        self._full = False
        self._fault = _unsupported(codings)
        self._streamed = _STREAMED.issuperset(codings)
        self._decoders = [] if self._fault else [_DECODERS[name]() for name in reversed(codings)]
        self._produced = [0] * len(self._decoders)
        self._names = ", ".join(codings)

    def feed(self, chunk: bytes) -> bool:
        """Take the next bytes. Returns False if no more are needed."""
        gathering = not self._streamed and self._fault is None
        if self._raw_bytes < (MAX_GATHERED_BYTES if gathering else self._keep_bytes):
            self._raw.append(chunk)
        self._raw_bytes += len(chunk)
        if not gathering and self._fault is None and not self._full:
            self._decode(chunk)
        return not self._full and self._raw_bytes <= (MAX_GATHERED_BYTES if gathering else self._read_bytes)

    def result(self) -> DecodedBody:
        """The decoded body, after the last `feed`."""
        raw = b"".join(self._raw)
        if self._raw_bytes and not self._streamed and self._fault is None:
            self._decode(raw[:MAX_GATHERED_BYTES])
        ended = not self._raw_bytes or (not self._full and all(decoder.ended for decoder in self._decoders))
        raw = raw[: self._keep_bytes]
        if self._fault is None and not ended and not self._full and _is_text(raw):
            self._fault = f"it is text, not {self._names}"
        if self._fault is not None:
            return DecodedBody(raw, self._raw_bytes, self._raw_bytes <= self._read_bytes, self._fault_note())
        return DecodedBody(b"".join(self._kept)[: self._keep_bytes], self._body_bytes, ended)

    def _fault_note(self) -> str:
        return f"The body could not be decoded ({self._fault}): these are the bytes as received."

    def _decode(self, data: bytes) -> None:
        try:
            for piece in self._pieces(data, 0):
                self._body_bytes += len(piece)
                if self._kept_bytes < self._keep_bytes:
                    self._kept.append(piece)
                    self._kept_bytes += len(piece)
        except _FAULTS:
            self._give_up(f"it is not {self._names}")
        except CodingFault as fault:
            self._give_up(str(fault))

    def _give_up(self, fault: str) -> None:
        self._fault = fault
        self._kept.clear()
        self._decoders.clear()

    def _pieces(self, data: bytes, stage: int) -> Iterator[bytes]:
        """Decode `data` with the decoders from `stage` on, until one has produced more than `read_bytes`."""
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


def _unsupported(codings: tuple[str, ...]) -> str | None:
    if len(codings) > MAX_CODINGS:
        return f"there are more than {MAX_CODINGS} on top of each other"
    unknown = next((name for name in codings if name not in _DECODERS), None)
    return None if unknown is None else f"Hourhand does not know {unknown[:40]}"


def _is_text(raw: bytes) -> bool:
    """Whether these bytes, which may be cut, are UTF-8 without control characters, and so not compressed."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data" or not error.start:
            return False
        text = raw[: error.start].decode()
    return bool(text) and not any(control in text for control in _CONTROLS)


#: Characters that a compressed body of any size contains, and text does not.
_CONTROLS = tuple(chr(code) for code in range(32) if chr(code) not in "\t\n\f\r\x1b")
