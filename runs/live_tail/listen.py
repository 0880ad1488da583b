"""Distributes a workspace's changes: read from Redis once, and rendered once for each kind of listener.

All of it happens in one event loop, so nothing is locked. A listener that can't keep up gets a `gap`.
"""

import asyncio
import collections
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable
from typing import Any

from runs.live_tail.publish import ChangeBatch, Reader, TailAwayError, is_after

#: Batches that wait for a listener; beyond them the oldest are dropped.
_MAX_WAITING = 100
_KEEP_ALIVE_SECONDS = 5.0


class RenderedBatch:
    """A batch of changes, and how each kind of listener sees it."""

    def __init__(self, changes: ChangeBatch) -> None:
        self.changes = changes
        self._rendered: dict[Hashable, asyncio.Future[Any]] = {}

    async def rendered(self, kind: Hashable, render: Callable[[], Awaitable[Any]]) -> Any:
        """The result of `render`, which runs once for all listeners of this kind."""
        if kind not in self._rendered:
            self._rendered[kind] = asyncio.ensure_future(render())
        return await asyncio.shield(self._rendered[kind])


class _Mailbox:
    """The batches that one listener has not taken yet."""

    def __init__(self, position: str) -> None:
        self.position = position
        self.batches: collections.deque[RenderedBatch] = collections.deque()
        self.has_lost = False
        self.failure: TailAwayError | None = None
        self.arrived = asyncio.Event()

    def put(self, batch: RenderedBatch) -> None:
        if len(self.batches) >= _MAX_WAITING:
            self.batches.popleft()
            self.has_lost = True
        self.batches.append(batch)
        self.arrived.set()

    async def take(self, seconds: float) -> RenderedBatch | None:
        """The next batch after the listener's position. None if none comes for this long."""
        if not self.batches and self.failure is None:
            self.arrived.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self.arrived.wait()
            except TimeoutError:
                return None
        while self.batches:
            batch = self.batches.popleft()
            if is_after(batch.changes.position, self.position):
                self.position = batch.changes.position
                if self.has_lost:
                    self.has_lost = False
                    return RenderedBatch(ChangeBatch(batch.changes.ids, gap=True, position=batch.changes.position))
                return batch
        if self.failure is not None:
            raise self.failure
        return None


class Feed:
    """One workspace's changes, for all its listeners in one event loop."""

    def __init__(self, workspace_id: Any, position: str) -> None:
        self._reader = Reader(workspace_id, position)
        self._mailboxes: set[_Mailbox] = set()
        self._work = asyncio.ensure_future(self._distribute())

    @property
    def position(self) -> str:
        return self._reader.position

    @property
    def is_over(self) -> bool:
        return self._work.done()

    @property
    def is_empty(self) -> bool:
        return not self._mailboxes

    def add(self, mailbox: _Mailbox) -> None:
        self._mailboxes.add(mailbox)

    def remove(self, mailbox: _Mailbox) -> None:
        self._mailboxes.discard(mailbox)
        if not self._mailboxes:
            self._work.cancel()

    async def _distribute(self) -> None:
        loop = asyncio.get_running_loop()
        keep_alive_at = loop.time() + _KEEP_ALIVE_SECONDS
        try:
            while True:
                changes = await self._reader.next_batch(seconds=1.0)
                if changes is not None:
                    batch = RenderedBatch(changes)
                    for mailbox in self._mailboxes:
                        mailbox.put(batch)
                if loop.time() >= keep_alive_at:
                    await self._reader.keep_alive()
                    keep_alive_at = loop.time() + _KEEP_ALIVE_SECONDS
        except Exception as error:  # Listeners would wait for ever: a fault of ours must end their streams too.
            self._fail(TailAwayError(f"{type(error).__name__}: {error}"))
        finally:
            await self._reader.close()

    def _fail(self, error: TailAwayError) -> None:
        for mailbox in self._mailboxes:
            mailbox.failure = error
            mailbox.arrived.set()


_feeds: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Any, Feed]]" = weakref.WeakKeyDictionary()


async def batches(workspace_id: Any, position: str, *, seconds: float) -> AsyncGenerator[RenderedBatch | None, None]:
    """Yield changes after a position as they come, and None after each `seconds` without any. Raises TailAwayError."""
    feeds = _feeds.setdefault(asyncio.get_running_loop(), {})
    feed = feeds.get(workspace_id)
    if feed is None or feed.is_over:
        feed = feeds[workspace_id] = Feed(workspace_id, position)
    mailbox = _Mailbox(position)
    feed.add(mailbox)
    try:
        if is_after(feed.position, position):
            async for batch in _missed(workspace_id, mailbox, feed.position):
                yield batch
        while True:
            yield await mailbox.take(seconds)
    finally:
        feed.remove(mailbox)
        if feed.is_empty and feeds.get(workspace_id) is feed:
            del feeds[workspace_id]


async def _missed(workspace_id: Any, mailbox: _Mailbox, until: str) -> AsyncIterator[RenderedBatch]:
    """Read for one listener alone what came between its position and that of the feed it joins."""
    reader = Reader(workspace_id, mailbox.position)
    try:
        while is_after(until, reader.position):
            changes = await reader.next_batch(seconds=0.1)
            if changes is None:
                return
            mailbox.position = changes.position
            yield RenderedBatch(changes)
    finally:
        await reader.close()
