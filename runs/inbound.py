"""A request to one of the URLs that strangers call, and whether it proves its sender."""

import base64
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from accounts.encryption import Cipher, EncryptionKeyError
from jobs.definition.webhook_signatures import Preset, SignatureProblem, SignedRequest, problem_of
from runs.states import WebhookReason


@dataclass(frozen=True, slots=True)
class InboundRequest:
    """A request as it came. `headers` has lower-case names; `query` the last value of each parameter.

    `body` is None where it is larger than any that is taken; `input` is what it says, None with a `problem` where it
    can't be read.
    """

    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes | None
    body_bytes: int
    input: Any = None
    problem: WebhookReason | None = None


def unproven(
    request: InboundRequest,
    preset: Preset,
    *,
    header: str | None,
    encrypted_secret: str | None,
    now: datetime.datetime,
) -> SignatureProblem | None:
    """Say why a request does not prove its sender; None if it does. The secret is encrypted, in base64."""
    if preset is Preset.NONE:
        return None
    try:
        secret = encrypted_secret and Cipher(settings.ENCRYPTION_KEYS).decrypt(base64.b64decode(encrypted_secret))
    except EncryptionKeyError:
        secret = None
    if not secret:
        return SignatureProblem.SECRET_UNUSABLE
    signed = SignedRequest(request.headers, request.body or b"")
    return problem_of(preset, signed, secret=secret, header=header, now=now)
