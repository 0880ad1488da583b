"""The delivery engine against real servers on loopback, well-behaved and not."""

import gzip
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobs.egress import EgressPolicy
from runs.failures import FailureReason
from tests.integration.certificates import AUTHORITY, server_context
from tests.integration.receiver import Exchange, fine, gzipped, receiving
from workers.delivery.contract import DeliveryRequest, DeliveryResult, TlsOptions
from workers.delivery.engine import DeliveryEngine, EngineStopped
from workers.delivery.transfer import KEPT_BODY_BYTES, READ_BODY_BYTES

LOOPBACK_ALLOWED = EgressPolicy.parse("127.0.0.0/8, ::1", "*")


def request(url: str, **fields: Any) -> DeliveryRequest:
    identity = {"run_id": uuid.uuid4(), "execution_id": uuid.uuid4(), "attempt": 1, "workspace_id": None}
    return DeliveryRequest(**{**identity, "method": "GET", "url": url, "timeout_seconds": 5.0, **fields})


class Running:
    """An engine and what it has reported."""

    def __init__(self, policy: EgressPolicy = LOOPBACK_ALLOWED, max_in_flight: int = 100) -> None:
        self.results: list[DeliveryResult] = []
        self.arrived = threading.Condition()
        self.engine = DeliveryEngine(policy=policy, on_result=self.take, max_in_flight=max_in_flight)
        self.engine.start()

    def take(self, result: DeliveryResult) -> None:
        with self.arrived:
            self.results.append(result)
            self.arrived.notify_all()

    def wait(self, count: int, seconds: float = 10) -> list[DeliveryResult]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.results) >= count, seconds), f"{len(self.results)} of {count}"
        return self.results

    def deliver(self, url: str, **fields: Any) -> DeliveryResult:
        """One exchange, from submit to result."""
        before = len(self.results)
        self.engine.submit([request(url, **fields)])
        return self.wait(before + 1)[before]


@pytest.fixture
def running() -> Iterator[Running]:
    started = Running()
    yield started
    started.engine.stop(grace_seconds=0)


def answering(raw: bytes, *, then_close: bool = True) -> Callable[[Exchange], None]:
    def behave(exchange: Exchange) -> None:
        exchange.send(raw)
        if then_close:
            exchange.connection.shutdown(socket.SHUT_WR)

    return behave


def flooding(head: bytes, line: bytes) -> Callable[[Exchange], None]:
    """Send `head` once and `line` for ever."""

    def behave(exchange: Exchange) -> None:
        exchange.send(head)
        while True:
            exchange.send(line * 200)

    return behave


def eventually(holds: Callable[[], bool], seconds: float = 5) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


# -- what is sent ------------------------------------------------------------------------------------------------------


