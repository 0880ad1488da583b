"""The live tail: which executions have changed, for whoever listens. A stream in Redis for each workspace.

Whoever changes executions says so after the commit, with their ids only: a listener reads the rows, and sees them as
they are by then. Nothing is kept but for workspaces that somebody listens to, or did a moment ago. It is a convenience
on top of the rows: a Redis that is away, or more changes than can be told, cost listeners a `gap`, and nobody else
anything.
"""

import collections
import contextlib
import re
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from redis.exceptions import RedisError

from core.redis import async_redis_client, redis_client

log = structlog.get_logger(__name__)

#: A change: the ids of its workspace and of the execution, as text.
Change = tuple[str, str]
#: A workspace's stream holds about so many entries; each has at most so many ids.
KEPT_ENTRIES = 1000
ENTRY_IDS = 500
#: A workspace's changes are kept for so long after the last listener was there, so that it can come back.
KEPT_SECONDS = 300
#: Batches of changes that wait to be told; beyond them the oldest are dropped.
_MOST_WAITING = 2000
#: Changes are told this often, so that many small ones make one entry.
_TELL_SECONDS = 0.1
_PAUSE_SECONDS = 2.0
_TIMEOUT_SECONDS = 1.0
_READ_ENTRIES = 10
_WANTED = "hourhand:tail:wanted"
_POSITION = re.compile(r"\d{1,20}-\d{1,20}")
# One call for all workspaces of a turn. KEYS: who is listened to, then a stream for each text of ids in ARGV. Of
# streams that nobody wants nothing is kept. ARGV[3] is 1 to tell all listeners that something could not be told.
_TELL = """
local clock = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', clock[1])
if redis.call('ZCARD', KEYS[1]) == 0 then return end
local function append(stream, field, value)
  redis.call('XADD', stream, 'MAXLEN', '~', ARGV[1], '*', field, value)
  redis.call('EXPIRE', stream, ARGV[2])
end
if ARGV[3] == '1' then
  for _, stream in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do append(stream, 'gap', '1') end
end
for place = 2, #KEYS do
  if redis.call('ZSCORE', KEYS[1], KEYS[place]) then append(KEYS[place], 'ids', ARGV[place + 2]) end
end
"""
# KEYS: who is listened to, the stream. Whether the position is known, and what comes after it, are read as one: an
# entry that was dropped in between would go unnoticed.
_READ = """
local known = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])
return {#known, redis.call('XRANGE', KEYS[2], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])}
"""
_WANT = """
local clock = redis.call('TIME')
redis.call('ZADD', KEYS[1], clock[1] + ARGV[1], KEYS[2])
redis.call('EXPIRE', KEYS[1], 2 * ARGV[1])
if ARGV[2] == '1' then
  local position = redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'opened', '1')
  redis.call('EXPIRE', KEYS[2], ARGV[1])
  return position
end
"""


class TailAwayError(Exception):
    """Redis can't be asked."""


@dataclass(frozen=True, slots=True)
class News:
    """What has changed up to a position: ids without repeats. `gap`: something before them can't be told any more."""

    ids: tuple[str, ...]
    gap: bool
    position: str


def tell(changes: Iterable[Change]) -> None:
    """Say that executions have changed, once that is committed. Never blocks, never raises."""
    _teller().tell(list(changes))


def tell_on_commit(changes: Iterable[Change]) -> None:
    """Say so when Django's transaction is committed."""
    known = list(changes)
    if known:
        transaction.on_commit(lambda: tell(known))


def finish_telling(seconds: float) -> None:
    """Let what was said be told, for at most this long: before a process ends."""
    _teller().finish(seconds)


