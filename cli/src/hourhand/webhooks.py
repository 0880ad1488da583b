"""Verification of Hourhand's requests, which are signed according to Standard Webhooks. Needs no other package."""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence

_PREFIX = "whsec_"
_VERSION = "v1,"


class WebhookVerificationError(Exception):
    """The request is not one that a holder of the secret sent recently."""


def verify_webhook(
    body: bytes | str,
    headers: Mapping[str, str],
    secrets: str | Sequence[str],
    *,
    tolerance_seconds: float = 300.0,
    now: float | None = None,
) -> str:
    """Check the signature and age of a request, and return its `webhook-id`.

    `body` is the raw body, as received and before parsing. `secrets` are one or several `whsec_...`: during a rotation
    either may have signed. The id is the same for every attempt of an execution, so that a receiver can skip one that
    it has processed. `now` is in seconds since 1970. Raises WebhookVerificationError, and ValueError for a secret that
    is none.
    """
    keys = [_key_of(secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    if not keys:
        raise ValueError("Give at least one secret.")
    by_name = {name.lower(): value for name, value in headers.items()}
    message_id, sent_at = by_name.get("webhook-id", ""), by_name.get("webhook-timestamp", "")
    given = by_name.get("webhook-signature", "")
    if not (message_id and sent_at and given):
        raise WebhookVerificationError("The request has no signature.")
    if not (sent_at.isascii() and sent_at.isdecimal()):
        raise WebhookVerificationError("The webhook-timestamp is not a number of seconds.")
    raw = body.encode() if isinstance(body, str) else body
    signed = f"{message_id}.{sent_at}.".encode() + raw
    expected = [_VERSION + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys]
    signatures = given.split(" ")
    # Every pair is compared, so that the time says nothing about which one matched.
    matches = [
        hmac.compare_digest(one.encode(), other.encode("utf-8", "replace")) for one in expected for other in signatures
    ]
    if not any(matches):
        raise WebhookVerificationError("No signature matches.")
    age = (time.time() if now is None else now) - int(sent_at)
    if abs(age) > tolerance_seconds:
        raise WebhookVerificationError(f"The request was signed {abs(age):.0f} s {'ago' if age > 0 else 'ahead'}.")
    return message_id


def _key_of(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (ValueError, binascii.Error) as error:
        raise ValueError("A secret is whsec_ and base64.") from error
    if not key:
        raise ValueError("A secret is whsec_ and base64.")
    return key
