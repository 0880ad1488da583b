"""HTTP calls of the agent against real listeners: what is sent, what is kept, and how each failure is named."""

import gzip
import itertools
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hourhand.agent.bodies import KEPT_BYTES, READ_BYTES
from hourhand.agent.guard import HttpRules
from hourhand.agent.http_call import HttpCall
from hourhand.agent.http_contract import HttpExchange, HttpRequest, TlsSettings
from tests.support.certificates import AUTHORITY, client_certificate, server_context

LOOPBACK = HttpRules.parse(("127.0.0.0/8:*",))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Listener:
    """Answers every connection with the same bytes, and keeps the requests."""

    def __init__(self, answer: Callable[[socket.socket, bytes], None], context: ssl.SSLContext | None) -> None:
        self._answer, self._context = answer, context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.requests: list[bytes] = []
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                request = _read_request(connection)
                self.requests.append(request)
                self._answer(connection, request)
        except OSError:
            connection.close()


def _read_request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return received
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def listening(answer: bytes | Callable[..., None], context: ssl.SSLContext | None = None) -> Iterator[Listener]:
    converse = answer if callable(answer) else lambda connection, _request: connection.sendall(answer)
    listener = Listener(converse, context)
    try:
        yield listener
    finally:
        listener.close()


def call(url: str, *, rules: HttpRules = LOOPBACK, resolve: Any = None, **fields: Any) -> HttpExchange:
    options = {} if resolve is None else {"resolve": resolve}
    return HttpCall(HttpRequest(fields.pop("method", "GET"), url, **fields), rules, **options).run()


def answering(*addresses: str) -> Callable[[str, int], list[tuple[Any, ...]]]:
    """A resolver that answers with these addresses."""
    return lambda _name, port: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]


def test_a_request_is_sent_as_it_is_defined():
    with listening(OK) as listener:
        exchange = call(
            f"http://127.0.0.1:{listener.port}/a%2fb/%7e/../c?q=%7E&x=[1]#part",
            method="POST",
            headers=(("X-Kaese", "würzig"), ("user-agent", "Hourhand/1")),
            body=b"\0body",
        )
    (request,) = listener.requests
    line, *headers = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert line == b"POST /a%2fb/%7e/../c?q=%7E&x=[1] HTTP/1.1"
    assert sorted(headers) == sorted(
        [
            f"Host: 127.0.0.1:{listener.port}".encode(),
            b"Content-Length: 5",
            b"Accept-Encoding: gzip, deflate",
            b"user-agent: Hourhand/1",
            "X-Kaese: würzig".encode(),
        ]
    )
    assert request.endswith(b"\r\n\r\n\0body")
    assert (exchange.failure_reason, exchange.error, exchange.sent, exchange.aborted) == (None, None, True, False)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_is_sent_with_the_right_framing(method: str):
    answer = b"HTTP/1.1 204 No Content\r\n\r\n" if method == "HEAD" else OK
    with listening(answer) as listener:
        exchange = call(f"http://127.0.0.1:{listener.port}/", method=method)
    assert exchange.failure_reason is None
    request = listener.requests[0]
    assert request.startswith(f"{method} / HTTP/1.1\r\n".encode())
    assert (b"Content-Length: 0\r\n" in request) == (method in {"POST", "PUT", "PATCH"})
    assert b"ransfer-" not in request


def test_the_answer_is_kept_as_the_history_keeps_it():
    head = (
        b"HTTP/1.1 503 No\r\nX-One: a\r\nx-one: b\r\nSet-Cookie: c=1, 2\r\nSet-Cookie: d\r\n"
        b"X-Utf8: k\xc3\xa4se\r\nX-Latin: k\xe4se\r\nContent-Length: 4\r\n\r\n"
    )
    with listening(head + b"body") as listener:
        exchange = call(f"http://127.0.0.1:{listener.port}/")
    response = exchange.response
    assert exchange.failure_reason is None  # whether 503 is a success is for the server to say
    assert (response.status_code, response.http_version, response.body) == (503, "1.1", b"body")
    assert response.headers == {
        "x-one": "a, b", "set-cookie": "c=1, 2\nd", "x-utf8": "käse", "x-latin": "käse", "content-length": "4",
    }  # fmt: skip
    assert (response.body_bytes, response.body_truncated, response.note) == (4, False, None)
    assert exchange.remote_ip == "127.0.0.1"
    timings = exchange.timings
    assert (timings.dns_ms, timings.tls_ms) == (None, None)
    assert 0 <= timings.connect_ms <= timings.first_byte_ms <= timings.total_ms
    assert exchange.finished_at >= exchange.started_at


