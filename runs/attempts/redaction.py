"""Redacts what history shows of a request and its response: few header values, and no secret in any encoding. Pure."""

import base64
import html
import itertools
import json
import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from urllib.parse import quote

from runs.attempts.contract import FinishedAttempt, Received, Sent
from runs.attempts.cut_secrets import FEWEST_BASE64, cut_at
from runs.postgres_text import as_json

REDACTED = "[redacted]"
#: Request headers whose values are not secret. All others are redacted: an unknown header may hold a token.
HARMLESS_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "cache-control", "content-language", "content-type",
     "idempotency-key", "user-agent", "webhook-id", "webhook-timestamp"}
)  # fmt: skip
_MARK = REDACTED.encode()


def redact_headers(headers: tuple[tuple[str, str], ...], *, allowed: Collection[str] = ()) -> dict[str, str]:
    """Sent headers as history keeps them: names in lower case, all values redacted but the harmless and `allowed`."""
    return {
        name: value if is_harmless(name) or name in allowed else REDACTED
        for name, value in ((_lower(name), value) for name, value in headers)
    }


_lower = lru_cache(maxsize=4096)(str.lower)


@lru_cache(maxsize=4096)
def is_harmless(name: str) -> bool:
    """Whether history shows the value of a request header, whatever it is."""
    return name.lower() in HARMLESS_HEADERS or name.lower().startswith("x-hourhand-")


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """A text without these secret values."""
    return _text(text, _patterns(secrets))


def redact_sent(sent: Sent, secrets: Iterable[str]) -> Sent:
    """A request as history keeps it, without these secret values."""
    patterns = _patterns(secrets)
    headers = {
        name: value if value == REDACTED else _text(value, patterns) for name, value in json.loads(sent.headers).items()
    }
    body = None if sent.body is None else _bytes(sent.body, patterns)
    return Sent(sent.method, _text(sent.url, patterns), as_json(headers), body)


def redact_attempt(finished: FinishedAttempt, secrets: Iterable[str]) -> FinishedAttempt:
    """A finished attempt without these secret values: an endpoint may repeat what it was sent."""
    secrets = tuple(secrets)
    patterns = _patterns(secrets)
    return finished._replace(
        sent=redact_sent(finished.sent, secrets),
        received=finished.received and _redact_received(finished.received, secrets, patterns),
        ending=finished.ending._replace(error=_text(finished.ending.error, patterns)),
    )


def _redact_received(received: Received, secrets: Iterable[str], patterns: list[re.Pattern[bytes]]) -> Received:
    body = _bytes(received.body, patterns)
    headers = {_header(name, patterns): _header(value, patterns) for name, value in received.headers.items()}
    if received.body_truncated:
        body = _without_cut_end(body, secrets)
    return received._replace(headers=headers, body=body)


def _without_cut_end(body: bytes, secrets: Iterable[str]) -> bytes:
    """Redact the beginning of a secret, in any encoding, at the end of a body that was cut within it."""
    offsets = [cut_at(body, secret.encode(), _cores_of(secret)) for secret in secrets]
    cuts = [offset for offset in offsets if offset is not None]
    return body[: min(cuts)] + _MARK if cuts else body


def _header(text: str, patterns: list[re.Pattern[bytes]]) -> str:
    """Redact both readings of a response's header: its bytes were read as UTF-8, or as Latin-1 if they are not that."""
    redacted = _text(text, patterns)
    if redacted.isascii():
        return redacted
    try:
        octets = redacted.encode("latin-1")
    except UnicodeEncodeError:
        return redacted
    return _bytes(octets, patterns).decode("latin-1")


def _text(text: str, patterns: list[re.Pattern[bytes]]) -> str:
    return _bytes(text.encode(errors="replace"), patterns).decode()


def _bytes(text: bytes, patterns: list[re.Pattern[bytes]]) -> bytes:
    for pattern in patterns:
        text = pattern.sub(_MARK, text)
    return text


def _patterns(secrets: Iterable[str]) -> list[re.Pattern[bytes]]:
    """The longest value first: it may contain another."""
    return [pattern for value in sorted(set(secrets), key=len, reverse=True) for pattern in _patterns_of(value)]


@lru_cache(maxsize=512)
def _patterns_of(value: str) -> tuple[re.Pattern[bytes], ...]:
    """Find a value in any mix of encodings: as it is, in either case, percent-encoded, in JSON, HTML, base64."""
    spelled = re.compile(b"".join(_run(character, len(list(run))) for character, run in itertools.groupby(value)))
    encoded = sorted(_base64_cores(value.encode()), key=len, reverse=True)
    return (spelled, *(re.compile(re.escape(core) + b"={0,2}") for core in encoded))


def _run(character: str, length: int) -> bytes:
    """A repeated character. JSON doubles a backslash: counted, since alternatives would backtrack for ever."""
    if character == "\\":
        return rb"(?:\\|%5[Cc]|\\u005[Cc]|&#92;|&#x5[Cc];)" + f"{{{length},{2 * length}}}".encode()
    return _spellings(character) * length


@lru_cache(maxsize=4096)
def _spellings(character: str) -> bytes:
    """One character in all its encodings, as a regular expression over bytes."""
    if character.isascii() and character.isalnum():
        both = {character.lower(), character.upper()}
        return f"[{''.join(sorted(both))}]".encode()
    spelled: set[bytes] = set()
    for form in {character, character.lower(), character.upper()}:
        percent = "".join(f"%{octet:02X}" for octet in form.encode())
        points = form.encode("utf-16-be").hex()
        unicode = "".join(f"\\u{points[at : at + 4]}" for at in range(0, len(points), 4))
        texts = {form, quote(form), percent, percent.lower(), unicode, unicode.upper().replace("\\U", "\\u")}
        texts |= {json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1], html.escape(form)}
        texts |= {f"&#{ord(point)};" for point in form} | {f"&#x{ord(point):x};" for point in form}
        spelled |= {text.encode() for text in texts}
    spelled |= {" ": {b"+"}, "/": {rb"\/"}, "'": {b"&apos;"}, "\n": {b"\r\n"}}.get(character, set())
    return b"(?:" + b"|".join(re.escape(text) for text in sorted(spelled, key=len, reverse=True)) + b")"


@lru_cache(maxsize=512)
def _cores_of(value: str) -> frozenset[bytes]:
    return frozenset(_base64_cores(value.encode()))


def _base64_cores(value: bytes) -> set[bytes]:
    """The base64 characters that a value alone determines, at each offset at which it may begin.

    The whole value's own encoding is one of them, however short.
    """
    cores = {base64.b64encode(value).rstrip(b"=")}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + value).rstrip(b"=")
        whole = (offset + len(value)) * 8 // 6
        core = encoded[-(-offset * 8 // 6) : whole]
        if len(core) >= FEWEST_BASE64:
            cores.add(core)
    return cores | {core.translate(bytes.maketrans(b"+/", b"-_")) for core in cores}
