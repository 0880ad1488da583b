"""The live tail over HTTP: server-sent events with executions that change.

A stream is written in the web process's event loop; threads read the rows, once for all streams with the same filter.
Streams end after MAX_SECONDS, and check every BEAT_SECONDS whether their caller still has access. The format:
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import collections
import contextlib
import functools
import json
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.request import Request

from accounts.models import Scope
from api.accounts.access import Access
from api.accounts.authentication import access_now
from api.base.throttling import caller_of
from api.base.views import ApiView
from api.runs.filters import EventsQuery, history_filter
from api.runs.serializers import ListedExecutionSerializer
from core.cache import TtlCache
from core.stopping import is_stopping
from core.streams import LiveResponse
from runs.history.filters import HistoryFilter
from runs.history.rows import executions_for_list
from runs.live_tail.listen import batches
from runs.live_tail.publish import ChangeBatch, TailAwayError, is_position, start_listening

log = structlog.get_logger(__name__)

AccessCheck = asyncio.Future[Access | None]

CONTENT_TYPE = "text/event-stream"
RESUME_HEADER = "Last-Event-ID"
#: Length of a stream; clients reconnect and resume.
MAX_SECONDS = 900
#: Maximum time without output, and between checks of the caller's access.
BEAT_SECONDS = 5
#: Executions read at once, and sent at once: of more, the first are left out, with a `gap`.
PART_SIZE = 100
MAX_AT_ONCE = 1000
_RETRY_MS = 2000
_MAX_CALLERS = 10_000
_WAIT_SECONDS = 1.0
#: Pause between parts, so that other streams of the process get their turn.
_PART_PAUSE_SECONDS = 0.05
_EXAMPLE = OpenApiExample(
    "Execution succeeded",
    value='event: execution\ndata: {"id":"01978f3b-0a52-7c11-8f0e-6a2d4b7c9e10","status":"succeeded"}\n\n'
    "id: 1773536400148-0\n\n",
    media_type=CONTENT_TYPE,
)


class StreamRefused(APIException):
    """Too many streams, or Redis is unavailable; retry after `wait` seconds."""

    def __init__(self, status: int, code: str, detail: str, *, wait: int) -> None:
        self.status_code = status
        self.wait = wait
        super().__init__(detail, code)


class StreamSlots:
    """The streams of this process: at most EVENT_STREAMS per workspace, and four fifths of that per caller."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_workspaces: collections.Counter[Any] = collections.Counter()
        self._of_callers: collections.Counter[tuple[Any, str]] = collections.Counter()

    def acquire(self, workspace_id: Any, caller: str) -> None:
        limit: int = settings.EVENT_STREAMS
        with self._lock:
            if self._of_workspaces[workspace_id] >= limit:
                detail = "The workspace has reached this server's limit of live tails; try again later."
                raise StreamRefused(503, "too_many_streams", detail, wait=10)
            if self._of_callers[workspace_id, caller] >= max(1, limit * 4 // 5):
                detail = "You have reached the limit of live tails per caller; close one, or try again later."
                raise StreamRefused(429, "too_many_streams", detail, wait=10)
            self._of_workspaces[workspace_id] += 1
            self._of_callers[workspace_id, caller] += 1

    def release(self, workspace_id: Any, caller: str) -> None:
        with self._lock:
            for counter, key in ((self._of_workspaces, workspace_id), (self._of_callers, (workspace_id, caller))):
                counter[key] -= 1
                if not counter[key]:
                    del counter[key]

    @property
    def in_use(self) -> int:
        return self._of_workspaces.total()


SLOTS = StreamSlots()


#: The current access of each caller, checked once for all of its streams in an event loop.
_access_checks: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, TtlCache[Hashable, AccessCheck]]" = (
    weakref.WeakKeyDictionary()
)


