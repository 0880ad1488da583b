"""The web server with real sockets: slow and broken clients, and bodies that the server does not read.

The web process has no database; these requests need none.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from scheduler_project.web import deadlines
from tests.support.deployment import listening_url
from tests.support.project import ROOT
from tests.support.waiting import wait_for

pytestmark = pytest.mark.edges
PROBLEM = "application/problem+json"
HALVES = {
    "nothing": b"",
    "half a request line": b"POST /api/v1/jo",
    "half a head": b"POST /api/v1/jobs/ HTTP/1.1\r\nHost: localhost\r\nX-Half: ",
    "half a body": b"POST /api/v1/jobs/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{",
    "half a chunk": b"POST /api/v1/jobs/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n{",
    "half a form": b"POST /admin/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nusername=",
}


class Web:
    """A web process with one worker and short deadlines."""

    def __init__(self, directory: Path, *, seconds: float = 6.0, **settings: str) -> None:
        quick = {"HEAD_SECONDS": seconds, "BODY_SECONDS": seconds, "ANSWER_SECONDS": seconds, "LINGER_SECONDS": 1.0}
        (directory / "quick.py").write_text(
            f"from scheduler_project.web import deadlines\nvars(deadlines).update({quick!r})\n"
            "from scheduler_project.wsgi import application\n"
        )
        log = directory / "web.log"
        command = [sys.executable, "-m", "gunicorn", "quick:application", "--bind", "127.0.0.1:0"]
        command += ["--workers", "1", "--threads", "2", "--pythonpath", str(directory)]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={
                    **os.environ,
                    "DATABASE_URL": "postgresql://nowhere.invalid/none",
                    "HOURHAND_API_RATE": "0",
                    **settings,
                },
                stdout=output,
                stderr=output,
            )
        self.url = wait_for(lambda: listening_url(log), "the web process to listen")
        parts = urllib.parse.urlsplit(self.url)
        self.address = (str(parts.hostname), int(parts.port or 0))
        wait_for(lambda: requests.get(f"{self.url}/healthz", timeout=60).ok, "the web process")

    def connect(self, first: bytes = b"", *, timeout: float = 30) -> socket.socket:
        link = socket.create_connection(self.address, timeout=timeout)
        link.sendall(first)
        return link

    def health_seconds(self, times: int = 20) -> float:
        """Return the longest response time of /healthz over several connections."""
        longest = 0.0
        for _ in range(times):
            asked = time.monotonic()
            assert requests.get(f"{self.url}/healthz", timeout=20).ok
            longest = max(longest, time.monotonic() - asked)
        return longest

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    made = Web(tmp_path_factory.mktemp("web"))
    yield made
    made.stop()


def read_to_end(link: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := link.recv(65536):
            received += chunk
    return received


def read_response(link: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read exactly one response."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = link.recv(1)
        assert chunk, received
        received += chunk
    lines = received.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
    body = b""
    while len(body) < int(headers.get("content-length", 0)):
        chunk = link.recv(int(headers["content-length"]) - len(body))
        assert chunk
        body += chunk
    return int(lines[0].split()[1]), headers, body


# -- slow clients ------------------------------------------------------------------------------------------------------


def test_a_thousand_incomplete_requests_do_not_delay_others_and_are_ended(web: Web) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(1000, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 200), hard))
    halves = [half for half in HALVES.values() if half]
    links = [web.connect(halves[number % len(halves)]) for number in range(count)]
    try:
        assert web.health_seconds() < 5, "threads that wait for bodies would let this wait for minutes"
        until = time.monotonic() + 40
        for link in links:
            link.settimeout(max(1, until - time.monotonic()))
            read_to_end(link)
    finally:
        for link in links:
            link.close()
    assert web.health_seconds(3) < 5


@pytest.mark.parametrize("half", [name for name, sent in HALVES.items() if sent])
def test_an_incomplete_request_is_ended_at_its_deadline_even_if_it_trickles(web: Web, half: str) -> None:
    link = web.connect(HALVES[half])
    started = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while time.monotonic() - started < 30:
            link.sendall(b"1" if "chunk" not in half else b"x")
            link.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                received = link.recv(65536)
                assert received.startswith(b"HTTP/1.1 408 ")
                assert PROBLEM.encode() in received
                break
    assert time.monotonic() - started < 25


def test_a_client_that_does_not_read_a_large_response_is_disconnected(web: Web) -> None:
    path = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
    size = len(requests.get(web.url + path, timeout=30).content)
    assert size > 1_000_000
    links = [socket.socket() for _ in range(50)]
    for link in links:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.settimeout(30)
        link.connect(web.address)
        link.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert web.health_seconds() < 5
    time.sleep(9)
    for link in links:
        assert len(read_to_end(link)) < size
        link.close()


def test_idle_connections_are_kept_longer_than_gunicorns_default(web: Web) -> None:
    link = web.connect()
    for _ in range(2):
        link.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_response(link)[0] == 200
        time.sleep(7)  # longer than gunicorn's default and the deadline for headers
    link.close()


def test_the_keep_alive_time_is_a_setting(tmp_path: Path) -> None:
    web = Web(tmp_path, HOURHAND_KEEP_ALIVE_SECONDS="1")
    try:
        for first in (b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            link = web.connect(first, timeout=20)
            read_to_end(link)
            link.close()
    finally:
        assert web.stop() == 0


# -- unread bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_line", "headers", "size"),
    [
        (("POST", "/api/v1/jobs/"), {"Content-Type": "application/json"}, 3_000_000),
        (("POST", "/api/v1/nowhere/"), {}, 3_000_000),
        (("POST", "/api/v1/jobs/"), {"Content-Type": "text/plain"}, 500_000),
        (("PUT", "/api/v1/jobs/x/"), {"Content-Type": "application/json"}, 100_000),
        (("GET", "/healthz"), {}, 100_000),
        (("DELETE", "/healthz"), {}, 5_000_000),
        (("POST", "/admin/login/"), {"Content-Type": "application/x-www-form-urlencoded"}, 3_000_000),
        (("POST", "/static/hourhand/hourhand.css"), {}, 3_000_000),
        (("POST", "/api/v1/jobs/"), {"Expect": "100-continue"}, 3_000_000),
        (("POST", "/api/v1/jobs/"), {}, 70 * 1024 * 1024),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_an_unread_body_leaves_the_connection_usable_or_announced_as_closed(
    web: Web, request_line: tuple[str, str], headers: dict[str, str], size: int, chunked: bool
) -> None:
    method, path = request_line
    link = web.connect(timeout=60)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    link.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{head}{framing}\r\n\r\n".encode())
    with contextlib.suppress(ConnectionError):
        for _ in range(0, size, 50_000):
            piece = b"x" * 50_000
            link.sendall(b"c350\r\n" + piece + b"\r\n" if chunked else piece)
        link.sendall(b"0\r\n\r\n" if chunked else b"")
    status, told, _ = read_response(link)
    if status == 100:
        status, told, _ = read_response(link)
    assert 400 <= status < 500 or (method, path) == ("GET", "/healthz")
    if told.get("connection", "").lower() != "close":
        link.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_response(link)[0] == 200
    link.close()


def test_incomplete_bodies_use_bounded_memory(web: Web) -> None:
    [worker] = Path(f"/proc/{web.process.pid}/task/{web.process.pid}/children").read_text().split()
    head = b"POST /api/v1/jobs/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n"
    before = _resident(worker)
    links = []
    for _ in range(120):
        link = web.connect()
        links.append(link)
        with contextlib.suppress(ConnectionError):
            link.sendall(head + b"x" * 1_900_000)
    grown = _resident(worker) - before
    for link in links:
        link.close()
    assert grown < 160 * 1024 * 1024, "120 of 1.9 MB are 228 MB"


def _resident(pid: str) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# -- broken requests ---------------------------------------------------------------------------------------------------

HEAD = b"POST /api/v1/jobs/ HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "uri_too_long"),
        (b"GET /healthz?" + b"a" * 50_000, 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\nCookie: " + b"a" * 300_000, 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 150 + b"\r\n", 431, "headers_too_large"),
        (b"nonsense\r\n\r\n", 400, "bad_request"),
        (b"GET /healthz\r\n\r\n", 400, "bad_request"),
        (b"GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n", 400, "bad_request"),
        (b"G\x00T /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "bad_request"),
        (b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n", 400, "bad_request"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n", 400, "bad_request"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n", 400, "bad_request"),
        (b"GET /healthz HTTP/1.1\nHost: localhost\n\n", 400, "bad_request"),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "bad_request"),
        (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400, "bad_request"),
        (HEAD + b"Content-Length: +5\r\n\r\nhello", 400, "bad_request"),
        (HEAD + b"Content-Length: 0x5\r\n\r\nhello", 400, "bad_request"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad_request"),
    ],
)  # fmt: skip
def test_malformed_http_is_answered_with_problem_json_and_the_connection_closes(
    web: Web, sent: bytes, status: int, code: str
) -> None:
    link = web.connect(sent)
    got, headers, body = read_response(link)
    said = json.loads(body)
    assert (got, said["status"], said["code"]) == (status, status, code)
    assert (headers["content-type"], headers["connection"].lower()) == (PROBLEM, "close")
    assert read_to_end(link) == b"", "no part of it is taken for another request"
    link.close()


@pytest.mark.parametrize(
    "target", [b"/healthz", b"http://localhost/healthz", b"/healthz?x=%ff", b"/healthz?\xff\xfe", b"/%68ealthz"]
)
def test_unusual_valid_targets_are_answered(web: Web, target: bytes) -> None:
    link = web.connect(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert read_response(link)[0] in ({400} if b"\xff" in target else {200})
    link.close()


def test_pipelined_requests_are_answered_in_order(web: Web) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with_body = b"POST /api/v1/nowhere/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
    link = web.connect(one + with_body + one + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert [read_response(link)[0] for _ in range(4)] == [200, 404, 200, 200]
    assert read_to_end(link) == b""
    link.close()


def test_a_half_closed_client_gets_its_response(web: Web) -> None:
    link = web.connect(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    link.shutdown(socket.SHUT_WR)
    assert read_to_end(link).startswith(b"HTTP/1.1 200 ")
    link.close()


# -- stopping ----------------------------------------------------------------------------------------------------------


def test_a_stop_closes_idle_connections_and_finishes_requests(tmp_path: Path) -> None:
    web = Web(tmp_path, seconds=20)
    idle = [web.connect() for _ in range(20)]
    kept = web.connect(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert read_response(kept)[0] == 200
    sending = web.connect(b"POST /api/v1/nowhere/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n{")
    time.sleep(0.5)
    web.process.send_signal(signal.SIGTERM)
    for link in (*idle, kept):
        assert read_to_end(link) == b""
    sending.sendall(b"   ")
    status, headers, _ = read_response(sending)
    assert (status, headers["connection"].lower()) == (404, "close")
    assert web.process.wait(60) == 0


def test_the_documented_deadlines_are_the_codes() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    for seconds in (deadlines.HEAD_SECONDS, deadlines.BODY_SECONDS, deadlines.ANSWER_SECONDS):
        assert f"{seconds:.0f} seconds" in page
