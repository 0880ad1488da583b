"""Encryption at rest with a list of keys: the first one encrypts, every one decrypts, so that keys can be rotated.

Fernet (AES-128-CBC with HMAC-SHA256), as the `cryptography` package implements it. Imports no Django.
"""

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class EncryptionKeyError(Exception):
    """No key is set, a key is malformed, or no key decrypts the value."""


def new_encryption_key() -> str:
    """Return a new random key in the format of HOURHAND_ENCRYPTION_KEYS."""
    return Fernet.generate_key().decode()


class Cipher:
    """Encrypt with the first of `keys`, decrypt with any. Raises EncryptionKeyError for a malformed key."""

    def __init__(self, keys: Sequence[str]) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys]) if keys else None
        except ValueError as error:
            raise EncryptionKeyError(
                "HOURHAND_ENCRYPTION_KEYS: each key must be 32 bytes in URL-safe base64."
            ) from error

    def encrypt(self, text: str) -> bytes:
        return self._keys().encrypt(text.encode())

    def decrypt(self, token: bytes) -> str:
        try:
            return self._keys().decrypt(token).decode()
        except InvalidToken as error:
            raise EncryptionKeyError("HOURHAND_ENCRYPTION_KEYS: none of the keys decrypts this value.") from error

    def rotate(self, token: bytes) -> bytes:
        """Re-encrypt a value with the first key."""
        try:
            return self._keys().rotate(token)
        except InvalidToken as error:
            raise EncryptionKeyError("HOURHAND_ENCRYPTION_KEYS: none of the keys decrypts this value.") from error

    def _keys(self) -> MultiFernet:
        if self._fernet is None:
            raise EncryptionKeyError("HOURHAND_ENCRYPTION_KEYS: set it to store secrets, or start with bin/up.")
        return self._fernet