class Teller:
    """Tells from a thread of its own, in few calls, however many changes there are."""

    def __init__(self, url: str) -> None:
        self._redis = redis_client(url, timeout_seconds=_TIMEOUT_SECONDS, decode=True)
        self._script = self._redis.register_script(_TELL)
        self._waiting: collections.deque[list[Change]] = collections.deque()
        self._missed = False
        self._arrived = threading.Event()
        self._idle = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def tell(self, changes: list[Change]) -> None:
        if not changes:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._missed = True
            return
        self._idle.clear()
        self._waiting.append(changes)
        self._arrived.set()
        if self._thread is None:
            self._start()

    def finish(self, seconds: float) -> None:
        if self._waiting:
            self._idle.wait(seconds)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="teller", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            self._arrived.wait()
            self._arrived.clear()
            try:
                self._turn()
            except Exception as error:  # Redis is away; or a fault of ours, that must not end the telling for good.
                log.warning("tail_untold", error=str(error))
                self._missed = True
                time.sleep(_PAUSE_SECONDS)
            if not self._waiting:
                self._idle.set()
            time.sleep(_TELL_SECONDS)

    def _turn(self) -> None:
        by_workspace: dict[str, dict[str, None]] = {}
        while self._waiting:
            for workspace_id, execution_id in self._waiting.popleft():
                by_workspace.setdefault(workspace_id, {})[execution_id] = None
        keys, texts = [_WANTED], []
        for workspace_id, ids in by_workspace.items():
            for text in _texts(list(ids)):
                keys.append(_stream(workspace_id))
                texts.append(text)
        missed, self._missed = self._missed, False
        self._script(keys=keys, args=[KEPT_ENTRIES, KEPT_SECONDS, int(missed), *texts])


def start_listening(workspace_id: Any, position: str | None = None) -> str:
    """From now on this workspace's changes are kept. Answers the position to listen from: that of an earlier listener,
    or the present one. Raises TailAwayError.
    """
    with redis_client(settings.REDIS_URL, timeout_seconds=2 * _TIMEOUT_SECONDS, decode=True) as client, _told():
        opened = client.register_script(_WANT)(
            keys=[_WANTED, _stream(workspace_id)], args=[KEPT_SECONDS, int(position is None), KEPT_ENTRIES]
        )
    return position or str(opened)


class Reader:
    """Reads one workspace's changes after a position, in an event loop. Each verb may raise TailAwayError."""

    def __init__(self, workspace_id: Any, position: str) -> None:
        self.position = position
        self._redis = async_redis_client(settings.REDIS_URL, timeout_seconds=2 * _TIMEOUT_SECONDS, decode=True)
        self._want = self._redis.register_script(_WANT)
        self._read = self._redis.register_script(_READ)
        self._keys = [_WANTED, _stream(workspace_id)]

    async def stay(self) -> None:
        """Say now and then that somebody is still listening."""
        with _told():
            await self._want(keys=self._keys, args=[KEPT_SECONDS, 0, KEPT_ENTRIES])

    async def news(self, *, seconds: float) -> News | None:
        """What came after the position, which moves on. Waits for it a while, then answers None."""
        with _told():
            found = await self._after_position()
            if found is None and await self._redis.xread({self._keys[1]: self.position}, 1, int(seconds * 1000)):
                found = await self._after_position()
        return found

    async def close(self) -> None:
        await self._redis.aclose()

    async def _after_position(self) -> News | None:
        known, entries = await self._read(keys=self._keys, args=[self.position, _READ_ENTRIES])
        if known and not entries:
            return None
        ids: dict[str, None] = {}
        gap = not known
        for position, (field, value) in entries:
            self.position = position
            gap = gap or field == "gap"
            ids.update(dict.fromkeys(value.split() if field == "ids" else ()))
        if not known and not entries:
            self.position = await self._want(keys=self._keys, args=[KEPT_SECONDS, 1, KEPT_ENTRIES])
        return News(tuple(ids), gap, self.position)


def is_after(position: str, other: str) -> bool:
    """Whether a position comes after another."""
    return _numbers(position) > _numbers(other)


def _numbers(position: str) -> tuple[int, ...]:
    return tuple(map(int, position.split("-")))


def is_position(text: str) -> bool:
    """Whether a text has the form of a position."""
    return _POSITION.fullmatch(text) is not None


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise TailAwayError(str(error)) from error


def _texts(ids: Collection[str]) -> Iterator[str]:
    listed = list(ids)
    for first in range(0, len(listed), ENTRY_IDS):
        yield " ".join(listed[first : first + ENTRY_IDS])


def _stream(workspace_id: Any) -> str:
    return f"hourhand:tail:{workspace_id}"


@cache
def _teller_of(url: str) -> Teller:
    return Teller(url)


def _teller() -> Teller:
    """This process's teller."""
    return _teller_of(settings.REDIS_URL)
