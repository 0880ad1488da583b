"""The live tail over HTTP: server-sent events of executions as they change, each as lists show it.

A stream is written in the web process's event loop. Threads only read rows for it, once for all that want the same.
Each goes on for a while only, and looks every few seconds if its caller may still listen. See
https://html.spec.whatwg.org/multipage/server-sent-events.html for the format.
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
from api.runs.querysets import executions_for_list
from api.runs.serializers import ListedExecutionSerializer
from core.cache import TtlCache
from core.stopping import is_stopping
from core.streams import LiveResponse
from runs.history.filters import HistoryFilter
from runs.live_tail.listen import batches
from runs.live_tail.publish import ChangeBatch, TailAwayError, is_position, start_listening

log = structlog.get_logger(__name__)

AccessCheck = asyncio.Future[Access | None]

CONTENT_TYPE = "text/event-stream"
RESUME_HEADER = "Last-Event-ID"
#: A stream ends after so long; its client comes back, and goes on where it was.
MAX_SECONDS = 900
#: Something is sent at least this often, and the caller's key or session looked at again.
BEAT_SECONDS = 5
#: Executions read and shown at once; more than a few such parts are not told but skipped, with a `gap`.
PART = 100
MOST_AT_ONCE = 1000
_RETRY_MS = 2000
_MAX_CALLERS = 10_000
_WAIT_SECONDS = 1.0
#: Between parts, so that a stream that has much to tell leaves the others of its process some time.
_PART_PAUSE_SECONDS = 0.05
_EXAMPLE = OpenApiExample(
    "An execution ends",
    value='event: execution\ndata: {"id":"01978f3b-0a52-7c11-8f0e-6a2d4b7c9e10","status":"succeeded"}\n\n'
    "id: 1773536400148-0\n\n",
    media_type=CONTENT_TYPE,
)


class StreamRefused(APIException):
    """There is no room for another stream, or no Redis to feed it; `wait` says for how many seconds to leave it."""

    def __init__(self, status: int, code: str, detail: str, *, wait: int) -> None:
        self.status_code = status
        self.wait = wait
        super().__init__(detail, code)


class Places:
    """How many streams each workspace has room for in this process. A caller takes at most four fifths of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_workspaces: collections.Counter[Any] = collections.Counter()
        self._of_callers: collections.Counter[tuple[Any, str]] = collections.Counter()

    def take(self, workspace_id: Any, caller: str) -> None:
        room: int = settings.EVENT_STREAMS
        with self._lock:
            if self._of_workspaces[workspace_id] >= room:
                detail = "Your workspace has as many live tails open as this server allows; try again later."
                raise StreamRefused(503, "too_many_streams", detail, wait=10)
            if self._of_callers[workspace_id, caller] >= max(1, room * 4 // 5):
                detail = "You have as many live tails open as one caller may; end one, or try again later."
                raise StreamRefused(429, "too_many_streams", detail, wait=10)
            self._of_workspaces[workspace_id] += 1
            self._of_callers[workspace_id, caller] += 1

    def give_back(self, workspace_id: Any, caller: str) -> None:
        with self._lock:
            for counter, key in ((self._of_workspaces, workspace_id), (self._of_callers, (workspace_id, caller))):
                counter[key] -= 1
                if not counter[key]:
                    del counter[key]

    @property
    def taken(self) -> int:
        return self._of_workspaces.total()


PLACES = Places()


#: What each caller may do by now, asked once for all of its streams in an event loop.
_access_checks: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, TtlCache[Hashable, AccessCheck]]" = (
    weakref.WeakKeyDictionary()
)