def test_a_coded_body_is_decoded():
    body = gzip.compress(b"x" * 1000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with listening(head + body) as listener:
        response = call(f"http://127.0.0.1:{listener.port}/").response
    assert (response.body, response.body_bytes) == (b"x" * 1000, 1000)


def test_of_an_endless_body_a_part_is_read_and_less_is_kept():
    def answer(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with listening(answer) as listener:
        exchange = call(f"http://127.0.0.1:{listener.port}/")
    assert exchange.failure_reason is None
    assert (len(exchange.response.body), exchange.response.body_truncated) == (KEPT_BYTES, True)
    assert READ_BYTES < exchange.response.body_bytes <= READ_BYTES + 65536
    assert exchange.response.http_version == "1.0"


def test_a_redirect_is_an_answer_and_is_not_followed():
    with listening(OK) as target:
        location = f"http://127.0.0.1:{target.port}/".encode()
        answer = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
        with listening(answer) as listener:
            exchange = call(f"http://127.0.0.1:{listener.port}/")
    assert (exchange.response.status_code, target.connections) == (302, 0)


def test_nothing_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
    with listening(OK) as proxy, listening(OK) as listener:
        monkeypatch.setenv("NETRC", str(netrc))
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        call(f"http://127.0.0.1:{listener.port}/")
    assert (proxy.connections, listener.connections) == (0, 1)
    assert b"uthorization" not in listener.requests[0]


@pytest.mark.parametrize(
    ("answer", "reason", "said"),
    [
        (b"", "connection_error", "closed without an answer"),
        (b"nonsense\r\n\r\n", "connection_error", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", "connection_error", "before the answer was complete"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "connection_error", "before the answer"),
    ],
)
def test_a_broken_answer_is_a_connection_error(answer: bytes, reason: str, said: str):
    with listening(answer) as listener:
        exchange = call(f"http://127.0.0.1:{listener.port}/")
    assert exchange.failure_reason == reason
    assert said in exchange.error
    assert exchange.sent
    # One exchange is sent once.
    assert listener.connections == 1
    if b"200 OK" in answer:
        assert exchange.response.status_code == 200
        assert exchange.response.body_truncated


def test_a_refused_connection_is_a_connection_error():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    exchange = call(f"http://127.0.0.1:{port}/")
    assert exchange.failure_reason == "connection_error"
    assert exchange.error == f"could not connect to 127.0.0.1 port {port}: Connection refused"
    assert (exchange.sent, exchange.response, exchange.timings.connect_ms) == (False, None, None)


def drip(connection: socket.socket, _request: bytes) -> None:
    """Send a byte now and then, so that no single read takes long."""
    pieces = itertools.chain(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", itertools.repeat(120))
    for byte in pieces:
        connection.sendall(bytes([byte]))
        threading.Event().wait(0.02)


def hang(connection: socket.socket, _request: bytes) -> None:
    connection.recv(1)


@pytest.mark.parametrize("answer", [drip, hang])
def test_the_timeout_is_one_for_the_whole_call(answer: Any):
    with listening(answer) as listener:
        exchange = call(f"http://127.0.0.1:{listener.port}/", timeout_seconds=1.5)
    assert (exchange.failure_reason, exchange.error) == ("timeout", "timed out after 1.5 s")
    if answer is drip and exchange.response is not None:
        assert exchange.response.body_truncated


def test_a_body_that_ends_with_the_timeout_does_not_count_as_complete():
    def answer(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\npart")
        connection.recv(1)

    with listening(answer) as listener:
        exchange = call(f"http://127.0.0.1:{listener.port}/", timeout_seconds=1)
    assert exchange.failure_reason == "timeout"
    assert exchange.response is None or exchange.response.body_truncated


def test_a_tls_handshake_that_hangs_times_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        exchange = call(f"https://127.0.0.1:{silent.getsockname()[1]}/", timeout_seconds=0.5)
    assert (exchange.failure_reason, exchange.sent) == ("timeout", False)


def test_a_resolver_that_hangs_times_out():
    never = threading.Event()
    exchange = call("http://slow.example/", resolve=lambda *_: never.wait(60), timeout_seconds=0.3)
    never.set()
    assert (exchange.failure_reason, exchange.error) == ("timeout", "timed out after 0.3 s")


def test_a_name_that_does_not_resolve_is_a_dns_error():
    def fail(_name: str, _port: int) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolve in (fail, answering()):
        exchange = call("http://no.example/", resolve=resolve)
        assert (exchange.failure_reason, exchange.error) == ("dns_error", "could not resolve host no.example")


@pytest.mark.parametrize("url", ["ftp://a/", "http://user@a/", "http://a b/", "http://2130706433/"])
def test_an_invalid_url_is_named_so(url: str):
    exchange = call(url)
    assert (exchange.failure_reason, exchange.sent) == ("invalid_url", False)
    assert exchange.error


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "BREW"},
        {"method": "HEAD", "body": b"x"},
        {"headers": (("X", "a\r\nEvil: b"),)},
        {"headers": (("X Y", "a"),)},
        {"headers": (("Host", "other"),)},
        {"headers": (("transfer-encoding", "chunked"),)},
    ],
)
def test_what_http_can_not_express_is_not_sent(fields: dict[str, Any]):
    with listening(OK) as listener:
        exchange = call(f"http://127.0.0.1:{listener.port}/", **fields)
    assert (exchange.failure_reason, exchange.sent, listener.connections) == ("template_error", False, 0)


def test_an_address_that_is_not_listed_is_not_dialled():
    with listening(OK) as listener:
        rules = HttpRules.parse((f"10.0.0.0/8:{listener.port}",))
        exchange = call(f"http://127.0.0.1:{listener.port}/", rules=rules)
    assert (exchange.failure_reason, exchange.sent, listener.connections) == ("ssrf_blocked", False, 0)


def test_a_name_that_turns_to_a_forbidden_address_is_refused_as_it_is_dialled():
    """The first answer would be allowed. The name is resolved once for each call, and that answer is judged."""
    answers = iter([answering("127.0.0.2"), answering("127.0.0.1")])
    asked = []

    def rebind(name: str, port: int) -> Any:
        asked.append(name)
        return next(answers)(name, port)

    with listening(OK) as listener:
        rules = HttpRules.parse(("rebind.example:*", "127.0.0.2:*"))
        url = f"http://rebind.example:{listener.port}/"
        first = call(url, rules=rules, resolve=rebind)
        assert (first.failure_reason, asked) == ("connection_error", ["rebind.example"])
        second = call(url, rules=rules, resolve=rebind)
    assert second.failure_reason == "ssrf_blocked"
    assert "rebind.example resolves to 127.0.0.1, which is a loopback address" in second.error
    assert (second.remote_ip, listener.connections, len(asked)) == (None, 0, 2)


def test_a_refused_address_does_not_hide_an_allowed_one():
    with listening(OK) as listener:
        rules = HttpRules.parse(("127.0.0.1:*",))
        url = f"http://two.example:{listener.port}/"
        exchange = call(url, rules=rules, resolve=answering("192.0.2.1", "127.0.0.1"))
    assert (exchange.failure_reason, exchange.remote_ip) == (None, "127.0.0.1")
    assert exchange.timings.dns_ms is not None
    assert listener.requests[0].startswith(b"GET / HTTP/1.1\r\n")
    assert f"Host: two.example:{listener.port}".encode() in listener.requests[0]


def test_a_call_is_aborted_while_it_waits():
    arrived = threading.Event()

    def answer(connection: socket.socket, _request: bytes) -> None:
        arrived.set()
        connection.recv(1)

    with listening(answer) as listener:
        running = HttpCall(HttpRequest("GET", f"http://127.0.0.1:{listener.port}/", timeout_seconds=120), LOOPBACK)
        threading.Thread(target=lambda: (arrived.wait(60), running.abort()), daemon=True).start()
        exchange = running.run()
    assert (exchange.aborted, exchange.failure_reason, exchange.error) == (True, "unknown", "canceled")
    assert exchange.sent


def test_a_call_that_was_aborted_before_is_not_sent():
    with listening(OK) as listener:
        running = HttpCall(HttpRequest("GET", f"http://127.0.0.1:{listener.port}/"), LOOPBACK)
        running.abort()
        exchange = running.run()
    assert (exchange.aborted, exchange.sent, listener.requests) == (True, False, [])


def test_tls_is_verified_by_the_given_authority():
    with listening(OK, server_context()) as listener:
        trusted = call(f"https://localhost:{listener.port}/", tls=TlsSettings(ca_cert=AUTHORITY))
        untrusted = call(f"https://127.0.0.1:{listener.port}/")
        other_name = call(
            f"https://other.example:{listener.port}/",
            tls=TlsSettings(ca_cert=AUTHORITY),
            resolve=answering("127.0.0.1"),
        )
        unverified = call(f"https://127.0.0.1:{listener.port}/", tls=TlsSettings(verify=False))
    assert (trusted.failure_reason, trusted.response.body) == (None, b"ok")
    assert trusted.timings.tls_ms is not None
    assert (untrusted.failure_reason, untrusted.sent) == ("ssl_error", False)
    assert "certificate is not trusted" in untrusted.error
    assert (other_name.failure_reason, other_name.sent) == ("ssl_error", False)
    assert unverified.failure_reason is None


def test_the_environment_adds_no_authority_to_a_given_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Any):
    """Whoever sets ca_cert wants this authority and no other."""
    certificate, _ = client_certificate()
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(AUTHORITY)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    with listening(OK, server_context()) as listener:
        exchange = call(f"https://localhost:{listener.port}/", tls=TlsSettings(ca_cert=certificate))
    assert exchange.failure_reason == "ssl_error"


def test_a_client_certificate_is_presented():
    certificate, key = client_certificate()
    context = server_context()
    context.load_verify_locations(cadata=certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    tls = TlsSettings(ca_cert=AUTHORITY, client_cert=certificate, client_key=key)
    with listening(OK, context) as listener:
        with_it = call(f"https://localhost:{listener.port}/", tls=tls)
        without = call(f"https://localhost:{listener.port}/", tls=TlsSettings(ca_cert=AUTHORITY))
    assert with_it.failure_reason is None
    assert without.failure_reason in {"ssl_error", "connection_error"}


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        (TlsSettings(ca_cert="nonsense"), "ca_cert can't be used"),
        (TlsSettings(client_cert="nonsense", client_key="nonsense"), "client_cert can't be used"),
    ],
)
def test_an_unusable_certificate_is_an_ssl_error(tls: TlsSettings, said: str):
    with listening(OK, server_context()) as listener:
        exchange = call(f"https://localhost:{listener.port}/", tls=tls)
    assert (exchange.failure_reason, exchange.sent, listener.connections) == ("ssl_error", False, 0)
    assert said in exchange.error


