"""The REST API in this process, as a server that the client's requests reach: faster than one that listens."""

import io
import json
from collections.abc import Callable
from typing import Any

import requests
from click.testing import CliRunner, Result
from django.test import Client
from requests.adapters import BaseAdapter

from hourhand.invocation import Invocation
from hourhand.main import hourhand

URL = "http://testserver"
EVENTS = "/api/v1/events/"
_OF_THE_CONNECTION = frozenset({"Accept-Encoding", "Connection", "Content-Type", "Content-Length"})
#: What a server answers that has no stream to give.
NO_STREAM = {"status": 503, "code": "too_many_streams", "detail": "No stream is free."}


class InProcessApi(BaseAdapter):
    """Passes requests on to Django. There is no live tail, so that its followers read lists."""

    def __init__(self) -> None:
        super().__init__()
        #: Called with each request before it is passed on.
        self.on_request: Callable[[str, str], None] = lambda _method, _path: None
        self.asked: list[str] = []

    def send(self, request: requests.PreparedRequest, *_args: Any, **_options: Any) -> requests.Response:  # type: ignore[override]
        method, path = str(request.method), request.path_url
        self.asked.append(f"{method} {path}")
        self.on_request(method, path)
        if path.startswith(EVENTS):
            return _response(request, 503, {}, json.dumps(NO_STREAM).encode())
        # Django would compress the answer, which only urllib3 undoes.
        headers = {name: value for name, value in request.headers.items() if name not in _OF_THE_CONNECTION}
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        content_type = request.headers.get("Content-Type", "")
        client = Client(raise_request_exception=False, headers=headers)
        answer = client.generic(method, path, body, content_type=content_type)
        return _response(request, answer.status_code, dict(answer.headers), answer.content)

    def close(self) -> None:
        pass

    def http(self) -> requests.Session:
        session = requests.Session()
        session.mount(URL, self)
        return session


def _response(
    request: requests.PreparedRequest, status: int, headers: dict[str, str], body: bytes
) -> requests.Response:
    response = requests.Response()
    response.status_code, response.request, response.url = status, request, str(request.url)
    response.headers.update(headers)
    response.raw = io.BytesIO(body)
    return response


class Terminal:
    """Calls the command line in this process, with a server and a key in the environment."""

    def __init__(self, key: str, home: Any) -> None:
        self.api = InProcessApi()
        self.environment: dict[str, str | None] = {
            "HOURHAND_URL": URL,
            "HOURHAND_KEY": key,
            "HOURHAND_PROFILE": None,
            "XDG_CONFIG_HOME": str(home),
            "NO_COLOR": "1",
        }
        #: Whether the commands believe that a person can answer questions.
        self.interactive = False

    def run(self, *arguments: str, input: str | None = None, expect: int = 0) -> Result:  # noqa: A002 - as in click
        """Call `hourhand` with these arguments. Checks the exit code."""
        invocation = Invocation(http=self.api.http(), interactive=self.interactive)
        result = CliRunner().invoke(hourhand, arguments, input=input, env=self.environment, obj=invocation)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == expect, result.output
        return result

    def json(self, *arguments: str, **options: Any) -> Any:
        """Return the result as JSON."""
        return json.loads(self.run(*arguments, "-o", "json", **options).stdout)

    def names(self, *arguments: str, **options: Any) -> list[str]:
        return self.run(*arguments, "-o", "name", **options).stdout.split()
