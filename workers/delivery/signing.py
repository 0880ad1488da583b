"""Standard Webhooks signatures, version 1: how a receiver knows that a request is Hourhand's and is unchanged. Pure.

Source: the Standard Webhooks specification 1.0.0 (standardwebhooks.com), "Signature scheme". What is signed is
`<webhook-id>.<webhook-timestamp>.<body>`, with the body's bytes as they are sent; a request without a body has an empty
one. A secret is written `whsec_` and the standard base64 of 24 to 64 random bytes; those bytes are the key.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence

_SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
_SCHEME = "v1"  # HMAC-SHA256
_MIN_KEY_BYTES, _MAX_KEY_BYTES = 24, 64


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
    return base64.b64encode(code.digest()).decode()
