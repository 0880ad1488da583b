"""The format of API keys. A key is shown once and stored as a digest."""

import hashlib
import secrets

_PREFIX_LENGTH = 11  # "hh_" and eight characters: enough to tell keys apart, useless to an attacker


def new_key() -> tuple[str, str, str]:
    """Return a new key, its prefix for display, and its digest."""
    key = f"hh_{secrets.token_urlsafe(32)}"
    return key, key[:_PREFIX_LENGTH], digest_of(key)


def digest_of(key: str) -> str:
    """Return the SHA-256 of a key, in hex."""
    return hashlib.sha256(key.encode()).hexdigest()
