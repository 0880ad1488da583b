"""The ASGI application: read a request's body, run Django in a thread, send the response.

It works with `connection.Connection`. Django runs as under WSGI, in a few long-lived threads, since each has its own
database connection.
"""

import asyncio
import http
import io
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import structlog
from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix
from django.utils.encoding import repercent_broken_unicode

from core.streams import Live, LiveResponse, call_in
from scheduler_project.web.buffers import BufferBudget
from scheduler_project.web.connection import CONNECTION, Connection
from scheduler_project.web.deadlines import (
    ANSWER_SECONDS,
    BODY_SECONDS,
    DRAINED_BYTES,
    HELD_BYTES,
    PIECE_SECONDS,
    WAITING_REQUESTS,
)
from scheduler_project.web.problems import server_problem

log = structlog.get_logger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_LIVE_THREADS = 2
_PIECE_BYTES = 64 * 1024
_BARE = frozenset({http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED})
_ALL_ASCII = "".join(map(chr, range(128)))


class ClientGoneError(Exception):
    """The client has closed the connection, or counts as gone."""


class TooLateError(Exception):
    """The body did not arrive in time."""


class TooLargeBody(io.BytesIO):
    """A body that was discarded. Reading it raises; a request refused for another reason never reads it."""

    def read(self, *_: Any) -> bytes:
        raise RequestDataTooBig("The request body is too large.")

    readline = read


@dataclass(frozen=True, slots=True)
class WebResponse:
    """Django's response: complete, or live."""

    status: int
    headers: Headers
    body: bytes
    live: Live | None = None
    close: Callable[[], None] = lambda: None


class Front:
    """The application of a process. `handler` is that of `scheduler_project.wsgi`."""

    def __init__(self, handler: BaseHandler, *, threads: int) -> None:
        self._handler = handler
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="web")
        self._live_threads = ThreadPoolExecutor(_LIVE_THREADS, thread_name_prefix="live")
        self._call = call_in(self._live_threads)
        self._buffers = BufferBudget(HELD_BYTES)
        self._requests = 0
        self._max_requests = threads + WAITING_REQUESTS

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        connection: Connection = scope[CONNECTION]
        try:
            body = await self._body(scope, receive, connection)
            if self._requests >= self._max_requests:
                await _send(send, connection, *_problem(http.HTTPStatus.SERVICE_UNAVAILABLE))
                return
            answer = await self._answer(scope, body)
            await self._deliver(answer, send, connection)
        except TooLateError:
            await _send(send, connection, *_problem(http.HTTPStatus.REQUEST_TIMEOUT))
        except ClientGoneError:
            connection.abort()
        finally:
            self._buffers.drop(connection)

    # -- reading -------------------------------------------------------------------------------------------------------

    async def _body(self, scope: dict[str, Any], receive: Receive, connection: Connection) -> io.BytesIO:
        """Read the body. One that is too large is read up to DRAINED_BYTES and discarded."""
        headers = dict(scope["headers"])
        length = int(headers.get(b"content-length", b"0") or b"0")
        limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if length > DRAINED_BYTES or (length > limit and b"expect" in headers):
            return TooLargeBody()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._read(receive, connection, limit)
        except TimeoutError as error:
            raise TooLateError from error

    async def _read(self, receive: Receive, connection: Connection, limit: int) -> io.BytesIO:
        content = bytearray()
        size, more = 0, True
        while more and size <= DRAINED_BYTES:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientGoneError
            size += len(message["body"])
            more = message["more_body"]
            if size <= limit:
                content += message["body"]
            else:
                content.clear()
            if more:
                self._buffers.keep(connection, len(content))
        self._buffers.drop(connection)
        return TooLargeBody() if size > limit else io.BytesIO(bytes(content))

    # -- answering -----------------------------------------------------------------------------------------------------

    async def _answer(self, scope: dict[str, Any], body: io.BytesIO) -> WebResponse:
        loop = asyncio.get_running_loop()
        self._requests += 1
        work = loop.run_in_executor(self._threads, self._respond, scope, body)
        work.add_done_callback(self._request_ended)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # The client is gone. The thread finishes, and its response is closed.
            work.add_done_callback(self._close_unread)
            raise

    def _request_ended(self, _work: Any) -> None:
        self._requests -= 1

    def _close_unread(self, work: "asyncio.Future[WebResponse]") -> None:
        if not work.cancelled() and work.exception() is None:
            self._live_threads.submit(work.result().close)

    def _respond(self, scope: dict[str, Any], body: io.BytesIO) -> WebResponse:
        """Run Django, in a thread."""
        set_script_prefix("")
        signals.request_started.send(sender=type(self._handler), scope=scope)
        request = _request(scope, body)
        response = self._handler.get_response(request)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
        headers += [(b"Set-Cookie", c.output(header="").strip().encode("latin-1")) for c in response.cookies.values()]
        if isinstance(response, LiveResponse):
            return WebResponse(response.status_code, headers, b"", response.live, response.close)
        try:
            content = _content(response)
        finally:
            response.close()
        if not response.has_header("Content-Length") and request.method != "HEAD" and response.status_code not in _BARE:
            headers.append((b"Content-Length", b"%d" % len(content)))
        return WebResponse(response.status_code, headers, content)

    # -- sending -------------------------------------------------------------------------------------------------------

    async def _deliver(self, answer: WebResponse, send: Send, connection: Connection) -> None:
        if answer.live is not None:
            await self._send_live(answer, answer.live, send, connection)
            return
        if len(answer.body) > _PIECE_BYTES:
            self._buffers.keep(connection, len(answer.body))
        await _send(send, connection, answer.status, answer.headers, answer.body)

    async def _send_live(self, answer: WebResponse, live: Live, send: Send, connection: Connection) -> None:
        """Send pieces as they arrive. A client that leaves one unread for PIECE_SECONDS counts as gone."""
        live.call = self._call
        pieces: Any = live.pieces()
        try:
            connection.is_live = True
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            async for piece in pieces:
                if connection.is_gone:
                    return
                await _within(PIECE_SECONDS, connection, send(_part(piece, more=True)))
            await _within(PIECE_SECONDS, connection, send(_part(b"", more=False)))
        finally:
            await pieces.aclose()
            connection.is_live = False
            self._live_threads.submit(answer.close)


