"""The signing keys of the workspaces that a worker claims for, kept for a few seconds."""

import datetime
import time
from collections.abc import Iterable, Sequence
from typing import Any

import structlog

from accounts.encryption import Cipher, EncryptionKeyError
from workers.delivery.signing import Signature, SigningKey, key_of, message_id_of

log = structlog.get_logger(__name__)

#: A rotation reaches every worker within this time.
REMEMBER_SECONDS = 3.0
_MOST_WORKSPACES = 10_000
# Newest first: PostgreSQL puts null, which never retires, before every instant.
_LIVE = """
    SELECT workspace_id::text, value, retires_at FROM accounts_signingsecret
     WHERE workspace_id = ANY(%s::uuid[]) AND (retires_at IS NULL OR retires_at > clock_timestamp())
     ORDER BY retires_at DESC
"""


class Keyring:
    """Signs for whole batches: one query for all workspaces whose keys are not fresh. For one thread at a time.

    What can't be signed goes out unsigned: a workspace without a secret, or one that no encryption key reads.
    """

    def __init__(self, encryption_keys: Sequence[str]) -> None:
        self._cipher = _cipher(encryption_keys)
        self._keys: dict[str, tuple[SigningKey, ...]] = {}
        self._stale_at: dict[str, float] = {}

    def refresh(self, cursor: Any, workspace_ids: Iterable[str]) -> None:
        """Read the keys of these workspaces again, where that was longer ago than REMEMBER_SECONDS."""
        now = time.monotonic()
        stale = [workspace for workspace in workspace_ids if self._stale_at.get(workspace, 0.0) <= now]
        if self._cipher is None or not stale:
            return
        if len(self._keys) > _MOST_WORKSPACES:
            self._keys.clear()
            self._stale_at.clear()
        cursor.execute(_LIVE, [stale])
        found: dict[str, list[SigningKey]] = {workspace: [] for workspace in stale}
        for workspace, value, retires_at in cursor.fetchall():
            found[workspace].extend(self._read(self._cipher, workspace, bytes(value), retires_at))
        self._keys |= {workspace: tuple(keys) for workspace, keys in found.items()}
        self._stale_at |= dict.fromkeys(stale, now + REMEMBER_SECONDS)

    def sign(
        self, workspace_id: str, *, execution_id: str, body: bytes | None, at: datetime.datetime, monotonic: float
    ) -> Signature:
        """What signs an attempt made `at` this instant, which was `monotonic`; no headers where there is no key."""
        keys, message_id = self._keys.get(workspace_id, ()), message_id_of(execution_id)
        return Signature.create(keys, message_id=message_id, body=body, at=at, monotonic=monotonic)

    @staticmethod
    def _read(cipher: Cipher, workspace: str, value: bytes, retires_at: datetime.datetime | None) -> list[SigningKey]:
        try:
            return [SigningKey(key_of(cipher.decrypt(value)), retires_at)]
        except (EncryptionKeyError, ValueError) as error:
            log.warning("signing_secret_unreadable", workspace_id=workspace, error=str(error))
            return []


def _cipher(encryption_keys: Sequence[str]) -> Cipher | None:
    """None, and so no signatures, without a key or with a malformed one."""
    try:
        return Cipher(encryption_keys) if encryption_keys else None
    except EncryptionKeyError as error:
        log.error("requests_unsigned", error=str(error))
        return None
