"""The live tail over HTTP: server-sent events of executions as they change, each as lists show it.

A stream holds a thread of its web process, so there are few, each for a while only, and each looks every few seconds if
its caller may still listen. See https://html.spec.whatwg.org/multipage/server-sent-events.html for the format.
"""

import collections
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.request import Request

from accounts.api.access import Access
from accounts.api.authentication import access_now
from runs.api.filters import EventsQuery, meant
from runs.api.rows import listed_executions
from runs.api.serializers import ListedExecutionSerializer
from runs.api.views import HistoryView
from runs.history import HistoryFilter
from runs.tail import Listener, News, TailAwayError, is_position
from scheduler_project.api.limiting import caller_of
from scheduler_project.stopping import is_stopping

log = structlog.get_logger(__name__)

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
    """How many streams this process has room for. A caller takes at most half of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: collections.Counter[str] = collections.Counter()

    def take(self, caller: str) -> None:
        room: int = settings.EVENT_STREAMS
        with self._lock:
            if self._taken.total() >= room:
                told = "As many live tails are open as this server allows; try again later."
                raise StreamRefused(503, "too_many_streams", told, wait=10)
            if self._taken[caller] >= max(1, room // 2):
                told = "You have as many live tails open as one caller may; end one, or try again later."
                raise StreamRefused(429, "too_many_streams", told, wait=10)
            self._taken[caller] += 1

    def give_back(self, caller: str) -> None:
        with self._lock:
            self._taken[caller] -= 1
            self._taken += collections.Counter()  # drops what is zero

    @property
    def taken(self) -> int:
        return self._taken.total()


PLACES = Places()


class EventStream:
    """The events for one caller, as text. `access_again` answers what the caller may do by now."""

    def __init__(
        self,
        *,
        listener: Listener,
        wanted: HistoryFilter,
        access: Access,
        access_again: Callable[[], Access | None],
        ended: Callable[[], None],
    ) -> None:
        self._listener, self._wanted = listener, wanted
        self._access, self._access_again = access, access_again
        self._ended = ended
        self._closing = threading.Lock()
        self._closed = False

    def __iter__(self) -> Iterator[str]:
        try:
            yield from self._events()
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
        self._listener.close()
        self._ended()

    def _events(self) -> Iterator[str]:
        yield f"retry: {_RETRY_MS}\nid: {self._listener.position}\n\n"
        until = time.monotonic() + MAX_SECONDS
        beat_at = time.monotonic() + BEAT_SECONDS
        while time.monotonic() < until and not is_stopping():
            news = self._listener.news(seconds=_WAIT_SECONDS)
            if news is not None:
                yield from self._told(news)
            if time.monotonic() >= beat_at:
                if not self._may_listen():
                    return
                self._listener.stay()
                yield ":\n\n"
                beat_at = time.monotonic() + BEAT_SECONDS

    def _told(self, news: News) -> Iterator[str]:
        """Of what has changed, what is wanted. The position comes last: whoever breaks off before hears it again."""
        ids = news.ids[-MOST_AT_ONCE:]
        if news.gap or len(ids) < len(news.ids):
            yield "event: gap\ndata: {}\n\n"
        for first in range(0, len(ids), PART):
            if first:
                time.sleep(_PART_PAUSE_SECONDS)
            yield from map(_event, self._shown(ids[first : first + PART]))
        yield f"id: {news.position}\n\n"

    def _shown(self, ids: tuple[str, ...]) -> list[dict[str, Any]]:
        rows = listed_executions(self._wanted.executions().filter(pk__in=ids)).order_by("id")
        return list(ListedExecutionSerializer(rows, many=True).data)

    def _may_listen(self) -> bool:
        """Whether the caller's reach is what it was when it came. One that has changed has to ask again."""
        now = self._access_again()
        return (
            now is not None
            and now.workspace.pk == self._access.workspace.pk
            and now.environment_ids == self._access.environment_ids
            and Events.read_scope in now.scopes
        )


def _event(shown: dict[str, Any]) -> str:
    return f"event: execution\ndata: {json.dumps(shown, separators=(',', ':'))}\n\n"


class Events(HistoryView):
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
        response = StreamingHttpResponse(self._stream(request, position), content_type=CONTENT_TYPE)
        response["X-Accel-Buffering"] = "no"  # nginx would hold events back
        return response

    def _stream(self, request: Request, position: str | None) -> EventStream:
        caller = caller_of(request) or ""
        wanted = meant(self.query, self.access)
        PLACES.take(caller)
        try:
            listener = Listener(self.access.workspace.pk, position)
        except TailAwayError as error:
            PLACES.give_back(caller)
            told = "Redis, which tells of changes, can't be asked; try again later."
            raise StreamRefused(503, "tail_away", told, wait=5) from error
        except BaseException:
            PLACES.give_back(caller)
            raise
        return EventStream(
            listener=listener,
            wanted=wanted,
            access=self.access,
            access_again=lambda: access_now(request),
            ended=lambda: PLACES.give_back(caller),
        )