def test_a_request_arrives_as_it_was_given_and_nothing_is_added(running: Running) -> None:
    with receiving() as receiver:
        result = running.deliver(
            receiver.url("/a/../b?x={y}&z"),
            method="POST",
            headers=(("X-One", "1"), ("X-Empty", "")),
            body=b"\x00\xffbody",
        )
        (seen,) = receiver.exchanges
    assert result.succeeded
    assert seen.request_line == "POST /a/../b?x={y}&z HTTP/1.1"
    assert seen.body == b"\x00\xffbody"
    assert seen.headers == [
        ("host", f"127.0.0.1:{receiver.port}"),
        ("user-agent", "Hourhand"),
        ("accept-encoding", "gzip, deflate, br"),
        ("x-one", "1"),
        ("x-empty", ""),
        ("content-length", "6"),
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("body", [None, b'{"a":1}'])
def test_each_method_with_and_without_a_body(running: Running, method: str, body: bytes | None) -> None:
    with receiving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", then_close=False)) as receiver:
        result = running.deliver(receiver.url(), method=method, body=body)
    if method == "HEAD" and body:
        assert (result.failure_reason, result.sent) == (FailureReason.INVALID_URL, False)
        return
    assert result.succeeded
    assert receiver.exchanges[0].request_line.startswith(f"{method} ")
    assert receiver.exchanges[0].body == (body or b"")


def test_a_handle_used_for_one_method_carries_nothing_over_to_the_next(running: Running) -> None:
    steps = [
        ("POST", b"one"),
        ("GET", None),
        ("HEAD", None),
        ("DELETE", b"two"),
        ("GET", None),
        ("PUT", None),
        ("HEAD", None),
        ("POST", b"three"),
    ]
    with receiving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", then_close=False)) as receiver:
        for method, body in steps:
            assert running.deliver(receiver.url(), method=method, body=body).succeeded
    seen = [(exchange.request_line.split()[0], exchange.body) for exchange in receiver.exchanges]
    assert seen == [(method, body or b"") for method, body in steps]
    assert [dict(exchange.headers).get("content-length") for exchange in receiver.exchanges] == [
        "3",
        None,
        None,
        "3",
        None,
        "0",
        None,
        "5",
    ]


def test_a_body_of_a_megabyte_is_sent_without_asking_for_leave(running: Running) -> None:
    with receiving() as receiver:
        result = running.deliver(receiver.url(), method="POST", body=b"x" * 1_048_576)
    assert result.succeeded
    assert len(receiver.exchanges[0].body) == 1_048_576
    assert "expect" not in dict(receiver.exchanges[0].headers)


@pytest.mark.parametrize(
    "header",
    [
        ("X-A", "a\r\nX-B: b"),
        ("X-A", "a\nb"),
        ("X-A", "a\0b"),
        ("X A", "1"),
        ("X-A:", "1"),
        ("", "1"),
        ("X\r\nY", "1"),
        ("Host", "internal"),
        ("content-length", "3"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
    ],
)
def test_headers_that_could_forge_a_message_are_refused_unsent(running: Running, header: tuple[str, str]) -> None:
    with receiving() as receiver:
        result = running.deliver(receiver.url(), headers=(header,))
        assert (result.failure_reason, result.sent) == (FailureReason.INVALID_URL, False)
        assert result.error
        assert running.deliver(receiver.url()).succeeded
    assert len(receiver.exchanges) == 1


def test_header_values_beyond_ascii_are_sent_as_utf_8(running: Running) -> None:
    with receiving() as receiver:
        assert running.deliver(receiver.url(), headers=(("X-Name", "Zoë"),)).succeeded
    assert dict(receiver.exchanges[0].headers)["x-name"].encode("latin-1").decode() == "Zoë"


def test_proxies_and_netrc_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password secret\n")
    for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))
    running = Running()
    with receiving() as receiver:
        assert running.deliver(receiver.url()).succeeded
    assert "authorization" not in dict(receiver.exchanges[0].headers)
    running.engine.stop(grace_seconds=0)


# -- what comes back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("204 No Content", None),
        ("301 Moved", FailureReason.UNEXPECTED_STATUS),
        ("404 Nope", FailureReason.HTTP_CLIENT_ERROR),
        ("429 Slow down", FailureReason.HTTP_CLIENT_ERROR),
        ("503 Busy", FailureReason.HTTP_SERVER_ERROR),
    ],
)
def test_the_status_decides(running: Running, status: str, reason: FailureReason | None) -> None:
    with receiving(lambda exchange: exchange.answer(status, b"", "Location: http://127.0.0.1:1/\r\n")) as receiver:
        result = running.deliver(receiver.url())
    assert result.failure_reason == reason
    assert result.error == (f"HTTP {status[:3]}" if reason else None)
    assert result.response is not None
    assert result.response.status_code == int(status[:3])
    assert len(receiver.exchanges) == 1  # redirects are not followed


def test_a_job_may_call_other_statuses_a_success(running: Running) -> None:
    with receiving(lambda exchange: exchange.answer("404 Gone")) as receiver:
        assert running.deliver(receiver.url(), success_statuses=("2xx", "404")).succeeded


