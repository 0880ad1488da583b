"""The signing keys of the workspaces that a worker claims for."""

import datetime
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import structlog

from accounts.encryption import Cipher, EncryptionKeyError
from core.cache import TtlCache
from workers.delivery.signing import SigningKey, key_of

log = structlog.get_logger(__name__)

#: A rotation reaches every worker within this time.
TTL_SECONDS = 3.0
_MAX_WORKSPACES = 10_000
# Newest first: PostgreSQL puts null, which never retires, before every instant.
_LIVE = """
    SELECT workspace_id::text, value, retires_at FROM accounts_signingsecret
     WHERE workspace_id = ANY(%s::uuid[]) AND (retires_at IS NULL OR retires_at > clock_timestamp())
     ORDER BY retires_at DESC
"""


class Keyring:
    """Reads and caches signing keys. A workspace has none if it has no secret, or if no encryption key reads it."""

    def __init__(self, encryption_keys: Sequence[str]) -> None:
        self._cipher = _cipher(encryption_keys)
        self._keys: TtlCache[str, tuple[SigningKey, ...]] = TtlCache(TTL_SECONDS, max_entries=_MAX_WORKSPACES)

    def keys_of(self, cursor: Any, workspace_ids: Collection[str]) -> dict[str, tuple[SigningKey, ...]]:
        """The keys by workspace, the newest first. At most one query, for the workspaces that are not cached."""
        if self._cipher is None:
            return {}
        return self._keys.get_many(workspace_ids, partial(self._load, cursor, self._cipher))

    @staticmethod
    def _load(cursor: Any, cipher: Cipher, workspace_ids: set[str]) -> dict[str, tuple[SigningKey, ...]]:
        cursor.execute(_LIVE, [list(workspace_ids)])
        keys: dict[str, tuple[SigningKey, ...]] = dict.fromkeys(workspace_ids, ())
        for workspace_id, value, retires_at in cursor.fetchall():
            keys[workspace_id] += _decrypted(cipher, workspace_id, bytes(value), retires_at)
        return keys


def _decrypted(
    cipher: Cipher, workspace_id: str, value: bytes, retires_at: datetime.datetime | None
) -> tuple[SigningKey, ...]:
    try:
        return (SigningKey(key_of(cipher.decrypt(value)), retires_at),)
    except (EncryptionKeyError, ValueError) as error:
        log.warning("signing_secret_unreadable", workspace_id=workspace_id, error=str(error))
        return ()


def _cipher(encryption_keys: Sequence[str]) -> Cipher | None:
    """None, and so no signatures, without a key or with a malformed one."""
    try:
        return Cipher(encryption_keys) if encryption_keys else None
    except EncryptionKeyError as error:
        log.error("requests_unsigned", error=str(error))
        return None
