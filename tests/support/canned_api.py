"""A requests adapter that answers from a list, and remembers what was asked."""

import io
import json
from collections import deque
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import BaseAdapter

URL = "http://hourhand.test"


def answer(status: int, body: Any = None, **headers: str) -> requests.Response:
    """Return a response with this body, as JSON unless it is bytes; `Retry_After="3"` is a header."""
    response = requests.Response()
    response.status_code = status
    response.reason = "Reason"
    response.raw = io.BytesIO(body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode())
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


def problem(status: int, code: str, detail: str = "No.", **members: Any) -> dict[str, Any]:
    return {"type": "about:blank", "title": "Title", "status": status, "code": code, "detail": detail, **members}


class CannedApi(BaseAdapter):
    """Answers in order; an exception among the answers is raised."""

    def __init__(self, *answers: requests.Response | BaseException) -> None:
        super().__init__()
        self._answers = deque(answers)
        self.asked: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, *_args: Any, **_options: Any) -> requests.Response:  # type: ignore[override]
        self.asked.append(request)
        next_answer = self._answers.popleft()
        if isinstance(next_answer, BaseException):
            raise next_answer
        next_answer.request, next_answer.url = request, str(request.url)
        return next_answer

    def close(self) -> None:
        pass

    def http(self) -> requests.Session:
        """Return a session that reaches only this adapter."""
        session = requests.Session()
        session.mount(URL, self)
        return session

    def headers(self, name: str) -> list[str | None]:
        """Return a header of each request."""
        return [_mapping(request.headers).get(name) for request in self.asked]


def _mapping(headers: Any) -> Mapping[str, str]:
    return headers
