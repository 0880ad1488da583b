"""Requests to the REST API: authentication, waits and repetitions, idempotency keys, errors as exceptions."""

import datetime
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from hourhand.client.errors import ApiError, ClientError, ServerAwayError, api_error
from hourhand.client.retrying import Patience

_BASE = "/api/v1"
_CONNECT_SECONDS = 10.0
_REDIRECT, _ERROR = 300, 400
_MAX_QUOTED = 200

#: Called before each wait with its seconds and the reason.
WaitCallback = Callable[[float, str], None]
QueryValue = str | int | float | bool | None


class _BearerKey(AuthBase):
    """The API key as a header. An auth object, because requests would replace a plain header by one from ~/.netrc."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    query: Mapping[str, QueryValue]
    body: Any
    timeout_seconds: float


class Session:
    """One server and one key.

    A request waits for 429 and 503 with Retry-After, `max_wait_seconds` in all. A lost connection is tried twice more,
    except for DELETE, whose repetition would answer 404. A POST carries an Idempotency-Key that its repetitions share.
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
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = checked_url(url)
        self._auth = _BearerKey(key)
        self._timeout_seconds, self._max_wait_seconds = timeout_seconds, max_wait_seconds
        self._on_wait, self._sleep = on_wait, sleep
        self._http = http or requests.Session()

    def close(self) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, QueryValue] | None = None,
        body: Any = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """Send a request and return the answer's JSON; None for an answer without a body. Raises ClientError."""
        request = _Request(method, path, query or {}, body, timeout_seconds or self._timeout_seconds)
        response = self._answer(request)
        return _json_of(response) if response.content else None

    def text(self, path: str, *, query: Mapping[str, QueryValue] | None = None) -> str:
        """Return the text of an answer that is a file. Raises ClientError."""
        return self._answer(_Request("GET", path, query or {}, None, self._timeout_seconds)).content.decode()

    def stream(
        self, path: str, *, query: Mapping[str, QueryValue] | None = None, headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        """Return an answer whose body is read as it arrives. Does not wait or repeat. Raises ClientError."""
        request = _Request("GET", path, query or {}, None, self._timeout_seconds)
        response = self._send(request, headers or {}, stream=True)
        if response.status_code >= _REDIRECT:
            with response:
                raise self._refusal(response)
        return response

    def _answer(self, request: _Request) -> requests.Response:
        headers = {"Idempotency-Key": str(uuid.uuid4())} if request.method == "POST" else {}
        patience = Patience(self._max_wait_seconds)
        while True:
            try:
                response = self._send(request, headers)
            except ServerAwayError as error:
                repeats = isinstance(error.__cause__, requests.ConnectionError) and request.method != "DELETE"
                wait = patience.after_lost_connection() if repeats else None
                if wait is None:
                    raise
                self._pause(wait, str(error))
                continue
            if response.status_code < _REDIRECT:
                return response
            refusal = self._refusal(response)
            now = datetime.datetime.now(datetime.timezone.utc)
            retry_after = response.headers.get("Retry-After")
            wait = patience.after_answer(response.status_code, refusal.code, retry_after, now=now)
            if wait is None:
                raise refusal
            self._pause(wait, refusal.detail)

    def _pause(self, seconds: float, reason: str) -> None:
        if self._on_wait is not None:
            self._on_wait(seconds, reason)
        self._sleep(seconds)

    def _send(self, request: _Request, headers: Mapping[str, str], *, stream: bool = False) -> requests.Response:
        if request.body is not None:
            headers = {**headers, "Content-Type": "application/json"}
        try:
            return self._http.request(
                request.method,
                f"{self.url}{_BASE}{request.path}",
                params=_spelled(request.query),
                data=None if request.body is None else json.dumps(request.body).encode(),
                headers=headers,
                auth=self._auth,
                timeout=(_CONNECT_SECONDS, request.timeout_seconds),
                allow_redirects=False,
                stream=stream,
            )
        except requests.exceptions.SSLError as error:
            raise ClientError(f"{self.url}: the TLS connection failed: {error}") from error
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise ServerAwayError(f"{self.url} does not answer: {_reason_of(error)}") from error
        except requests.RequestException as error:
            raise ClientError(f"{self.url}: {error}") from error

    def _refusal(self, response: requests.Response) -> ApiError:
        """Return the exception for an answer that is no success."""
        if response.status_code < _ERROR:
            location = response.headers.get("Location", "elsewhere")
            detail = f"The server redirects to {location}: use that URL."
            return ApiError(response.status_code, {"code": "redirected", "detail": detail})
        try:
            problem = response.json()
        except ValueError:
            problem = None
        if not isinstance(problem, Mapping):
            detail = f"{self.url} answered {response.status_code}: {response.text[:_MAX_QUOTED].strip()}"
            problem = {"detail": detail, "title": response.reason}
        return api_error(response.status_code, problem)


def checked_url(url: str) -> str:
    """Return a server's URL without a trailing slash. Raises ClientError if it is none."""
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment or parts.username is not None:
        raise ClientError(f"{url!r} is not the URL of a server, such as https://hourhand.example.com.")
    return url.strip().rstrip("/")


def _spelled(query: Mapping[str, QueryValue]) -> dict[str, str]:
    """Return query parameters as the API spells them, without those that are None."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in query.items()
        if value is not None
    }


def _json_of(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        start = response.text[:_MAX_QUOTED].strip()
        raise ClientError(f"The answer is not JSON. Is this the URL of Hourhand? It begins: {start}") from error


def _reason_of(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "timed out"
    cause: BaseException = error
    while cause.args and isinstance(cause.args[0], BaseException):
        cause = cause.args[0]
    # urllib3's errors name the reason in an attribute.
    reason = getattr(cause, "reason", None)
    return str(reason or cause)
