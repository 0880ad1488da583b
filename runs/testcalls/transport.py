"""Carries test calls from the web to a worker, and answers back: through Redis, encrypted, and for seconds only.

A call waits under a key of its own, and the worker that takes it deletes the key: one of several workers makes it, and
a call that was withdrawn is never made late. While a worker has the call, it renews a key every few seconds, so that
its death is noticed long before the call would have ended. A request that was not saved may contain a password: hence
the encryption.
"""

import uuid
from collections.abc import Iterable, Sequence
from functools import cache
from typing import cast

from django.conf import settings

from accounts.encryption import Cipher
from core.redis import redis_client

#: How long Redis keeps a call that is not taken, or an answer that is not read, after its caller has died.
LEFT_SECONDS = 30
#: A worker renews its hold on a call this often, and counts as dead after `HELD_SECONDS` without.
HOLD_SECONDS, HELD_SECONDS = 1.5, 6
_TIMEOUT_SECONDS, _CONNECT_SECONDS = 5.0, 1.0
_PREFIX = "hourhand:test-call:"
_TAKE = """
local call = redis.call('GET', KEYS[1])
if call then
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[2], '1', 'EX', ARGV[1])
end
return call
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class Mailbox:
    """The calls in one Redis. Safe to share between threads. Its methods raise REDIS_ERRORS.

    `leave`, `take`, `give` and `answer` raise EncryptionKeyError without a key, or with another than the sender's.
    """

    def __init__(self, url: str, encryption_keys: Sequence[str]) -> None:
        self._cipher = Cipher(encryption_keys)
        # One retry: Redis may have restarted since a pooled connection was made.
        self._redis = redis_client(url, timeout_seconds=_TIMEOUT_SECONDS, connect_seconds=_CONNECT_SECONDS, retries=1)
        self._take = self._redis.register_script(_TAKE)
        self._release = self._redis.register_script(_RELEASE)

    # -- of the caller -------------------------------------------------------------------------------------------------

    def leave(self, call_id: str, text: str) -> None:
        """Leave a call for a worker."""
        self._redis.set(_call(call_id), self._cipher.encrypt(text), ex=LEFT_SECONDS)

    def withdraw(self, call_id: str) -> bool:
        """Take a call back. False if a worker has taken it."""
        return bool(self._redis.delete(_call(call_id)))

    def answer(self, call_id: str, *, wait_seconds: float) -> str | None:
        """Take the answer to a call. None if none comes within `wait_seconds`."""
        name = _answer(call_id)
        popped = self._redis.blpop([name], timeout=wait_seconds) if wait_seconds else (name, self._redis.lpop(name))
        sealed = popped[1] if popped else None
        return None if sealed is None else self._cipher.decrypt(cast(bytes, sealed))

    def is_held(self, call_id: str) -> bool:
        """Whether a living worker has the call."""
        return bool(self._redis.exists(_held(call_id)))

    def reserve(self, workspace_id: uuid.UUID, call_id: str, *, slots: int, seconds: int) -> bool:
        """Reserve one of a workspace's slots, for at most `seconds`. False if none is free."""
        names = (_slot(workspace_id, number) for number in range(slots))
        return any(self._redis.set(name, call_id, nx=True, ex=seconds) for name in names)

    def release(self, workspace_id: uuid.UUID, call_id: str, *, slots: int) -> None:
        """Release a call's slot."""
        for number in range(slots):
            self._release(keys=[_slot(workspace_id, number)], args=[call_id])

    # -- of workers ----------------------------------------------------------------------------------------------------

    def take(self, call_id: str) -> str | None:
        """Take a call. None if another worker has it, or it was withdrawn."""
        sealed = self._take(keys=[_call(call_id), _held(call_id)], args=[HELD_SECONDS])
        return None if sealed is None else self._cipher.decrypt(sealed)

    def hold(self, call_ids: Iterable[str]) -> None:
        """Renew the hold on these calls."""
        pipeline = self._redis.pipeline(transaction=False)
        for call_id in call_ids:
            pipeline.set(_held(call_id), 1, ex=HELD_SECONDS)
        pipeline.execute()

    def give(self, call_id: str, text: str) -> None:
        """Answer a call."""
        pipeline = self._redis.pipeline()
        pipeline.rpush(_answer(call_id), self._cipher.encrypt(text))
        pipeline.expire(_answer(call_id), LEFT_SECONDS)
        pipeline.execute()


def _call(call_id: str) -> str:
    return f"{_PREFIX}{call_id}:call"


def _held(call_id: str) -> str:
    return f"{_PREFIX}{call_id}:held"


def _answer(call_id: str) -> str:
    return f"{_PREFIX}{call_id}:answer"


def _slot(workspace_id: uuid.UUID, number: int) -> str:
    return f"{_PREFIX}{workspace_id}:slot:{number}"


@cache
def _mailbox(url: str, encryption_keys: tuple[str, ...]) -> Mailbox:
    return Mailbox(url, encryption_keys)


def mailbox() -> Mailbox:
    """This process's mailbox. Raises EncryptionKeyError for a malformed key."""
    return _mailbox(settings.REDIS_URL, tuple(settings.ENCRYPTION_KEYS))
