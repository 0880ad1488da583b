"""Follow executions as they change. Rows are the truth: the stream of events only says what to look at, and when."""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from hourhand.client.connection import Client
from hourhand.client.errors import ApiError, RateLimitedError, ServerAwayError, UnavailableError
from hourhand.client.events import GAP
from hourhand.client.types import TERMINAL, Execution

_POLL_SECONDS = 2.0
#: While the stream is refused, it is tried again after this number of polls.
_POLLS = 15
_PAGE = 100
#: Ended executions that are remembered, so that they are yielded once.
_MAX_REMEMBERED = 10_000


class Follower:
    """The executions that match filters of `GET /events/`, each time that they change.

    Follows the stream of events. While the server has no stream for us, or is away, it reads lists every two seconds;
    `on_poll` gets the reason when this begins.
    """

    def __init__(
        self,
        client: Client,
        filters: dict[str, Any],
        *,
        on_poll: Callable[[str], None] = lambda _reason: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client, self._filters = client, filters
        self._on_poll, self._sleep = on_poll, sleep
        self._position: str | None = None
        #: The last seen state of executions.
        self._seen: dict[str, tuple[Any, ...]] = {}

    def prime(self) -> None:
        """Take what is there now as seen: only later changes are yielded."""
        for execution in islice(self._newest(), _PAGE):
            self._seen[execution["id"]] = _state_of(execution)
        for execution in self._live():
            self._seen[execution["id"]] = _state_of(execution)

    def changes(self) -> Iterator[Execution]:
        """Yield executions that are new or have changed, without end. Raises ApiError for a wrong key or filter."""
        while True:
            yield from self._stream_or_poll()

    def _stream_or_poll(self) -> Iterator[Execution]:
        try:
            yield from self._stream()
            self._sleep(_POLL_SECONDS)
        except (ServerAwayError, UnavailableError, RateLimitedError) as error:
            detail = error.detail if isinstance(error, ApiError) else str(error)
            self._on_poll(f"{detail} Looking every {_POLL_SECONDS:g} s instead.")
            for _ in range(_POLLS):
                yield from self._poll_if_there()
                self._sleep(_POLL_SECONDS)

    def _stream(self) -> Iterator[Execution]:
        is_new = self._position is None
        for event in self._client.events(after=self._position, **self._filters):
            if is_new or event.kind == GAP:
                # We are subscribed from now on: look once for what changed before, or was left out.
                is_new = False
                yield from self._poll()
            self._position = event.position or self._position
            if event.execution is not None and self._is_news(event.execution):
                yield event.execution

    def _poll_if_there(self) -> Iterator[Execution]:
        try:
            yield from self._poll()
        except (ServerAwayError, UnavailableError, RateLimitedError):
            return

    def _poll(self) -> Iterator[Execution]:
        """Yield what has changed since the last look, oldest first."""
        live = {key for key, state in self._seen.items() if state[0] not in TERMINAL}
        changed, read = [], set()
        for number, execution in enumerate(self._newest(), start=1):
            read.add(execution["id"])
            if self._is_news(execution):
                changed.append(execution)
            elif number >= _PAGE:
                break
        changed += [found for key in sorted(live - read) if self._is_news(found := self._client.executions.get(key))]
        yield from sorted(changed, key=lambda execution: execution["id"])

    def _newest(self) -> Iterator[Execution]:
        return self._client.executions.list(sort="created_at", **self._filters)

    def _live(self) -> Iterator[Execution]:
        return self._client.executions.list(**{"status": ["pending", "running", "waiting"], **self._filters})

    def _is_news(self, execution: Execution) -> bool:
        """Whether this state is another than the last one. What has ended does not change: an older state came late."""
        key, state = execution["id"], _state_of(execution)
        before = self._seen.get(key)
        if before == state or (before is not None and before[0] in TERMINAL):
            return False
        self._seen[key] = state
        self._forget()
        return True

    def _forget(self) -> None:
        if len(self._seen) > 2 * _MAX_REMEMBERED:
            ended = [key for key, state in self._seen.items() if state[0] in TERMINAL]
            for key in sorted(ended)[:-_MAX_REMEMBERED]:
                del self._seen[key]


def _state_of(execution: Execution) -> tuple[Any, ...]:
    return (
        execution["status"],
        execution["attempts"],
        execution["next_attempt_at"],
        (execution["waiting"] or {}).get("step"),
    )