@contextmanager
def speaking_first(words: bytes) -> Iterator[int]:
    """A port where a server sends `words`, waits for the client to speak, and resets the connection."""

    def speak() -> None:
        connection, _ = listener.accept()
        connection.sendall(words)
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=speak, daemon=True).start()
        yield listener.getsockname()[1]


def test_a_server_without_tls_is_an_ssl_error():
    with speaking_first(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        exchange = call(f"https://localhost:{port}/")
    assert (exchange.failure_reason, exchange.sent) == ("ssl_error", False)


def test_a_handshake_that_breaks_off_is_a_connection_error():
    """Certificates are not the reason, and another attempt may succeed."""
    with speaking_first(b"") as port:
        exchange = call(f"https://localhost:{port}/")
    assert (exchange.failure_reason, exchange.sent) == ("connection_error", False)
    assert exchange.error == "the connection broke off during the TLS handshake"


def test_no_repr_shows_what_may_be_secret():
    with listening(b"HTTP/1.1 200 OK\r\nX: hunter2\r\nContent-Length: 7\r\n\r\nhunter2") as listener:
        request = HttpRequest("GET", f"http://127.0.0.1:{listener.port}/?hunter2", (("A", "hunter2"),), b"hunter2")
        exchange = HttpCall(request, LOOPBACK).run()
    assert "hunter2" not in repr((request, exchange, TlsSettings(True, "hunter2", "hunter2", "hunter2")))
