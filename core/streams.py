"""Answers that go on for minutes: read in the event loop by our web server, in the request's thread by any other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from django.db import close_old_connections, connections
from django.http import StreamingHttpResponse

T = TypeVar("T")


class Live(Protocol):
    """What is told, in pieces. `call` runs what blocks. `close` may come at any time, also before `pieces`."""

    call: Callable[[Callable[[], Any]], Awaitable[Any]]

    def pieces(self) -> AsyncIterator[bytes]: ...

    def close(self) -> None: ...


class LiveResponse(StreamingHttpResponse):
    """An answer made of the pieces of `live`, which is closed with it."""

    def __init__(self, live: Live, **options: Any) -> None:
        self.live = live
        super().__init__(_Threaded(live), **options)


class _Threaded:
    """For a server without an event loop: one of its own, in the thread that reads the answer, and one more thread for
    what blocks.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._pieces = self._read()

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def _read(self) -> Generator[bytes, None, None]:
        with ThreadPoolExecutor(1, thread_name_prefix="live") as executor, asyncio.Runner() as runner:
            self._live.call = call_in(executor)
            pieces = self._live.pieces()
            try:
                while (piece := runner.run(_next(pieces))) is not None:
                    yield piece
            finally:
                runner.run(_end(pieces))
                executor.submit(connections.close_all)

    def close(self) -> None:
        self._pieces.close()
        self._live.close()


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)


async def _end(pieces: Any) -> None:
    await pieces.aclose()


def call_in(executor: Executor) -> Callable[[Callable[[], T]], Awaitable[T]]:
    """For an event loop that others share. The threads' connections to the database are looked after."""

    def with_connections(work: Callable[[], T]) -> T:
        close_old_connections()
        return work()

    async def call(work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, with_connections, work)

    return call
