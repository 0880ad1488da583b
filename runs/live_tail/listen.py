"""Many listeners of one workspace: its changes are read from Redis once, and shown once for all who want the same.

All of it happens in one event loop, so nothing is locked. A listener that can't keep up is told of a `gap`.
"""

import asyncio
import collections
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable
from typing import Any

from runs.live_tail.publish import News, Reader, TailAwayError, is_after

#: Batches of changes that wait for a listener; beyond them the oldest are dropped.
_MOST_WAITING = 100
_STAY_SECONDS = 5.0


class Batch:
    """Some changes, and how they look to each kind of listener."""

    def __init__(self, news: News) -> None:
        self.news = news
        self._shown: dict[Hashable, asyncio.Future[Any]] = {}

    async def shown(self, kind: Hashable, show: Callable[[], Awaitable[Any]]) -> Any:
        """What `show` answers, asked once for all listeners of this kind."""
        if kind not in self._shown:
            self._shown[kind] = asyncio.ensure_future(show())
        return await asyncio.shield(self._shown[kind])


class _Mailbox:
    """What one listener has not taken yet."""

    def __init__(self, position: str) -> None:
        self.position = position
        self.batches: collections.deque[Batch] = collections.deque()
        self.has_lost = False
        self.failure: TailAwayError | None = None
        self.arrived = asyncio.Event()

    def put(self, batch: Batch) -> None:
        if len(self.batches) >= _MOST_WAITING:
            self.batches.popleft()
            self.has_lost = True
        self.batches.append(batch)
        self.arrived.set()

    async def take(self, seconds: float) -> Batch | None:
        """The next batch after the listener's position; None when there is none for a while."""
        if not self.batches and self.failure is None:
            self.arrived.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self.arrived.wait()
            except TimeoutError:
                return None
        while self.batches:
            batch = self.batches.popleft()
            if is_after(batch.news.position, self.position):
                self.position = batch.news.position
                if self.has_lost:
                    self.has_lost = False
                    return Batch(News(batch.news.ids, gap=True, position=batch.news.position))
                return batch
        if self.failure is not None:
            raise self.failure
        return None


class Feed:
    """One workspace's changes, for all who listen in one event loop."""

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
        stay_at = loop.time() + _STAY_SECONDS
        try:
            while True:
                news = await self._reader.news(seconds=1.0)
                if news is not None:
                    batch = Batch(news)
                    for mailbox in self._mailboxes:
                        mailbox.put(batch)
                if loop.time() >= stay_at:
                    await self._reader.stay()
                    stay_at = loop.time() + _STAY_SECONDS
        except (
            Exception
        ) as error:  # A fault of ours too must end the streams, which tell of it: they would wait for ever.
            self._fail(TailAwayError(f"{type(error).__name__}: {error}"))
        finally:
            await self._reader.close()

    def _fail(self, error: TailAwayError) -> None:
        for mailbox in self._mailboxes:
            mailbox.failure = error
            mailbox.arrived.set()


_feeds: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Any, Feed]]" = weakref.WeakKeyDictionary()


async def batches(workspace_id: Any, position: str, *, seconds: float) -> AsyncGenerator[Batch | None, None]:
    """Changes after a position, as they come; None whenever nothing came for so many seconds. Raises TailAwayError."""
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


async def _missed(workspace_id: Any, mailbox: _Mailbox, until: str) -> AsyncIterator[Batch]:
    """What came between a listener's position and that of the feed it joins: read for it alone."""
    reader = Reader(workspace_id, mailbox.position)
    try:
        while is_after(until, reader.position):
            news = await reader.news(seconds=0.1)
            if news is None:
                return
            mailbox.position = news.position
            yield Batch(news)
    finally:
        await reader.close()
