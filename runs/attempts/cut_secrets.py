"""Finds the beginning of a secret at the end of a body that was cut, however it is encoded there. Pure.

The body's end is decoded in each way in which an endpoint may have escaped what it repeats, and compared with the
secret and with its base64 encodings. Linear in the length of the secret, whatever the body holds.
"""

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

#: Fewer characters of a secret, or of its base64, may match by chance.
FEWEST_CHARACTERS, FEWEST_BASE64 = 4, 8
_LONGEST_ENCODING = 12  # of one byte or character: an escaped pair of surrogates
_LONGEST_ESCAPE = 12

_PERCENT, _PLUS, _JSON, _HTML = (
    rb"%[0-9A-Fa-f]{2}",
    rb"\+",
    rb"\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\[\"\\/bfnrt]",
    rb"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,6});",
)
#: An escape that was itself cut, at the end of the body.
_BROKEN = re.compile(rb"(?:%[0-9A-Fa-f]?|\\(?:u[0-9A-Fa-f]{0,3}(?:\\(?:u[0-9A-Fa-f]{0,3})?)?)?|&#?[0-9A-Za-z]{0,8})\Z")
_DECODINGS = tuple(
    re.compile(b"|".join(escapes)) if escapes else None
    for escapes in ((), (_PERCENT,), (_PERCENT, _PLUS), (_JSON,), (_HTML,), (_JSON, _PERCENT, _HTML, _PLUS))
)


def cut_at(body: bytes, secret: bytes, cores: Iterable[bytes]) -> int | None:
    """The offset of a secret's beginning at the end of `body`, if there is one. `cores`: its base64 encodings."""
    tail_at = max(0, len(body) - _LONGEST_ENCODING * len(secret) - _LONGEST_ESCAPE)
    tail = body[tail_at:]
    broken = _BROKEN.search(tail[-_LONGEST_ESCAPE:])
    ends = [tail, tail[: len(tail) - len(broken[0])]] if broken else [tail]
    values: list[tuple[bytes, int, Callable[[bytes], bytes]]] = [(secret.lower(), FEWEST_CHARACTERS, bytes.lower)]
    values += [(core, FEWEST_BASE64, bytes) for core in cores]
    offsets = [at for end in ends for escapes in _DECODINGS for at in _beginnings(end, escapes, values)]
    return tail_at + min(offsets) if offsets else None


def _beginnings(
    tail: bytes, escapes: re.Pattern[bytes] | None, values: Iterable[tuple[bytes, int, Callable[[bytes], bytes]]]
) -> Iterator[int]:
    if escapes is not None and escapes.search(tail) is None:
        return  # the same as without escapes
    text, offsets = _decode(tail, escapes)
    for value, fewest, fold in values:
        length = _overlap(value, fold(text))
        if length >= fewest:
            yield offsets[len(text) - length]


def _decode(tail: bytes, escapes: re.Pattern[bytes] | None) -> tuple[bytes, list[int] | range]:
    """The text of a tail, and the offset in the tail of each byte of that text."""
    if escapes is None:
        return tail, range(len(tail))
    text, offsets, position = bytearray(), list[int](), 0
    for escape in escapes.finditer(tail):
        literal = tail[position : escape.start()]
        decoded = _decode_escape(escape[0])
        text += literal + decoded
        offsets += [*range(position, escape.start()), *[escape.start()] * len(decoded)]
        position = escape.end()
    text += tail[position:]
    offsets += range(position, len(tail))
    return bytes(text), offsets


def _decode_escape(escape: bytes) -> bytes:
    match escape[:1]:
        case b"%":
            return bytes.fromhex(escape[1:].decode())
        case b"+":
            return b" "
        case b"\\":
            return str(json.loads(f'"{escape.decode()}"')).encode(errors="replace")
    return html.unescape(escape.decode()).encode(errors="replace")


def _overlap(value: bytes, text: bytes) -> int:
    """The length of the longest proper prefix of `value` that `text` ends with (Knuth, Morris, Pratt)."""
    back, length = _borders(value), 0
    for octet in text[-(len(value) - 1) :] if len(value) > 1 else b"":
        while length and (length == len(value) or octet != value[length]):
            length = back[length - 1]
        length += octet == value[length]
    return length


@lru_cache(maxsize=256)
def _borders(value: bytes) -> tuple[int, ...]:
    """For each prefix of `value`, the length of its longest proper prefix that is also its suffix."""
    back = [0] * len(value)
    length = 0
    for at in range(1, len(value)):
        while length and value[at] != value[length]:
            length = back[length - 1]
        length += value[at] == value[length]
        back[at] = length
    return tuple(back)