def test_headers_are_lower_case_and_joined_and_cookies_are_neither_mixed_nor_kept(running: Running) -> None:
    headers = "X-A: 1\r\nSet-Cookie: a=1\r\nx-a:  2\r\nSET-COOKIE: b=2\r\nX-Folded: one\r\n two\r\n"
    with receiving(lambda exchange: exchange.answer(headers=headers)) as receiver:
        result = running.deliver(receiver.url())
        running.deliver(receiver.url())
    assert result.response is not None
    assert result.response.headers["x-a"] == "1, 2"
    assert result.response.headers["set-cookie"] == "a=1\nb=2"
    assert result.response.headers["x-folded"].split() == ["one", "two"]
    assert "cookie" not in dict(receiver.exchanges[1].headers)


def test_interim_answers_and_trailers_leave_the_head_alone(running: Running) -> None:
    raw = (
        b"HTTP/1.1 103 Early Hints\r\nX-Who: hint\r\n\r\n"
        b"HTTP/1.1 201 Created\r\nX-Who: answer\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nok\r\n0\r\nX-Who: trailer\r\n\r\n"
    )
    with receiving(answering(raw, then_close=False)) as receiver:
        result = running.deliver(receiver.url())
    assert result.response is not None
    assert (result.response.status_code, result.response.headers["x-who"], result.response.body) == (
        201,
        "answer",
        b"ok",
    )


@pytest.mark.parametrize("size", [0, 1, KEPT_BODY_BYTES, KEPT_BODY_BYTES + 1, READ_BODY_BYTES])
def test_a_body_is_counted_whole_and_kept_in_part(running: Running, size: int) -> None:
    with receiving(lambda exchange: exchange.answer(body=b"x" * size)) as receiver:
        result = running.deliver(receiver.url())
    assert result.succeeded
    assert result.response is not None
    assert len(result.response.body) == min(size, KEPT_BODY_BYTES)
    assert (result.response.body_bytes, result.response.body_truncated) == (size, size > KEPT_BODY_BYTES)


@pytest.mark.parametrize("status", ["200 OK", "500 Broken"])
def test_an_endless_body_is_cut_and_judged_by_its_status(running: Running, status: str) -> None:
    head = f"HTTP/1.1 {status}\r\n\r\n".encode()
    started = time.monotonic()
    with receiving(flooding(head, b"x" * 1000)) as receiver:
        result = running.deliver(receiver.url())
    assert time.monotonic() - started < 4
    assert result.succeeded == (status == "200 OK")
    assert result.response is not None
    assert result.response.body_truncated
    assert READ_BODY_BYTES < result.response.body_bytes < READ_BODY_BYTES + 200_000


def test_a_decompression_bomb_is_cut_at_the_same_size(running: Running) -> None:
    bomb = gzipped(200 * 1024 * 1024)
    with receiving(lambda exchange: exchange.answer(body=bomb, headers="Content-Encoding: gzip\r\n")) as receiver:
        result = running.deliver(receiver.url())
    assert result.succeeded
    assert result.response is not None
    assert result.response.body_bytes < READ_BODY_BYTES + 100_000


def test_a_compressed_body_is_decoded(running: Running) -> None:
    body = gzip.compress(b"hello")
    with receiving(lambda exchange: exchange.answer(body=body, headers="Content-Encoding: gzip\r\n")) as receiver:
        result = running.deliver(receiver.url())
    assert result.response is not None
    assert (result.response.body, result.response.body_bytes) == (b"hello", 5)


def test_a_body_in_a_coding_nobody_asked_for_leaves_the_status(running: Running) -> None:
    with receiving(lambda exchange: exchange.answer(headers="Content-Encoding: zstd\r\n")) as receiver:
        result = running.deliver(receiver.url())
    assert result.succeeded
    assert result.response is not None
    assert (result.response.body, result.response.body_truncated) == (b"", True)


