"""Responses that last for minutes. Our web server reads them in its event loop, any other in the request's thread."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from django.db import close_old_connections, connections
from django.http import StreamingHttpResponse

T = TypeVar("T")


class Live(Protocol):
    """A body in pieces. `call` runs blocking code. `close` may come at any time, even before `pieces`."""

    call: Callable[[Callable[[], Any]], Awaitable[Any]]

    def pieces(self) -> AsyncIterator[bytes]: ...

    def close(self) -> None: ...


class LiveResponse(StreamingHttpResponse):
    """A response of the pieces of `live`; closing the response closes `live`."""

    def __init__(self, live: Live, **options: Any) -> None:
        self.live = live
        super().__init__(_Threaded(live), **options)


class _Threaded:
    """For a server without an event loop: runs a loop in the thread that reads the response, and one more thread for
    blocking code.
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
    """Make a `call` that runs in `executor`, and closes its threads' stale database connections first."""

    def with_connections(work: Callable[[], T]) -> T:
        close_old_connections()
        return work()

    async def call(work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, with_connections, work)

    return call