def _request(scope: dict[str, Any], body: io.BytesIO) -> ASGIRequest:
    """Build Django's request. Paths and queries of any bytes are decoded as its WSGI handler does."""
    path = repercent_broken_unicode(unquote_to_bytes(_path_of(scope["raw_path"]))).decode()
    query = quote_from_bytes(scope["query_string"], safe=_ALL_ASCII)
    return ASGIRequest({**scope, "path": path, "query_string": query.encode()}, body)


def _path_of(target: bytes) -> bytes:
    """Return the path of a request target, with or without a host; `/` if it has none, as in `OPTIONS *`."""
    path = target.partition(b"?")[0]
    if not path.startswith(b"/"):
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    return path


def _content(response: HttpResponseBase) -> bytes:
    return b"".join(response) if response.streaming else response.content  # type: ignore[attr-defined]


def _problem(status: int) -> tuple[int, Headers, bytes]:
    headers, body = server_problem(status)
    return status, [(name.encode(), value.encode()) for name, value in headers], body


async def _send(send: Send, connection: Connection, status: int, headers: Headers, body: bytes) -> None:
    async def send_response() -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for first in range(0, len(body), _PIECE_BYTES):
            await send(_part(body[first : first + _PIECE_BYTES], more=first + _PIECE_BYTES < len(body)))
        if not body:
            await send(_part(b"", more=False))

    await _within(ANSWER_SECONDS, connection, send_response())


def _part(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _within(seconds: float, connection: Connection, sending: Awaitable[None]) -> None:
    """Raises ClientGoneError if the client has not read it in time, or is gone."""
    try:
        async with asyncio.timeout(seconds):
            await sending
    except TimeoutError as error:
        raise ClientGoneError from error
    if connection.is_gone:
        raise ClientGoneError
