"""One connection of a client: gunicorn's HTTP/1.1, with deadlines, bounded closing and errors in our form."""

import asyncio
import http
import socket
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol

from scheduler_project.web.deadlines import DRAINED_BYTES, HEAD_SECONDS, KERNEL_BYTES, LINGER_SECONDS
from scheduler_project.web.problems import server_problem

#: Under this name the front finds the connection in a request's scope.
CONNECTION = "hourhand.connection"


class Connection(ASGIProtocol):
    """Waits for a head no longer than HEAD_SECONDS from its first byte, and for a first byte no longer than keep-alive.

    Bodies and answers have their deadlines in `front`, which reads and writes them.
    """

    transport: Any

    def __init__(self, worker: Any) -> None:
        super().__init__(worker)
        self._head_timer: asyncio.TimerHandle | None = None
        self._lingering = False
        self._discarded = 0
        self._client_ended = False
        #: Set while an answer goes on for minutes: a client that ends its side then is gone.
        self.is_live = False

    # -- what the event loop calls -------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # So that `drain` means that the kernel has all of it: an answer that nobody reads is noticed.
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
        """Stay open for a client that has ended its side and still reads the answer to a request that is complete."""
        self._client_ended = True
        receiver = self._body_receiver
        return self._is_answering and not self.is_live and receiver is not None and bool(receiver._complete)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_head_timer()
        self.worker.connections.pop(self, None)
        self.worker.idle.pop(self, None)
        super().connection_lost(exc)

    # -- what the worker and the front ask -----------------------------------------------------------------------------

    def abort(self) -> None:
        """End the connection at once; what was not sent yet is lost."""
        self._closed = True
        if self.transport is not None:
            self.transport.abort()

    @property
    def is_gone(self) -> bool:
        return bool(self._conn_lost_handled)

    def close_if_idle(self) -> None:
        """Close it, unless a request is being answered: the server stops, or needs room."""
        if not self._is_answering:
            self._close_transport()

    # -- what gunicorn asks itself -------------------------------------------------------------------------------------

    @property
    def _is_answering(self) -> bool:
        return self._current_request is not None and not self._closed

    def _on_headers_complete(self) -> Any:
        self._cancel_head_timer()
        self.worker.idle.pop(self, None)
        return super()._on_headers_complete()

    def _arm_keepalive_timer(self) -> None:
        """Between two requests, and before the first."""
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
        """There are none here: such a request is answered as any other (RFC 9110, 7.8)."""
        return False

    def _will_close(self, request: Any, response_requires_close: bool) -> bool:
        """Announce what gunicorn does: a connection whose body has not ended is not used again."""
        unread = self._body_receiver is not None and not self._body_receiver._complete
        return unread or self._client_ended or bool(super()._will_close(request, response_requires_close))

    def _send_error_response(self, status: int, message: str, extra_headers: Any = ()) -> None:
        """What is wrong with the request, in our words: gunicorn's quote it."""
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
        """Close, within LINGER_SECONDS. What a client still sends is read meanwhile, else it would lose the answer."""
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
        """Whether nothing of a request is on its way to us, as far as we know."""
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
        """408 for a head that began; what came of it may still come."""
        self._send_error_response(http.HTTPStatus.REQUEST_TIMEOUT, "")
        self._close_transport()
        self._request_ready.set()  # ends the task that waits for it

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
