"""Tokens in URLs that strangers call: derived from the id of a row, so that no table holds them in clear.

A token is the row's UUID, a number and an HMAC-SHA256 of both, cut to 192 bits, in URL-safe base64: 56 characters.
The key is random, made once per installation and kept encrypted; rotating HOURHAND_ENCRYPTION_KEYS encrypts it anew and
changes no token.
"""

import base64
import binascii
import enum
import hashlib
import hmac
import secrets
import uuid
from typing import NamedTuple

from django.conf import settings
from django.db import connection

from accounts.encryption import Cipher
from accounts.models import InstallationSecret

_KEY_NAME = "tokens"
_KEY_BYTES = 32
_UUID_BYTES = 16
_NUMBER_BYTES = 2
_MAC_BYTES = 24
#: The installation's key, once it is read. It never changes.
_keys: list[bytes] = []
TOKEN_CHARACTERS = 56  # 42 bytes in base64


class Purpose(enum.StrEnum):
    """What a token is good for: one made for something else is refused."""

    WEBHOOK = "webhook"
    RESUME = "resume"


class TokenSubject(NamedTuple):
    """What a token was derived from: the row, and which of the row's tokens it is."""

    row_id: uuid.UUID
    number: int


def token_of(purpose: Purpose, row_id: uuid.UUID, number: int) -> str:
    """Derive a token of a row; `number` tells its tokens apart. Raises EncryptionKeyError where no key reads the
    installation's secret.
    """
    subject = row_id.bytes + number.to_bytes(_NUMBER_BYTES)
    return base64.urlsafe_b64encode(subject + _mac(purpose, subject)).decode()


def subject_of(purpose: Purpose, token: str) -> TokenSubject | None:
    """Return what a token was derived from; None for any other text. Raises EncryptionKeyError."""
    if len(token) != TOKEN_CHARACTERS or not token.isascii():
        return None
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    subject, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(purpose, subject)):
        return None
    return TokenSubject(uuid.UUID(bytes=subject[:_UUID_BYTES]), int.from_bytes(subject[_UUID_BYTES:]))


def _mac(purpose: Purpose, subject: bytes) -> bytes:
    return hmac.digest(_key(), purpose.value.encode() + b"\0" + subject, hashlib.sha256)[:_MAC_BYTES]


def _key() -> bytes:
    """Read the installation's secret, or make it: the first process that commits it elects it."""
    if _keys:
        return _keys[0]
    cipher = Cipher(settings.ENCRYPTION_KEYS)
    row = InstallationSecret.objects.filter(name=_KEY_NAME).first()
    if row is None:
        new = InstallationSecret(name=_KEY_NAME, encrypted=cipher.encrypt(secrets.token_hex(_KEY_BYTES)))
        InstallationSecret.objects.bulk_create([new], ignore_conflicts=True)
        row = InstallationSecret.objects.get(name=_KEY_NAME)
    key = bytes.fromhex(cipher.decrypt(bytes(row.encrypted)))
    if not connection.in_atomic_block:  # A transaction may roll back the row that it made.
        _keys.append(key)
    return key
