"""Executions, runs and bulk operations of the API."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from hourhand.client.errors import WaitTimeoutError
from hourhand.client.pages import filters_of, items
from hourhand.client.session import Session
from hourhand.client.types import TERMINAL, BulkMatch, BulkOperation, Execution, Run

_FIRST_POLL_SECONDS, _POLL_GROWTH, _MAX_POLL_SECONDS = 0.2, 1.5, 2.0


class Executions:
    """`client.executions`."""

    def __init__(
        self,
        session: Session,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session, self._sleep, self._monotonic = session, sleep, monotonic

    def list(self, *, limit: int | None = None, **filters: Any) -> Iterator[Execution]:
        """Yield executions, newest first. `filters` are those of `GET /executions/`; `from` is `from_`."""
        return items(self._session, "/executions/", filters_of(filters), limit=limit)

    def get(self, execution: str) -> Execution:
        """Return an execution with its runs."""
        found: Execution = self._session.call("GET", _path(execution))
        return found

    def cancel(self, execution: str) -> Execution:
        return self._post(execution, "cancel", {})

    def replay(self, execution: str, **options: Any) -> Execution:
        """Create a new execution like this one. `options` are `environment`, `config`, `input` and `edit`."""
        return self._post(execution, "replay", options)

    def retry(self, execution: str, **options: Any) -> Execution:
        """Repeat a failed execution. `options` is `from_`."""
        return self._post(execution, "retry", filters_of(options))

    def approve(self, execution: str, **options: Any) -> Execution:
        """Approve what an execution waits for. `options` are `step`, `note` and `form`."""
        return self._post(execution, "approve", options)

    def reject(self, execution: str, **options: Any) -> Execution:
        """Reject what an execution waits for. `options` are `step` and `note`."""
        return self._post(execution, "reject", options)

    def wait(
        self,
        execution: str,
        *,
        timeout_seconds: float | None = None,
        on_change: Callable[[Execution], None] | None = None,
    ) -> Execution:
        """Return an execution once it has ended, asking for its status every two seconds at most.

        `on_change` gets the execution first as it is, then after each change. Raises WaitTimeoutError.
        """
        deadline = None if timeout_seconds is None else self._monotonic() + timeout_seconds
        pause, seen = _FIRST_POLL_SECONDS, None
        while True:
            current = self.get(execution)
            if on_change is not None and current != seen:
                on_change(current)
            seen = current
            if current["status"] in TERMINAL:
                return current
            left = None if deadline is None else deadline - self._monotonic()
            if left is not None and left <= 0:
                detail = f"The execution {execution} has not ended in {timeout_seconds:g} s: it is {current['status']}."
                raise WaitTimeoutError(detail)
            self._sleep(pause if left is None else min(pause, left))
            pause = min(pause * _POLL_GROWTH, _MAX_POLL_SECONDS)

    def match(self, verb: str, filters: Mapping[str, Any], **options: Any) -> BulkMatch:
        """Return what `verb` (`replay`, `retry` or `cancel`) with this filter would process."""
        body = {"filter": dict(filters), "dry_run": True, **options}
        matched: BulkMatch = self._session.call("POST", f"/executions/{verb}/", body=body)
        return matched

    def bulk(self, verb: str, filters: Mapping[str, Any], **options: Any) -> BulkOperation:
        """Start `verb` for all executions of a filter. `options` are `limit`, `rate_per_second`, `config` and `from`.

        The server carries it out in the background.
        """
        body = {"filter": dict(filters), **options}
        operation: BulkOperation = self._session.call("POST", f"/executions/{verb}/", body=body)
        return operation

    def operation(self, operation: str) -> BulkOperation:
        """Return a bulk operation: how far it is."""
        found: BulkOperation = self._session.call("GET", f"/bulk-operations/{quote(operation, safe='')}/")
        return found

    def _post(self, execution: str, verb: str, body: Mapping[str, Any]) -> Execution:
        answer: Execution = self._session.call("POST", _path(execution, verb), body=dict(body))
        return answer


class Runs:
    """`client.runs`: the attempts of executions."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, *, limit: int | None = None, **filters: Any) -> Iterator[Run]:
        """Yield runs, newest first, with texts cut to 2 KiB. `filters` are those of `GET /runs/`."""
        return items(self._session, "/runs/", filters_of(filters), limit=limit)

    def get(self, run: str) -> Run:
        found: Run = self._session.call("GET", f"/runs/{quote(run, safe='')}/")
        return found


def _path(execution: str, *parts: str) -> str:
    return "/".join(["/executions", quote(execution, safe=""), *parts, ""])
