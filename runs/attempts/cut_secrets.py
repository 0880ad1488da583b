"""Finds the beginning of a secret at the end of a body that was cut, in whichever way it is spelled there. Pure.

The body's end is read in each way in which an endpoint may have escaped what it repeats, and compared with the secret
and with what base64 makes of it. Linear in the length of the secret, whatever the body says.
"""

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

#: The fewest characters of a secret, or of its base64, that are told from chance.
FEWEST_CHARACTERS, FEWEST_BASE64 = 4, 8
_LONGEST_SPELLING = 12  # of one octet or character: an escaped pair of surrogates
_LONGEST_ESCAPE = 12

_PERCENT, _PLUS, _JSON, _HTML = (
    rb"%[0-9A-Fa-f]{2}",
    rb"\+",
    rb"\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\[\"\\/bfnrt]",
    rb"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,6});",
)
#: An escape that was cut itself, at the end of the body.
_BROKEN = re.compile(rb"(?:%[0-9A-Fa-f]?|\\(?:u[0-9A-Fa-f]{0,3}(?:\\(?:u[0-9A-Fa-f]{0,3})?)?)?|&#?[0-9A-Za-z]{0,8})\Z")
_READINGS = tuple(
    re.compile(b"|".join(escapes)) if escapes else None
    for escapes in ((), (_PERCENT,), (_PERCENT, _PLUS), (_JSON,), (_HTML,), (_JSON, _PERCENT, _HTML, _PLUS))
)


def cut_at(body: bytes, secret: bytes, cores: Iterable[bytes]) -> int | None:
    """Where the beginning of a secret at the end of `body` begins, if one is there. `cores`: its base64 spellings."""
    tail_at = max(0, len(body) - _LONGEST_SPELLING * len(secret) - _LONGEST_ESCAPE)
    tail = body[tail_at:]
    broken = _BROKEN.search(tail[-_LONGEST_ESCAPE:])
    ends = [tail, tail[: len(tail) - len(broken[0])]] if broken else [tail]
    wanted: list[tuple[bytes, int, Callable[[bytes], bytes]]] = [(secret.lower(), FEWEST_CHARACTERS, bytes.lower)]
    wanted += [(core, FEWEST_BASE64, bytes) for core in cores]
    found = [at for end in ends for reading in _READINGS for at in _beginnings(end, reading, wanted)]
    return tail_at + min(found) if found else None


def _beginnings(
    tail: bytes, reading: re.Pattern[bytes] | None, wanted: Iterable[tuple[bytes, int, Callable[[bytes], bytes]]]
) -> Iterator[int]:
    if reading is not None and reading.search(tail) is None:
        return  # it says what it says as it is
    text, places = _read(tail, reading)
    for value, fewest, folded in wanted:
        length = _overlap(value, folded(text))
        if length >= fewest:
            yield places[len(text) - length]


def _read(tail: bytes, reading: re.Pattern[bytes] | None) -> tuple[bytes, list[int] | range]:
    """What an end says, and where in it each octet of that begins."""
    if reading is None:
        return tail, range(len(tail))
    text, places, position = bytearray(), list[int](), 0
    for escape in reading.finditer(tail):
        literal = tail[position : escape.start()]
        meant = _meaning(escape[0])
        text += literal + meant
        places += [*range(position, escape.start()), *[escape.start()] * len(meant)]
        position = escape.end()
    text += tail[position:]
    places += range(position, len(tail))
    return bytes(text), places


def _meaning(escape: bytes) -> bytes:
    match escape[:1]:
        case b"%":
            return bytes.fromhex(escape[1:].decode())
        case b"+":
            return b" "
        case b"\\":
            return str(json.loads(f'"{escape.decode()}"')).encode(errors="replace")
    return html.unescape(escape.decode()).encode(errors="replace")


def _overlap(value: bytes, text: bytes) -> int:
    """The length of the longest end of `text` that `value` begins with, short of all of it (Knuth, Morris, Pratt)."""
    back, length = _borders(value), 0
    for octet in text[-(len(value) - 1) :] if len(value) > 1 else b"":
        while length and (length == len(value) or octet != value[length]):
            length = back[length - 1]
        length += octet == value[length]
    return length


@lru_cache(maxsize=256)
def _borders(value: bytes) -> tuple[int, ...]:
    """Of each beginning of `value`, how long the longest is that it also ends with, short of itself."""
    back = [0] * len(value)
    length = 0
    for at in range(1, len(value)):
        while length and value[at] != value[length]:
            length = back[length - 1]
        length += value[at] == value[length]
        back[at] = length
    return tuple(back)
