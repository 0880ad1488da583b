"""Standard Webhooks signatures, version 1, which prove that a request is Hourhand's and unchanged. Pure.

Source: the Standard Webhooks specification 1.0.0 (standardwebhooks.com), "Signature scheme". The signed content is
`<webhook-id>.<webhook-timestamp>.<body>` with the bytes of the body as sent, or none. A secret is `whsec_` and the
standard base64 of 24 to 64 random bytes, the key.
"""

import base64
import binascii
import datetime
import hmac
from collections.abc import Sequence
from typing import NamedTuple

_SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix
_SCHEME = "v1"  # HMAC-SHA256
_MIN_KEY_BYTES, _MAX_KEY_BYTES = 24, 64
#: A request that waits longer than this for its turn is signed again. Receivers usually tolerate five minutes, which is
#: also how long a request may wait for a host whose calls take their 300 s.
FRESH_SECONDS = 30.0


def key_of(secret: str) -> hmac.HMAC:
    """Read a secret as a ready HMAC key. Raises ValueError, which does not quote the secret, for any other text."""
    encoded = secret.removeprefix(_SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if encoded == secret or not _MIN_KEY_BYTES <= len(key) <= _MAX_KEY_BYTES:
        raise ValueError("A signing secret is whsec_ and the base64 of 24 to 64 bytes.")
    return hmac.new(key, digestmod="sha256")


def message_id_of(execution_id: str) -> str:
    """The `webhook-id` of an execution: the same for all attempts, so that a receiver can recognize a repetition."""
    return f"msg_{execution_id}"


def signature_headers(
    keys: Sequence[hmac.HMAC], *, message_id: str, timestamp: int, body: bytes | None
) -> tuple[tuple[str, str], ...]:
    """Sign a request: one signature for each key, in their order; no headers without a key.

    `timestamp` is in whole seconds since 1970, `body` the bytes as sent.
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
    # Not hmac.digest: it releases the interpreter lock, and gets it back only a thread's turn later.
    code = key.copy()
    code.update(signed)
    return binascii.b2a_base64(code.digest(), newline=False).decode()


class SigningKey(NamedTuple):
    """A key, and the instant from which it no longer signs; None if that is not known yet."""

    key: hmac.HMAC
    retires_at: datetime.datetime | None


class Signature(NamedTuple):
    """The signature of one request, and all it takes to sign it again. `at` is the database's clock at `monotonic`."""

    keys: tuple[SigningKey, ...]
    message_id: str
    at: datetime.datetime
    monotonic: float
    headers: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return f"Signature({self.message_id!r}, {self.at!r})"

    @classmethod
    def create(
        cls,
        keys: tuple[SigningKey, ...],
        *,
        message_id: str,
        body: bytes | None,
        at: datetime.datetime,
        monotonic: float,
    ) -> "Signature":
        live = [key.key for key in keys if key.retires_at is None or key.retires_at > at]
        headers = signature_headers(live, message_id=message_id, timestamp=int(at.timestamp()), body=body)
        return cls(keys, message_id, at, monotonic, headers)

    def renewed(self, body: bytes | None, *, monotonic: float) -> "Signature":
        """The signature to send at `monotonic`: this one while it is fresh, else a new one."""
        waited_seconds = monotonic - self.monotonic
        if waited_seconds < FRESH_SECONDS:
            return self
        at = self.at + datetime.timedelta(seconds=waited_seconds)
        return Signature.create(self.keys, message_id=self.message_id, body=body, at=at, monotonic=monotonic)