class EventStream:
    """The events of one stream. `current_access` reads the caller's access, `on_close` releases its slot."""

    def __init__(
        self,
        *,
        position: str,
        executions: HistoryFilter,
        access: Access,
        caller: Hashable,
        current_access: Callable[[], Access | None],
        on_close: Callable[[], None],
    ) -> None:
        self.call: Callable[[Callable[[], Any]], Awaitable[Any]]
        self._position, self._filter = position, executions
        self._access, self._caller, self._current_access = access, caller, current_access
        self._on_close = on_close
        self._closing = threading.Lock()
        self._closed = False

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            async for text in self._events():
                yield text.encode()
        except (TailAwayError, DatabaseError, InterfaceError) as error:
            log.warning("tail_interrupted", error=str(error))
        finally:
            self.close()

    def close(self) -> None:
        """Release the slot. The server calls this too, for a response that was never read."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._on_close()

    async def _events(self) -> AsyncIterator[str]:
        yield f"retry: {_RETRY_MS}\nid: {self._position}\n\n"
        until = time.monotonic() + MAX_SECONDS
        beat_at = time.monotonic() + BEAT_SECONDS
        arriving = batches(self._access.workspace.pk, self._position, seconds=_WAIT_SECONDS)
        async with contextlib.aclosing(arriving):
            async for batch in arriving:
                if batch is not None:
                    for text in await batch.rendered(self._filter, functools.partial(self._events_of, batch.changes)):
                        yield text
                if time.monotonic() >= until or is_stopping():
                    return
                if time.monotonic() >= beat_at:
                    if not await self._has_access():
                        return
                    yield ":\n\n"
                    beat_at = time.monotonic() + BEAT_SECONDS

    async def _events_of(self, changes: ChangeBatch) -> list[str]:
        """The events of a batch. Its position comes last, so that an interrupted client gets the batch again."""
        ids = changes.ids[-MAX_AT_ONCE:]
        events = ["event: gap\ndata: {}\n\n"] if changes.gap or len(ids) < len(changes.ids) else []
        for first in range(0, len(ids), PART_SIZE):
            if first:
                await asyncio.sleep(_PART_PAUSE_SECONDS)
            representations = await self.call(functools.partial(self._read, ids[first : first + PART_SIZE]))
            events.append("".join(map(_event, representations)))
        return [*filter(None, events), f"id: {changes.position}\n\n"]

    def _read(self, ids: tuple[str, ...]) -> list[dict[str, Any]]:
        rows = executions_for_list(self._filter.executions().filter(pk__in=ids)).order_by("id")
        return list(ListedExecutionSerializer(rows, many=True).data)

    async def _has_access(self) -> bool:
        """Whether the caller's access is unchanged. After a change it has to reconnect."""
        checks = _access_checks.setdefault(
            asyncio.get_running_loop(), TtlCache(BEAT_SECONDS / 2, max_entries=_MAX_CALLERS)
        )
        check = checks.get_many([self._caller], self._check)[self._caller]
        now = await asyncio.shield(check)
        return (
            now is not None
            and now.workspace.pk == self._access.workspace.pk
            and now.environment_ids == self._access.environment_ids
            and Events.read_scope in now.scopes
        )

    def _check(self, callers: set[Hashable]) -> dict[Hashable, AccessCheck]:
        return {caller: asyncio.ensure_future(self.call(self._current_access)) for caller in callers}


def _event(execution: dict[str, Any]) -> str:
    return f"event: execution\ndata: {json.dumps(execution, separators=(',', ':'))}\n\n"


class Events(ApiView):
    """A stream: generic views answer with one serialized body."""

    read_scope: str = Scope.EXECUTIONS_READ
    query_class = EventsQuery

    @extend_schema(
        operation_id="events",
        summary="Stream changes of executions",
        description="Server-sent events for up to 15 minutes. An `execution` event contains the current state of an "
        "execution, as in lists; a `gap` event means that changes were left out: read the list. To resume within five "
        "minutes, send the last `id` as `Last-Event-ID`, as browsers do. 429 or 503 if too many streams are open.",
        parameters=[
            OpenApiParameter(
                RESUME_HEADER,
                {"type": "string", "pattern": r"^[0-9]{1,20}-[0-9]{1,20}$"},
                OpenApiParameter.HEADER,
                description="The `id` of the last received event, to resume after it.",
            )
        ],
        responses={(200, CONTENT_TYPE): OpenApiTypes.STR},
        examples=[_EXAMPLE],
    )
    def get(self, request: Request) -> HttpResponseBase:
        position = request.headers.get(RESUME_HEADER)
        if position is not None and not is_position(position):
            detail = ErrorDetail("Must be the `id` of an event, such as 1773536400148-0.", code="invalid")
            raise ValidationError({RESUME_HEADER: [detail]})
        if request.method == "HEAD":
            return HttpResponse(content_type=CONTENT_TYPE)
        response = LiveResponse(self._stream(request, position), content_type=CONTENT_TYPE)
        response["X-Accel-Buffering"] = "no"  # or nginx would buffer events
        return response

    def _stream(self, request: Request, position: str | None) -> EventStream:
        workspace_id, caller = self.access.workspace.pk, caller_of(request) or ""
        executions = history_filter(self.query, self.access)
        SLOTS.acquire(workspace_id, caller)
        try:
            position = start_listening(workspace_id, position)
        except TailAwayError as error:
            SLOTS.release(workspace_id, caller)
            detail = "Redis is unavailable; try again later."
            raise StreamRefused(503, "tail_away", detail, wait=5) from error
        except BaseException:
            SLOTS.release(workspace_id, caller)
            raise
        return EventStream(
            position=position,
            executions=executions,
            access=self.access,
            caller=(caller, request._request.COOKIES.get(settings.SESSION_COOKIE_NAME)),
            current_access=lambda: access_now(request),
            on_close=lambda: SLOTS.release(workspace_id, caller),
        )
