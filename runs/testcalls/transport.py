"""How a test call gets from the web to a worker and its answer back: through Redis, sealed, and for seconds only.

A call waits under a key of its own, and whoever takes it deletes it: of several workers one makes it, and a call that
was withdrawn is never made late. While a worker has it, it says so every few seconds, so that its death is noticed long
before the call could have ended. What Redis holds is encrypted: a request that nobody saved may carry a password.
"""

import uuid
from collections.abc import Iterable, Sequence
from functools import cache
from typing import cast

from django.conf import settings

from accounts.encryption import Cipher
from core.redis import redis_client

#: How long a call waits to be taken, and its answer to be read, should whoever asked have died.
LEFT_SECONDS = 30
#: A worker says that it has a call every `HOLD_SECONDS`, and has died where it did not for so long.
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
    """The calls in one Redis. Safe to share between threads. Every verb may raise one of REDIS_ERRORS.

    `leave`, `take`, `give` and `answer` raise EncryptionKeyError where there is no key, or another than the sender's.
    """

    def __init__(self, url: str, encryption_keys: Sequence[str]) -> None:
        self._cipher = Cipher(encryption_keys)
        # One more try: a kept connection may be to a Redis that was restarted since.
        self._redis = redis_client(url, timeout_seconds=_TIMEOUT_SECONDS, connect_seconds=_CONNECT_SECONDS, retries=1)
        self._take = self._redis.register_script(_TAKE)
        self._release = self._redis.register_script(_RELEASE)

    # -- of whoever asks -----------------------------------------------------------------------------------------------

    def leave(self, call_id: str, text: str) -> None:
        """Let a call wait for a worker."""
        self._redis.set(_call(call_id), self._cipher.encrypt(text), ex=LEFT_SECONDS)

    def withdraw(self, call_id: str) -> bool:
        """Take a call back. False where a worker has taken it."""
        return bool(self._redis.delete(_call(call_id)))

    def answer(self, call_id: str, *, wait_seconds: float) -> str | None:
        """The answer to a call, once; None if none came within a time (0: at once)."""
        name = _answer(call_id)
        told = self._redis.blpop([name], timeout=wait_seconds) if wait_seconds else (name, self._redis.lpop(name))
        found = told[1] if told else None
        return None if found is None else self._cipher.decrypt(cast(bytes, found))

    def is_held(self, call_id: str) -> bool:
        """Whether a worker that lives has the call."""
        return bool(self._redis.exists(_held(call_id)))

    def reserve(self, workspace_id: uuid.UUID, call_id: str, *, places: int, seconds: int) -> bool:
        """Take one of a workspace's places, for at most so long. False where none is free."""
        names = (_place(workspace_id, place) for place in range(places))
        return any(self._redis.set(name, call_id, nx=True, ex=seconds) for name in names)

    def release(self, workspace_id: uuid.UUID, call_id: str, *, places: int) -> None:
        """Give the place back that a call had."""
        for place in range(places):
            self._release(keys=[_place(workspace_id, place)], args=[call_id])

    # -- of workers ----------------------------------------------------------------------------------------------------

    def take(self, call_id: str) -> str | None:
        """Make a call one's own; None where another worker has it, or nobody wants it any more."""
        found = self._take(keys=[_call(call_id), _held(call_id)], args=[HELD_SECONDS])
        return None if found is None else self._cipher.decrypt(found)

    def hold(self, call_ids: Iterable[str]) -> None:
        """Say that these calls are still made."""
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


def _place(workspace_id: uuid.UUID, place: int) -> str:
    return f"{_PREFIX}{workspace_id}:place:{place}"


@cache
def _mailbox(url: str, encryption_keys: tuple[str, ...]) -> Mailbox:
    return Mailbox(url, encryption_keys)


def mailbox() -> Mailbox:
    """This process's door to the calls. Raises EncryptionKeyError for a malformed key."""
    return _mailbox(settings.REDIS_URL, tuple(settings.ENCRYPTION_KEYS))
