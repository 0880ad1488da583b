"""The live tail: which executions have changed, published to listeners. A Redis stream for each workspace.

Code that changes executions publishes their ids after the commit; a listener reads the rows, and sees them as they are
by then. Only workspaces with a listener, now or a moment ago, have a stream. The tail is a convenience on top of the
rows: a Redis that is away, or more changes than can be published, costs listeners a `gap`, and nothing else.
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
#: The entries of a workspace's stream, approximately, and the most ids in each.
KEPT_ENTRIES = 1000
ENTRY_IDS = 500
#: A workspace's stream is kept for this long after the last listener left, so that it can resume.
KEPT_SECONDS = 300
#: Lists of changes that wait to be published; any more are dropped.
_MAX_WAITING = 2000
#: Changes are published this often, so that many small ones make one entry.
_PUBLISH_SECONDS = 0.1
_PAUSE_SECONDS = 2.0
_TIMEOUT_SECONDS = 1.0
_READ_ENTRIES = 10
_LISTENED = "hourhand:tail:wanted"
_POSITION = re.compile(r"\d{1,20}-\d{1,20}")
# One call for all workspaces. KEYS: the streams with listeners, as a sorted set by when that ends, then a stream for
# each text of ids in ARGV. Streams without listeners get no entry. With ARGV[3] = 1 each listener gets a gap.
_PUBLISH = """
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
for index = 2, #KEYS do
  if redis.call('ZSCORE', KEYS[1], KEYS[index]) then append(KEYS[index], 'ids', ARGV[index + 2]) end
end
"""
# KEYS: the streams with listeners, the stream. One call reads both whether the entry at the position is kept and what
# follows it: an entry that was dropped between two calls would go unnoticed.
_READ = """
local kept = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])
return {#kept, redis.call('XRANGE', KEYS[2], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])}
"""
_LISTEN = """
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
    """Redis does not answer."""


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """The executions that changed up to a position, without repeats. `gap`: some changes before them are lost."""

    ids: tuple[str, ...]
    gap: bool
    position: str


def publish(changes: Iterable[Change]) -> None:
    """Publish committed changes of executions. Never blocks, never raises."""
    _publisher().publish(list(changes))


def publish_on_commit(changes: Iterable[Change]) -> None:
    """Publish changes of executions when Django's transaction is committed."""
    listed = list(changes)
    if listed:
        transaction.on_commit(lambda: publish(listed))


def finish_publishing(seconds: float) -> None:
    """Wait until all changes are published, for at most this long: before a process ends."""
    _publisher().finish(seconds)


class Publisher:
    """Publishes from a thread of its own, in few calls, however many changes there are."""

    def __init__(self, url: str) -> None:
        self._redis = redis_client(url, timeout_seconds=_TIMEOUT_SECONDS, decode=True)
        self._script = self._redis.register_script(_PUBLISH)
        self._waiting: collections.deque[list[Change]] = collections.deque()
        self._has_gap = False
        self._arrived = threading.Event()
        self._idle = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def publish(self, changes: list[Change]) -> None:
        if not changes:
            return
        if len(self._waiting) >= _MAX_WAITING:
            self._has_gap = True
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
                self._thread = threading.Thread(target=self._work, name="live-tail", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            self._arrived.wait()
            self._arrived.clear()
            try:
                self._publish_waiting()
            except Exception as error:  # Redis is away, or a fault of ours: publishing must go on.
                log.warning("tail_untold", error=str(error))
                self._has_gap = True
                time.sleep(_PAUSE_SECONDS)
            if not self._waiting:
                self._idle.set()
            time.sleep(_PUBLISH_SECONDS)

    def _publish_waiting(self) -> None:
        by_workspace: dict[str, dict[str, None]] = {}
        while self._waiting:
            for workspace_id, execution_id in self._waiting.popleft():
                by_workspace.setdefault(workspace_id, {})[execution_id] = None
        keys, texts = [_LISTENED], []
        for workspace_id, ids in by_workspace.items():
            for text in _texts(list(ids)):
                keys.append(_stream(workspace_id))
                texts.append(text)
        gap, self._has_gap = self._has_gap, False
        self._script(keys=keys, args=[KEPT_ENTRIES, KEPT_SECONDS, int(gap), *texts])


def start_listening(workspace_id: Any, position: str | None = None) -> str:
    """Keep this workspace's changes from now on. Returns the position to listen from: the given one of an earlier
    listener, or the present one. Raises TailAwayError.
    """
    with redis_client(settings.REDIS_URL, timeout_seconds=2 * _TIMEOUT_SECONDS, decode=True) as client, _redis_errors():
        opened = client.register_script(_LISTEN)(
            keys=[_LISTENED, _stream(workspace_id)], args=[KEPT_SECONDS, int(position is None), KEPT_ENTRIES]
        )
    return position or str(opened)


class Reader:
    """Reads one workspace's changes after a position, in an event loop. Its methods raise TailAwayError."""

    def __init__(self, workspace_id: Any, position: str) -> None:
        self.position = position
        self._redis = async_redis_client(settings.REDIS_URL, timeout_seconds=2 * _TIMEOUT_SECONDS, decode=True)
        self._listen = self._redis.register_script(_LISTEN)
        self._read = self._redis.register_script(_READ)
        self._keys = [_LISTENED, _stream(workspace_id)]

    async def keep_alive(self) -> None:
        """Keep the workspace's stream for `KEPT_SECONDS` more."""
        with _redis_errors():
            await self._listen(keys=self._keys, args=[KEPT_SECONDS, 0, KEPT_ENTRIES])

    async def next_batch(self, *, seconds: float) -> ChangeBatch | None:
        """Read what came after the position, and move it on. None if nothing comes for this long."""
        with _redis_errors():
            batch = await self._after_position()
            if batch is None and await self._redis.xread({self._keys[1]: self.position}, 1, int(seconds * 1000)):
                batch = await self._after_position()
        return batch

    async def close(self) -> None:
        await self._redis.aclose()

    async def _after_position(self) -> ChangeBatch | None:
        kept, entries = await self._read(keys=self._keys, args=[self.position, _READ_ENTRIES])
        if kept and not entries:
            return None
        ids: dict[str, None] = {}
        gap = not kept
        for position, (field, value) in entries:
            self.position = position
            gap = gap or field == "gap"
            ids.update(dict.fromkeys(value.split() if field == "ids" else ()))
        if not kept and not entries:
            self.position = await self._listen(keys=self._keys, args=[KEPT_SECONDS, 1, KEPT_ENTRIES])
        return ChangeBatch(tuple(ids), gap, self.position)


def is_after(position: str, other: str) -> bool:
    """Whether a position comes after another."""
    return _numbers(position) > _numbers(other)


def _numbers(position: str) -> tuple[int, ...]:
    return tuple(map(int, position.split("-")))


def is_position(text: str) -> bool:
    """Whether a text has the form of a position."""
    return _POSITION.fullmatch(text) is not None


@contextlib.contextmanager
def _redis_errors() -> Iterator[None]:
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
def _publisher_to(url: str) -> Publisher:
    return Publisher(url)


def _publisher() -> Publisher:
    """This process's publisher."""
    return _publisher_to(settings.REDIS_URL)
