"""The client: one server, one key, and the API's resources."""

from collections.abc import Iterator
from typing import Any

import requests

from hourhand.client.events import Event, events_of
from hourhand.client.executions import Executions, Runs
from hourhand.client.jobs import Jobs
from hourhand.client.pages import filters_of
from hourhand.client.secrets import Secrets
from hourhand.client.session import Session, WaitCallback
from hourhand.client.types import SchedulePreview

_RESUME = "Last-Event-ID"


class Client:
    """A client of the REST API.

    `client.jobs`, `client.executions`, `client.runs` and `client.secrets` are its resources. Their objects are
    dictionaries with the API's own field names; lists are iterators that read further pages as needed. Errors are
    exceptions of `hourhand.client.errors`. `on_wait` gets the seconds and the reason of each wait before a repetition.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout_seconds: float = 60.0,
        max_wait_seconds: float = 30.0,
        on_wait: WaitCallback | None = None,
        http: requests.Session | None = None,
    ) -> None:
        self._session = Session(
            url, key, timeout_seconds=timeout_seconds, max_wait_seconds=max_wait_seconds, on_wait=on_wait, http=http
        )
        self.url = self._session.url
        self.jobs = Jobs(self._session)
        self.executions = Executions(self._session)
        self.runs = Runs(self._session)
        self.secrets = Secrets(self._session)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        self._session.close()

    def call(self, method: str, path: str, *, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        """Send any request of the API, such as `client.call("GET", "/keys/")`, and return the answer's JSON."""
        return self._session.call(method, path, query=query, body=body)

    def whoami(self) -> dict[str, Any]:
        """Return what the key is called, and its workspace, scopes, environments and expiry."""
        caller: dict[str, Any] = self._session.call("GET", "/whoami/")
        return caller

    def preview(self, schedule: Any, **options: Any) -> SchedulePreview:
        """Explain a schedule. `options` are those of `POST /schedules/preview/`, such as `timezone` and `count`."""
        body = {"schedule": schedule, **filters_of(options)}
        preview: SchedulePreview = self._session.call("POST", "/schedules/preview/", body=body)
        return preview

    def stats(self, **filters: Any) -> dict[str, Any]:
        """Return the workspace's statistics. `filters` are `from_`, `to`, `bucket`, `job` and `environment`."""
        stats: dict[str, Any] = self._session.call("GET", "/stats/", query=filters_of(filters))
        return stats

    def usage(self, *, period: str = "current") -> dict[str, Any]:
        usage: dict[str, Any] = self._session.call("GET", "/usage/", query={"period": period})
        return usage

    def events(self, *, after: str | None = None, **filters: Any) -> Iterator[Event]:
        """Yield changes of executions as they happen, for up to 15 minutes, or until the stream breaks.

        `after` is the position of the last event, to resume after it. The stream may leave out changes, which a gap
        reports: read lists for anything that must not be missed.
        """
        headers = {_RESUME: after} if after is not None else {}
        response = self._session.stream("/events/", query=filters_of(filters), headers=headers)
        with response:
            yield from events_of(response)
