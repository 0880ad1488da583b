"""Judges who sent an inbound webhook, by the raw bytes of its body: the schemes of known senders. Pure.

Sources: the Standard Webhooks specification (also Svix), and the signature pages of GitHub's, Stripe's and Slack's
webhook documentation. Comparisons take constant time.
"""

import base64
import binascii
import datetime
import enum
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

#: How far a signed timestamp may be from now, either way: the tolerance of all three senders that sign one.
TOLERANCE_SECONDS = 300
_STANDARD_PREFIX = "whsec_"
_UNIX = re.compile(r"[0-9]{1,12}")


class Preset(enum.StrEnum):
    """How a sender proves itself."""

    NONE = "none"
    STANDARD_WEBHOOKS = "standard_webhooks"
    GITHUB = "github"
    STRIPE = "stripe"
    SLACK = "slack"
    HEADER = "header"
    BASIC = "basic"


class SignatureProblem(enum.StrEnum):
    """Why a request is not taken for its sender's."""

    MISSING_SIGNATURE = "missing_signature"
    BAD_SIGNATURE = "bad_signature"
    STALE_TIMESTAMP = "stale_timestamp"
    SECRET_UNUSABLE = "secret_unusable"  # noqa: S105 - no secret


class SignedRequest(NamedTuple):
    """What a signature is over. `headers` has lower-case names; `body` is as it came."""

    headers: Mapping[str, str]
    body: bytes


def problem_of(
    preset: Preset, request: SignedRequest, *, secret: str, header: str | None, now: datetime.datetime
) -> SignatureProblem | None:
    """Say why a request does not prove itself; None if it does. `header` is the one that preset `header` compares."""
    if preset is Preset.NONE:
        return None
    if preset is Preset.HEADER:
        return _same_text(request.headers.get((header or "").lower()), secret)
    if preset is Preset.BASIC:
        return _basic(request, secret)
    return _SCHEMES[preset](request, secret, now)


def _same_text(given: str | None, expected: str) -> SignatureProblem | None:
    if given is None:
        return SignatureProblem.MISSING_SIGNATURE
    return None if hmac.compare_digest(given.encode(), expected.encode()) else SignatureProblem.BAD_SIGNATURE


def _basic(request: SignedRequest, secret: str) -> SignatureProblem | None:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return SignatureProblem.MISSING_SIGNATURE
    return _same_text(credentials.strip(), base64.b64encode(secret.encode()).decode())


def _standard(request: SignedRequest, secret: str, now: datetime.datetime) -> SignatureProblem | None:
    names = next((prefix for prefix in ("webhook", "svix") if f"{prefix}-id" in request.headers), "webhook")
    message_id, timestamp, signatures = (
        request.headers.get(f"{names}-{part}") for part in ("id", "timestamp", "signature")
    )
    if message_id is None or timestamp is None or signatures is None:
        return SignatureProblem.MISSING_SIGNATURE
    try:
        key = base64.b64decode(secret.removeprefix(_STANDARD_PREFIX), validate=True)
    except binascii.Error:
        return SignatureProblem.SECRET_UNUSABLE
    signed = f"{message_id}.{timestamp}.".encode() + request.body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = (value for version, _, value in (one.partition(",") for one in signatures.split(" ")) if version == "v1")
    return _any_same(given, expected) or _stale(timestamp, now)


def _github(request: SignedRequest, secret: str, _now: datetime.datetime) -> SignatureProblem | None:
    signature = request.headers.get("x-hub-signature-256")
    if signature is None:
        return SignatureProblem.MISSING_SIGNATURE
    return _same_text(signature, f"sha256={_hex(secret, request.body)}")


def _stripe(request: SignedRequest, secret: str, now: datetime.datetime) -> SignatureProblem | None:
    pairs = [one.strip().partition("=") for one in request.headers.get("stripe-signature", "").split(",")]
    timestamp = next((value for name, _, value in pairs if name == "t"), None)
    signatures = [value for name, _, value in pairs if name == "v1"]
    if timestamp is None or not signatures:
        return SignatureProblem.MISSING_SIGNATURE
    return _any_same(signatures, _hex(secret, f"{timestamp}.".encode() + request.body)) or _stale(timestamp, now)


def _slack(request: SignedRequest, secret: str, now: datetime.datetime) -> SignatureProblem | None:
    timestamp, signature = (request.headers.get(f"x-slack-{part}") for part in ("request-timestamp", "signature"))
    if timestamp is None or signature is None:
        return SignatureProblem.MISSING_SIGNATURE
    expected = f"v0={_hex(secret, f'v0:{timestamp}:'.encode() + request.body)}"
    return _same_text(signature, expected) or _stale(timestamp, now)


_SCHEMES: dict[Preset, Callable[[SignedRequest, str, datetime.datetime], SignatureProblem | None]] = {
    Preset.STANDARD_WEBHOOKS: _standard,
    Preset.GITHUB: _github,
    Preset.STRIPE: _stripe,
    Preset.SLACK: _slack,
}


def _hex(secret: str, signed: bytes) -> str:
    return hmac.digest(secret.encode(), signed, hashlib.sha256).hex()


def _any_same(given: Iterable[str], expected: str) -> SignatureProblem | None:
    """A sender that rotates its secret signs with both."""
    return next((None for one in given if _same_text(one, expected) is None), SignatureProblem.BAD_SIGNATURE)


def _stale(timestamp: str, now: datetime.datetime) -> SignatureProblem | None:
    """Judged last: only a timestamp that is signed says when the request was sent."""
    if not _UNIX.fullmatch(timestamp) or abs(int(timestamp) - now.timestamp()) > TOLERANCE_SECONDS:
        return SignatureProblem.STALE_TIMESTAMP
    return None
