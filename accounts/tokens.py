"""Tokens in URLs that strangers call: derived from the id of a row, so that no table holds them in clear.

A token is the row's UUID and an HMAC-SHA256 of it, cut to 192 bits, in URL-safe base64 without padding: 54 characters.
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

from django.conf import settings
from django.db import connection

from accounts.encryption import Cipher
from accounts.models import InstallationSecret

_KEY_NAME = "tokens"
_KEY_BYTES = 32
_UUID_BYTES = 16
_MAC_BYTES = 24
#: The installation's key, once it is read. It never changes.
_keys: list[bytes] = []
TOKEN_CHARACTERS = 54  # 40 bytes in base64


class Purpose(enum.StrEnum):
    """What a token is good for: one made for something else is refused."""

    WEBHOOK = "webhook"


def token_of(purpose: Purpose, row_id: uuid.UUID) -> str:
    """Derive the token of a row. Raises EncryptionKeyError where no key reads the installation's secret."""
    return base64.urlsafe_b64encode(row_id.bytes + _mac(purpose, row_id.bytes)).rstrip(b"=").decode()


def row_of(purpose: Purpose, token: str) -> uuid.UUID | None:
    """Return the id of the row that a token was derived from; None for anything else. Raises EncryptionKeyError."""
    if len(token) != TOKEN_CHARACTERS or not token.isascii():
        return None
    try:
        raw = base64.b64decode(f"{token}==", altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    row_id, mac = raw[:_UUID_BYTES], raw[_UUID_BYTES:]
    return uuid.UUID(bytes=row_id) if hmac.compare_digest(mac, _mac(purpose, row_id)) else None


def _mac(purpose: Purpose, row_id: bytes) -> bytes:
    return hmac.digest(_key(), purpose.value.encode() + b"\0" + row_id, hashlib.sha256)[:_MAC_BYTES]


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
