"""A client's connection: gunicorn's HTTP/1.1 with deadlines, bounded closing and problem+json errors."""

import asyncio
import http
import socket
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol

from scheduler_project.web.deadlines import DRAINED_BYTES, HEAD_SECONDS, KERNEL_BYTES, LINGER_SECONDS
from scheduler_project.web.problems import server_problem

#: The key of the connection in a request's scope.
CONNECTION = "hourhand.connection"


class Connection(ASGIProtocol):
    """Wait for a request's head at most HEAD_SECONDS from its first byte, and for a first byte at most the keep-alive.

    `front` has the deadlines of bodies and responses.
    """

    transport: Any

    def __init__(self, worker: Any) -> None:
        super().__init__(worker)
        self._head_timer: asyncio.TimerHandle | None = None
        self._lingering = False
        self._discarded = 0
        self._client_ended = False
        #: Set during a live response: a client that closes its side then is gone.
        self.is_live = False

    # -- called by the event loop ------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # So that `drain` waits until the kernel has everything, and an unread response is noticed.
        transport.set_write_buffer_limits(high=0)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        self.worker.connections[self] = None
        self._arm_keepalive_timer()
        self.worker.make_room()

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            self._discarded += len(data)
            if self._discarded > DRAINED_BYTES:
                self.abort()
            return
        if self._closed:
            return
        if self._current_request is None:
            self._await_head()
        super().data_received(data)

    def eof_received(self) -> bool:
        """Stay open for a client that has closed its side and still reads the response to a complete request."""
        self._client_ended = True
        receiver = self._body_receiver
        return self._is_answering and not self.is_live and receiver is not None and bool(receiver._complete)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_head_timer()
        self.worker.connections.pop(self, None)
        self.worker.idle.pop(self, None)
        super().connection_lost(exc)

    # -- called by the worker and the front ----------------------------------------------------------------------------

    def abort(self) -> None:
        """Close the connection at once; unsent data is lost."""
        self._closed = True
        if self.transport is not None:
            self.transport.abort()

    @property
    def is_gone(self) -> bool:
        return bool(self._conn_lost_handled)

    def close_if_idle(self) -> None:
        """Close the connection unless a request is in progress."""
        if not self._is_answering:
            self._close_transport()

    # -- overrides of gunicorn's own -----------------------------------------------------------------------------------

    @property
    def _is_answering(self) -> bool:
        return self._current_request is not None and not self._closed

    def _on_headers_complete(self) -> Any:
        self._cancel_head_timer()
        self.worker.idle.pop(self, None)
        return super()._on_headers_complete()

    def _arm_keepalive_timer(self) -> None:
        """Called before the first request and between two."""
        if self._has_partial_head:
            self._await_head()
            return
        super()._arm_keepalive_timer()
        self.worker.idle[self] = None

    def _await_head(self) -> None:
        self._cancel_keepalive_timer()
        if self._head_timer is None:
            self._head_timer = self.worker.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _build_http_scope(self, request: Any, sockname: Any, peername: Any) -> dict[str, Any]:
        scope: dict[str, Any] = super()._build_http_scope(request, sockname, peername)
        scope[CONNECTION] = self
        return scope

    def _is_websocket_upgrade(self, request: Any) -> bool:  # noqa: ARG002 - gunicorn's signature
        """Ignore the upgrade and handle the request like any other (RFC 9110, 7.8)."""
        return False

    def _will_close(self, request: Any, response_requires_close: bool) -> bool:
        """Announce what gunicorn does: it does not reuse a connection with an unread body."""
        unread = self._body_receiver is not None and not self._body_receiver._complete
        return unread or self._client_ended or bool(super()._will_close(request, response_requires_close))

    def _send_error_response(self, status: int, message: str, extra_headers: Any = ()) -> None:
        """Send a problem with a message of our own: gunicorn's quotes the request."""
        del message
        headers, body = server_problem(
            status,
            line=self.cfg.limit_request_line,
            field=self.cfg.limit_request_field_size,
            fields=self.cfg.limit_request_fields,
        )
        lines = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}"]
        lines += [f"{name}: {value}" for name, value in (*headers, *extra_headers, ("Connection", "close"))]
        self._safe_write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def _close_transport(self) -> None:
        """Close within LINGER_SECONDS. Read what the client still sends, or it would lose the response."""
        if self.transport is None or self._closed:
            return
        is_quiet = self._is_quiet
        self._closed = True
        self._cancel_head_timer()
        self._cancel_keepalive_timer()
        self.worker.idle.pop(self, None)
        if self.transport.is_closing():
            return
        self.worker.loop.call_later(LINGER_SECONDS, self.transport.abort)
        if is_quiet:
            self.transport.close()
            return
        self._lingering = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._resume_reading()

    @property
    def _is_quiet(self) -> bool:
        """Whether no part of a request is known to be in transit."""
        if self._current_request is None:
            return self._head_timer is None and not self._has_partial_head
        return self._client_ended or self._body_receiver is None or bool(self._body_receiver._complete)

    @property
    def _has_partial_head(self) -> bool:
        parser = self._callback_parser
        return parser is not None and (
            parser._state == "headers" or (parser._state == "request_line" and parser._buffer)
        )

    def _head_is_late(self) -> None:
        """Send 408 for an incomplete head. Its rest may still arrive."""
        self._send_error_response(http.HTTPStatus.REQUEST_TIMEOUT, "")
        self._close_transport()
        self._request_ready.set()  # ends the task that waits for it

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
