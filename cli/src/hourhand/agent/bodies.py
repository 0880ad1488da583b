"""Reads the body of a response: bounded in what is read and kept, and without its content coding. Pure."""

import zlib
from dataclasses import dataclass, field

#: How much of a body is read, and how much of it is kept.
READ_BYTES = 1024 * 1024
KEPT_BYTES = 64 * 1024
#: Accept-Encoding: the codings that this module decodes.
ACCEPTED = "gzip, deflate"
_GZIP_WBITS, _ZLIB_WBITS, _RAW_WBITS = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_ZLIB_METHOD = 8  # the low four bits of a zlib stream's first byte (RFC 1950)
_STEP_BYTES = 64 * 1024


@dataclass(frozen=True)
class DecodedBody:
    """A body without its coding. `kept`: its first 64 KiB. `read_bytes`: how many bytes were read, up to the limit.

    `complete`: nothing of it is missing in `read_bytes`. `note`: why it is left as received, or None.
    """

    kept: bytes = field(default=b"", repr=False)
    read_bytes: int = 0
    complete: bool = True
    note: str | None = None


def decoded(raw: bytes, coding: str, *, complete: bool) -> DecodedBody:
    """Decode a body in `coding`, the value of Content-Encoding. `complete`: `raw` is the whole body.

    What can't be decoded is left as received, with a note: servers get codings wrong in ways that browsers tolerate.
    """
    coding = coding.strip().lower()
    if coding in {"", "identity"} or not raw:
        return DecodedBody(raw[:KEPT_BYTES], len(raw), complete)
    if coding not in {"gzip", "x-gzip", "deflate"}:
        return _as_received(raw, f"The body is in the coding {coding[:40]!r}, which is not decoded.", complete=complete)
    try:
        kept, read_bytes, ended = _inflated(raw, _wbits(raw, coding))
    except zlib.error:
        return _as_received(raw, f"The body is not in the coding {coding!r} that its headers name.", complete=complete)
    return DecodedBody(kept, read_bytes, complete and ended)


def _as_received(raw: bytes, note: str, *, complete: bool) -> DecodedBody:
    return DecodedBody(raw[:KEPT_BYTES], len(raw), complete, note)


def _wbits(raw: bytes, coding: str) -> int:
    """Return zlib's format. Some servers send raw deflate where the standard says zlib."""
    if coding != "deflate":
        return _GZIP_WBITS
    return _ZLIB_WBITS if raw[0] & 0x0F == _ZLIB_METHOD else _RAW_WBITS


def _inflated(raw: bytes, wbits: int) -> tuple[bytes, int, bool]:
    """Return the first part of the decoded body, how many bytes were decoded, and whether that is all.

    Decodes up to the limit, however small the compressed body is. Raises zlib.error.
    """
    kept, count = bytearray(), 0
    stream = zlib.decompressobj(wbits)
    while count <= READ_BYTES:
        piece = stream.decompress(raw, _STEP_BYTES)
        count += len(piece)
        kept += piece[: KEPT_BYTES - len(kept)]
        raw = stream.unconsumed_tail
        if stream.eof:
            # Members of gzip follow one another; other bytes after the end are padding.
            raw = stream.unused_data
            if wbits != _GZIP_WBITS or not raw.startswith(b"\x1f\x8b"):
                return bytes(kept), count, True
            stream = zlib.decompressobj(wbits)
        elif not raw and len(piece) < _STEP_BYTES:
            return bytes(kept), count, False
    return bytes(kept), count, False