def test_too_many_headers_are_left_out_and_the_status_stands(running: Running) -> None:
    headers = "".join(f"X-{number}: {'v' * 1000}\r\n" for number in range(150))
    with receiving(lambda exchange: exchange.answer(headers=headers)) as receiver:
        result = running.deliver(receiver.url())
    assert result.succeeded
    assert result.response is not None
    assert 50 < len(result.response.headers) < 70
    with receiving(flooding(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n")) as receiver:
        result = running.deliver(receiver.url())
    assert result.succeeded
    assert result.response is not None
    assert result.response.body_truncated


def test_endless_interim_answers_end_early_and_without_a_status(running: Running) -> None:
    with receiving(flooding(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")) as receiver:
        result = running.deliver(receiver.url())
    assert (result.failure_reason, result.response) == (FailureReason.CONNECTION_ERROR, None)


# -- how it goes wrong -------------------------------------------------------------------------------------------------


def test_a_silent_endpoint_times_out_at_the_deadline(running: Running) -> None:
    with receiving(lambda exchange: time.sleep(3)) as receiver:
        result = running.deliver(receiver.url(), timeout_seconds=0.3)
    assert (result.failure_reason, result.error) == (FailureReason.TIMEOUT, "timed out after 0.3 s")
    assert 0.29 < result.finished_monotonic - result.started_monotonic < 0.6
    assert result.response is None
    assert result.remote_ip == "127.0.0.1"


@pytest.mark.parametrize(
    ("head", "drip"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n"),
    ],
)
def test_one_deadline_holds_over_slow_drips_of_anything(running: Running, head: bytes, drip: bytes) -> None:
    def behave(exchange: Exchange) -> None:
        exchange.send(head)
        for _ in range(100):
            exchange.send(drip)
            time.sleep(0.05)

    with receiving(behave) as receiver:
        result = running.deliver(receiver.url(), timeout_seconds=0.5)
    assert result.failure_reason == FailureReason.TIMEOUT
    assert result.finished_monotonic - result.started_monotonic < 0.9
    if result.response is not None:
        assert result.response.body_truncated


def test_a_tls_handshake_that_never_ends_is_a_timeout(running: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        result = running.deliver(f"https://127.0.0.1:{listener.getsockname()[1]}/", timeout_seconds=0.3)
    assert result.failure_reason == FailureReason.TIMEOUT


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", "closed without an answer"),
        (b"SSH-2.0-OpenSSH_9\r\n", "not HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", ""),
        (b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ""),
        (b"HTTP/1.1 200 OK\r\nConte", ""),
    ],
)
def test_what_is_no_whole_answer_is_a_connection_error(running: Running, raw: bytes, error: str) -> None:
    with receiving(answering(raw)) as receiver:
        result = running.deliver(receiver.url())
    assert result.failure_reason == FailureReason.CONNECTION_ERROR
    assert error in (result.error or "")
    if result.response is not None:
        assert result.response.body_truncated


def test_nobody_listening_is_a_connection_error(running: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = running.deliver(f"http://127.0.0.1:{port}/")
    assert result.failure_reason == FailureReason.CONNECTION_ERROR
    assert result.error == f"could not connect to 127.0.0.1 port {port}: Connection refused"
    assert (result.response, result.timings.connect_ms) == (None, None)


def test_a_name_that_does_not_exist_is_a_dns_error(running: Running) -> None:
    result = running.deliver("http://no-such-host.invalid/")
    assert (result.failure_reason, result.error) == (
        FailureReason.DNS_ERROR,
        "could not resolve host no-such-host.invalid",
    )


# -- kept connections --------------------------------------------------------------------------------------------------


def test_a_connection_is_kept_and_the_timings_say_so(running: Running) -> None:
    with receiving() as receiver:
        first, second = running.deliver(receiver.url()), running.deliver(receiver.url())
    assert len(receiver.connections) == 1
    assert first.timings.connect_ms is not None
    assert (second.timings.dns_ms, second.timings.connect_ms, second.timings.tls_ms) == (None, None, None)
    assert second.timings.first_byte_ms is not None
    assert second.remote_ip == "127.0.0.1"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_on_a_kept_connection_that_dies_is_never_sent_twice(running: Running, method: str) -> None:
    def behave(exchange: Exchange) -> None:
        if exchange.number == 2:
            exchange.connection.close()
        else:
            exchange.answer()

    with receiving(behave) as receiver:
        assert running.deliver(receiver.url("/first")).succeeded
        result = running.deliver(receiver.url("/second"), method=method)
        assert (result.failure_reason, result.response) == (FailureReason.CONNECTION_ERROR, None)
        assert "closed before an answer" in (result.error or "")
        assert running.deliver(receiver.url("/third")).succeeded
    assert [exchange.path for exchange in receiver.exchanges] == ["/first", "/second", "/third"]


@pytest.mark.parametrize("context", [None, server_context()])
def test_kept_connections_that_were_closed_meanwhile_are_replaced(running: Running, context: Any) -> None:
    def behave(exchange: Exchange) -> None:
        exchange.answer()
        exchange.connection.shutdown(socket.SHUT_RDWR)

    tls = TlsOptions(verify=False)
    with receiving(behave, context=context) as receiver:
        for round_number in range(1, 4):
            running.engine.submit([request(receiver.url(), method="POST", tls=tls) for _ in range(5)])
            assert all(result.succeeded for result in running.wait(round_number * 5))
            eventually(lambda: all(connection.fileno() == -1 for connection in receiver.connections))
        assert len(receiver.exchanges) == len(receiver.connections) == 15


# -- TLS ---------------------------------------------------------------------------------------------------------------


def test_an_unknown_authority_is_refused_unless_given_or_verification_is_off(running: Running) -> None:
    with receiving(context=server_context()) as receiver:
        refused = running.deliver(receiver.url())
        assert refused.failure_reason == FailureReason.SSL_ERROR
        assert "certificate" in (refused.error or "")
        assert receiver.exchanges == []
        assert running.deliver(receiver.url(), tls=TlsOptions(ca_cert=AUTHORITY)).succeeded
        unverified = running.deliver(receiver.url(), tls=TlsOptions(verify=False))
        assert unverified.succeeded
        assert unverified.timings.tls_ms is not None


def test_connections_of_other_tls_settings_are_never_shared(running: Running) -> None:
    settings = [
        TlsOptions(verify=False),
        TlsOptions(),
        TlsOptions(ca_cert=AUTHORITY),
        TlsOptions(),
        TlsOptions(verify=False),
    ]
    with receiving(context=server_context()) as receiver:
        verdicts = [running.deliver(receiver.url(), tls=tls).failure_reason for tls in settings]
    assert verdicts == [None, FailureReason.SSL_ERROR, None, FailureReason.SSL_ERROR, None]


def test_a_certificate_for_another_name_is_refused(running: Running) -> None:
    with receiving(context=server_context()) as receiver:
        url = f"https://127.0.0.2:{receiver.port}/"
        with receiving(context=server_context()) as _:
            result = running.deliver(url, tls=TlsOptions(ca_cert=AUTHORITY))
    assert result.failure_reason in {FailureReason.SSL_ERROR, FailureReason.CONNECTION_ERROR}


def test_a_broken_authority_is_an_ssl_error(running: Running) -> None:
    with receiving(context=server_context()) as receiver:
        result = running.deliver(receiver.url(), tls=TlsOptions(ca_cert="not a certificate"))
    assert result.failure_reason == FailureReason.SSL_ERROR


def test_plain_http_on_the_other_side_of_https_is_an_ssl_error(running: Running) -> None:
    with receiving(answering(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as receiver:
        receiver._serve = lambda connection: connection.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")  # type: ignore[method-assign]
        result = running.deliver(receiver.url().replace("http:", "https:"))
    assert result.failure_reason == FailureReason.SSL_ERROR


@pytest.mark.parametrize("received_bytes", [1, 4096])
def test_a_handshake_cut_off_by_the_server_is_a_connection_error(running: Running, received_bytes: int) -> None:
    def cut(connection: socket.socket) -> None:
        connection.recv(received_bytes)
        connection.close()

    with receiving() as receiver:
        receiver._serve = cut  # type: ignore[method-assign]
        result = running.deliver(receiver.url().replace("http:", "https:"))
    assert result.failure_reason == FailureReason.CONNECTION_ERROR


def test_http_2_is_spoken_where_it_is_offered(running: Running) -> None:
    trusting = TlsOptions(ca_cert=AUTHORITY)
    with receiving(context=server_context(alpn=("h2", "http/1.1"))) as receiver:
        results = [
            running.deliver(receiver.url(), tls=trusting, method="POST", body=b"x"),
            running.deliver(receiver.url(), tls=trusting),
        ]
    assert [(r.response.http_version, r.response.body) for r in results if r.response] == [("2", b"ok"), ("2", b"ok")]
    assert receiver.http2_streams == [1, 3]


# -- the guard ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.1", "127.1.2.3"])
def test_an_address_that_is_not_public_is_blocked_and_no_packet_leaves(host: str) -> None:
    running = Running(EgressPolicy.parse("", "*"))
    with receiving() as receiver:
        result = running.deliver(f"http://{host}:{receiver.port}/")
        assert receiver.connections == []
    running.engine.stop(grace_seconds=0)
    assert result.failure_reason == FailureReason.SSRF_BLOCKED
    assert "blocked" in (result.error or "")
    assert (result.remote_ip, result.response) == (None, None)


def test_a_name_is_checked_as_it_is_dialled_even_when_another_name_was_allowed() -> None:
    running = Running(EgressPolicy.parse("localhost", "*"))
    with receiving() as receiver:
        assert running.deliver(f"http://localhost:{receiver.port}/").succeeded
        literal = running.deliver(f"http://127.0.0.1:{receiver.port}/")
        other = running.deliver(f"http://other.localhost:{receiver.port}/")
    running.engine.stop(grace_seconds=0)
    assert [literal.failure_reason, other.failure_reason] == [FailureReason.SSRF_BLOCKED] * 2
    assert len(receiver.connections) == 1


def test_a_port_that_is_not_allowed_is_blocked() -> None:
    running = Running(EgressPolicy.parse("127.0.0.1", "80,443"))
    with receiving() as receiver:
        result = running.deliver(receiver.url())
        assert receiver.connections == []
    running.engine.stop(grace_seconds=0)
    assert (result.failure_reason, result.error) == (
        FailureReason.SSRF_BLOCKED,
        f"blocked: port {receiver.port} is not allowed",
    )


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "http://user@127.0.0.1/", "http://0x7f.1/", "", "http://a b/", "file:///etc/passwd"]
)
def test_a_url_that_is_not_plainly_http_is_refused_unsent(running: Running, url: str) -> None:
    result = running.deliver(url)
    assert (result.failure_reason, result.sent) == (FailureReason.INVALID_URL, False)


# -- many at once ------------------------------------------------------------------------------------------------------


def test_slow_endpoints_do_not_hold_up_fast_ones(running: Running) -> None:
    def behave(exchange: Exchange) -> None:
        if exchange.path == "/slow":
            time.sleep(2)
        exchange.answer()

    with receiving(behave) as receiver:
        running.engine.submit([request(receiver.url("/slow")) for _ in range(50)])
        eventually(lambda: running.engine.in_flight_count == 50)
        started = time.monotonic()
        running.engine.submit([request(receiver.url("/fast")) for _ in range(200)])
        running.wait(200)
        assert time.monotonic() - started < 1.5
        assert running.engine.in_flight_count == 50
        assert {one.host for one in running.engine.in_flight()} == {"127.0.0.1"}


def test_no_more_than_the_limit_are_under_way() -> None:
    running = Running(max_in_flight=3)
    together: list[int] = []
    now = 0
    lock = threading.Lock()

    def behave(exchange: Exchange) -> None:
        nonlocal now
        with lock:
            now += 1
            together.append(now)
        time.sleep(0.02)
        with lock:
            now -= 1
        exchange.answer()

    with receiving(behave) as receiver:
        running.engine.submit([request(receiver.url()) for _ in range(20)])
        assert running.engine.free == 0
        running.wait(20)
    assert max(together) == 3
    eventually(lambda: running.engine.free == 3)
    running.engine.stop(grace_seconds=0)


def test_abort_ends_an_exchange_under_way_and_one_that_waits() -> None:
    running = Running(max_in_flight=1)
    with receiving(lambda exchange: time.sleep(3)) as receiver:
        under_way, waiting = request(receiver.url()), request(receiver.url())
        running.engine.submit([under_way, waiting])
        eventually(lambda: len(receiver.exchanges) == 1)
        assert running.engine.abort(waiting.execution_id)
        running.wait(1)
        assert running.engine.abort(under_way.execution_id)
        first, second = running.wait(2)
        assert not running.engine.abort(under_way.execution_id)
    assert (first.request, first.aborted, first.sent) == (waiting, True, False)
    assert (second.request, second.aborted, second.sent) == (under_way, True, True)
    assert not first.succeeded
    assert not second.succeeded
    running.engine.stop(grace_seconds=0)


def test_stop_waits_for_the_grace_reports_what_is_lost_and_returns_what_was_never_sent() -> None:
    running = Running(max_in_flight=2)
    release = threading.Event()

    def behave(exchange: Exchange) -> None:
        if exchange.path == "/long":
            release.wait(5)
        else:
            time.sleep(0.2)
        exchange.answer()

    with receiving(behave) as receiver:
        long, short, never = (request(receiver.url(path)) for path in ("/long", "/short", "/never"))
        running.engine.submit([long, short, never])
        eventually(lambda: len(receiver.exchanges) == 2)
        assert running.engine.stop(grace_seconds=0.6) == [never]
        release.set()
    by_request = {result.request.run_id: result for result in running.results}
    assert by_request[short.run_id].succeeded
    assert by_request[long.run_id].failure_reason == FailureReason.WORKER_LOST
    assert len(running.results) == 2
    with pytest.raises(EngineStopped):
        running.engine.submit([never])


def test_a_fault_in_the_consumer_does_not_stop_the_engine(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[DeliveryResult] = []

    def consume(result: DeliveryResult) -> None:
        seen.append(result)
        if len(seen) == 1:
            raise RuntimeError("a bug")

    engine = DeliveryEngine(policy=LOOPBACK_ALLOWED, on_result=consume)
    engine.start()
    with receiving(fine) as receiver, caplog.at_level(logging.ERROR):
        engine.submit([request(receiver.url()), request(receiver.url())])
        eventually(lambda: len(seen) == 2)
    engine.stop(grace_seconds=0)
    assert "delivery.on_result_failed" in caplog.messages


def test_a_fault_in_a_callback_ends_its_exchange_as_unknown(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        with monkeypatch.context() as broken:
            broken.setattr(EgressPolicy, "refusal", lambda *_: 1 / 0)
            broken.setattr(EgressPolicy, "check_target", lambda *_: None)
            result = running.deliver(receiver.url())
        assert (result.failure_reason, result.response) == (FailureReason.UNKNOWN, None)
        assert "division by zero" in (result.error or "")
        assert running.deliver(receiver.url()).succeeded
