"""The shape of API keys: made once, shown once, kept as a digest."""

import hashlib
import secrets

_PREFIX_LENGTH = 11  # "hh_" and eight characters: enough to tell keys apart, useless to an attacker


def new_key() -> tuple[str, str, str]:
    """A new key as (the key itself, its prefix for display, its digest)."""
    key = f"hh_{secrets.token_urlsafe(32)}"
    return key, key[:_PREFIX_LENGTH], digest_of(key)


def digest_of(key: str) -> str:
    """SHA-256 of a key, in hex."""
    return hashlib.sha256(key.encode()).hexdigest()
