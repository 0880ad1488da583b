"""Standard Webhooks signatures, version 1: how a receiver knows that a request is Hourhand's and is unchanged. Pure.

Source: the Standard Webhooks specification 1.0.0 (standardwebhooks.com), "Signature scheme". What is signed is
`<webhook-id>.<webhook-timestamp>.<body>`, with the body's bytes as they are sent; a request without a body has an empty
one. A secret is written `whsec_` and the standard base64 of 24 to 64 random bytes; those bytes are the key.
"""

import base64
import binascii
import datetime
import hmac
from collections.abc import Sequence
from typing import NamedTuple

_SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
_SCHEME = "v1"  # HMAC-SHA256
_MIN_KEY_BYTES, _MAX_KEY_BYTES = 24, 64
#: A request that waits longer than this for its turn is signed again. Receivers tolerate five minutes as a rule, and
#: who waits for a place at a host whose calls take their 300 s may wait as long.
FRESH_SECONDS = 30.0


def key_of(secret: str) -> hmac.HMAC:
    """The key that a secret writes down, set up. Raises ValueError, without the secret, for text that is none."""
    encoded = secret.removeprefix(_SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if encoded == secret or not _MIN_KEY_BYTES <= len(key) <= _MAX_KEY_BYTES:
        raise ValueError("A signing secret is whsec_ and the base64 of 24 to 64 bytes.")
    return hmac.new(key, digestmod="sha256")


def message_id_of(execution_id: str) -> str:
    """The `webhook-id` of an execution: the same for all its attempts, so that a receiver can tell a repetition."""
    return f"msg_{execution_id}"


def signature_headers(
    keys: Sequence[hmac.HMAC], *, message_id: str, timestamp: int, body: bytes | None
) -> tuple[tuple[str, str], ...]:
    """The headers that sign a request: none without a key, and one signature for each key, in their order.

    `timestamp` is in whole seconds since 1970, `body` what is sent, byte for byte.
    """
    if not keys:
        return ()
    signed = f"{message_id}.{timestamp}.".encode() + (body or b"")
    signatures = [f"{_SCHEME},{_signature(key, signed)}" for key in keys]
    return (
        ("webhook-id", message_id),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", " ".join(signatures)),
    )


def _signature(key: hmac.HMAC, signed: bytes) -> str:
    # Not hmac.digest: that lets go of the interpreter lock, and gets it back a thread's turn later, for every request.
    code = key.copy()
    code.update(signed)
    return binascii.b2a_base64(code.digest(), newline=False).decode()


class SigningKey(NamedTuple):
    """A key, and the instant from which it signs no more; None: not known yet."""

    key: hmac.HMAC
    retires_at: datetime.datetime | None


class Signature(NamedTuple):
    """What signs one request, and what it takes to sign it again. `at` is the database's clock at `monotonic`."""

    keys: tuple[SigningKey, ...]
    message_id: str
    at: datetime.datetime
    monotonic: float
    headers: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return f"Signature({self.message_id!r}, {self.at!r})"

    @classmethod
    def made(
        cls,
        keys: tuple[SigningKey, ...],
        *,
        message_id: str,
        body: bytes | None,
        at: datetime.datetime,
        monotonic: float,
    ) -> "Signature":
        live = [known.key for known in keys if known.retires_at is None or known.retires_at > at]
        headers = signature_headers(live, message_id=message_id, timestamp=int(at.timestamp()), body=body)
        return cls(keys, message_id, at, monotonic, headers)

    def renewed(self, body: bytes | None, *, monotonic: float) -> "Signature":
        """The signature to send at `monotonic`: this one while it is fresh."""
        waited_seconds = monotonic - self.monotonic
        if waited_seconds < FRESH_SECONDS:
            return self
        at = self.at + datetime.timedelta(seconds=waited_seconds)
        return Signature.made(self.keys, message_id=self.message_id, body=body, at=at, monotonic=monotonic)