class EventStream:
    """The events for one caller, as text. `access_again` answers what the caller may do by now."""

    def __init__(
        self,
        *,
        position: str,
        wanted: HistoryFilter,
        access: Access,
        caller: Hashable,
        access_again: Callable[[], Access | None],
        ended: Callable[[], None],
    ) -> None:
        self.call: Callable[[Callable[[], Any]], Awaitable[Any]]
        self._position, self._wanted = position, wanted
        self._access, self._caller, self._access_again = access, caller, access_again
        self._ended = ended
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
        """Leave the place to others. Called by whoever serves the answer too, should it never be read."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._ended()

    async def _events(self) -> AsyncIterator[str]:
        yield f"retry: {_RETRY_MS}\nid: {self._position}\n\n"
        until = time.monotonic() + MAX_SECONDS
        beat_at = time.monotonic() + BEAT_SECONDS
        arriving = batches(self._access.workspace.pk, self._position, seconds=_WAIT_SECONDS)
        async with contextlib.aclosing(arriving):
            async for batch in arriving:
                if batch is not None:
                    for text in await batch.rendered(self._wanted, functools.partial(self._told, batch.changes)):
                        yield text
                if time.monotonic() >= until or is_stopping():
                    return
                if time.monotonic() >= beat_at:
                    if not await self._may_listen():
                        return
                    yield ":\n\n"
                    beat_at = time.monotonic() + BEAT_SECONDS

    async def _told(self, changes: ChangeBatch) -> list[str]:
        """Of what has changed, what is wanted. The position comes last: whoever breaks off before hears it again."""
        ids = changes.ids[-MOST_AT_ONCE:]
        told = ["event: gap\ndata: {}\n\n"] if changes.gap or len(ids) < len(changes.ids) else []
        for first in range(0, len(ids), PART):
            if first:
                await asyncio.sleep(_PART_PAUSE_SECONDS)
            shown = await self.call(functools.partial(self._shown, ids[first : first + PART]))
            told.append("".join(map(_event, shown)))
        return [*filter(None, told), f"id: {changes.position}\n\n"]

    def _shown(self, ids: tuple[str, ...]) -> list[dict[str, Any]]:
        rows = executions_for_list(self._wanted.executions().filter(pk__in=ids)).order_by("id")
        return list(ListedExecutionSerializer(rows, many=True).data)

    async def _may_listen(self) -> bool:
        """Whether the caller's reach is what it was when it came. One that has changed has to ask again."""
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
        return {caller: asyncio.ensure_future(self.call(self._access_again)) for caller in callers}


def _event(shown: dict[str, Any]) -> str:
    return f"event: execution\ndata: {json.dumps(shown, separators=(',', ':'))}\n\n"


class Events(ApiView):
    """A stream: generic views answer with one serialized body."""

    read_scope: str = Scope.EXECUTIONS_READ
    query_class = EventsQuery
    further_problems = ("503",)

    @extend_schema(
        operation_id="events",
        summary="Hear of executions as they change",
        description="A stream of server-sent events that goes on for up to 15 minutes. An `execution` event holds an "
        "execution as lists show it, as it is by then; a `gap` says that some could not be told: read the list. Send "
        "the last `id` as `Last-Event-ID`, as browsers do, to go on after it within five minutes.",
        parameters=[
            OpenApiParameter(
                RESUME_HEADER,
                {"type": "string", "pattern": r"^[0-9]{1,20}-[0-9]{1,20}$"},
                OpenApiParameter.HEADER,
                description="The `id` that came last, to hear what came after it.",
            )
        ],
        responses={(200, CONTENT_TYPE): OpenApiTypes.STR},
        examples=[_EXAMPLE],
    )
    def get(self, request: Request) -> HttpResponseBase:
        position = request.headers.get(RESUME_HEADER)
        if position is not None and not is_position(position):
            detail = ErrorDetail("Should be the `id` of an event, as in 1773536400148-0.", code="invalid")
            raise ValidationError({RESUME_HEADER: [detail]})
        if request.method == "HEAD":
            return HttpResponse(content_type=CONTENT_TYPE)
        response = LiveResponse(self._stream(request, position), content_type=CONTENT_TYPE)
        response["X-Accel-Buffering"] = "no"  # nginx would hold events back
        return response

    def _stream(self, request: Request, position: str | None) -> EventStream:
        workspace_id, caller = self.access.workspace.pk, caller_of(request) or ""
        wanted = history_filter(self.query, self.access)
        PLACES.take(workspace_id, caller)
        try:
            position = start_listening(workspace_id, position)
        except TailAwayError as error:
            PLACES.give_back(workspace_id, caller)
            detail = "Redis, which tells of changes, can't be asked; try again later."
            raise StreamRefused(503, "tail_away", detail, wait=5) from error
        except BaseException:
            PLACES.give_back(workspace_id, caller)
            raise
        return EventStream(
            position=position,
            wanted=wanted,
            access=self.access,
            caller=(caller, request._request.COOKIES.get(settings.SESSION_COOKIE_NAME)),
            access_again=lambda: access_now(request),
            ended=lambda: PLACES.give_back(workspace_id, caller),
        )
