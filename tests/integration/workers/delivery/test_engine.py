"""The delivery engine against real servers on loopback: kept connections, TLS, the guard, many at once."""

import logging
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from jobs.egress import EgressPolicy
from runs.failures import FailureReason
from tests.support.certificates import AUTHORITY, client_certificate, server_context
from tests.support.engine import LOOPBACK_ALLOWED, Running, answering, eventually, request
from tests.support.receiver import Exchange, fine, receiving
from workers.delivery.contract import DeliveryResult, TlsOptions
from workers.delivery.engine import DeliveryEngine, EngineStopped


@pytest.fixture
def running() -> Iterator[Running]:
    started = Running()
    yield started
    started.engine.stop(grace_seconds=0)


# -- kept connections --------------------------------------------------------------------------------------------------


def test_a_connection_is_reused_as_the_timings_show(running: Running) -> None:
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


def test_connections_with_different_tls_settings_are_never_shared(running: Running) -> None:
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


CLIENT = client_certificate()


def demanding(version: ssl.TLSVersion) -> ssl.SSLContext:
    """A server that accepts only clients with the tests' certificate."""
    context = server_context()
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=CLIENT[0])
    return context


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("body", [None, b"x" * 10, b"x" * 1_000_000])
def test_a_server_that_requires_a_client_certificate_is_an_ssl_error(
    running: Running, version: ssl.TLSVersion, body: bytes | None
) -> None:
    with receiving(context=demanding(version)) as receiver:
        method = "POST" if body else "GET"
        result = running.deliver(receiver.url(), method=method, body=body, tls=TlsOptions(ca_cert=AUTHORITY))
    assert result.failure_reason == FailureReason.SSL_ERROR
    assert result.error
    assert receiver.exchanges == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_certificate_is_sent_and_its_connection_not_shared(running: Running, version: ssl.TLSVersion) -> None:
    shown = TlsOptions(ca_cert=AUTHORITY, client_cert=CLIENT[0], client_key=CLIENT[1])
    with receiving(context=demanding(version)) as receiver:
        for _ in range(2):
            assert running.deliver(receiver.url(), tls=shown).succeeded
            refused = running.deliver(receiver.url(), tls=TlsOptions(ca_cert=AUTHORITY))
            assert refused.failure_reason == FailureReason.SSL_ERROR
    assert len(receiver.exchanges) == 2
    assert "PRIVATE" not in repr(shown)


@pytest.mark.parametrize(
    ("cert", "key"),
    [("nothing", "nothing"), (CLIENT[0], "nothing"), ("nothing", CLIENT[1]), (CLIENT[0], CLIENT[0]), ("", "")],
)
def test_a_broken_client_certificate_is_an_ssl_error(running: Running, cert: str, key: str) -> None:
    with receiving(context=server_context()) as receiver:
        tls = TlsOptions(ca_cert=AUTHORITY, client_cert=cert, client_key=key)
        result = running.deliver(receiver.url(), tls=tls)
        assert result.failure_reason == FailureReason.SSL_ERROR, result.error
        assert "PRIVATE" not in (result.error or "")
        assert running.deliver(receiver.url(), tls=TlsOptions(ca_cert=AUTHORITY)).succeeded


@pytest.mark.parametrize("sent_bytes", [0, 1_000_000])
def test_an_interrupted_tls_connection_is_no_ssl_error(running: Running, sent_bytes: int) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        exchange.connection.close()  # a reset, without a TLS alert

    with receiving(cut, context=server_context()) as receiver:
        method = "POST" if sent_bytes else "GET"
        result = running.deliver(
            receiver.url(), method=method, body=b"x" * sent_bytes or None, tls=TlsOptions(ca_cert=AUTHORITY)
        )
    assert result.failure_reason == FailureReason.CONNECTION_ERROR


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


def test_http_2_is_used_if_offered(running: Running) -> None:
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
def test_a_malformed_url_is_refused_unsent(running: Running, url: str) -> None:
    result = running.deliver(url)
    assert (result.failure_reason, result.sent) == (FailureReason.INVALID_URL, False)


# -- many at once ------------------------------------------------------------------------------------------------------


def test_slow_endpoints_do_not_delay_fast_ones(running: Running) -> None:
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


def test_no_more_than_the_limit_are_in_flight() -> None:
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


def test_abort_ends_an_exchange_in_flight_and_a_waiting_one() -> None:
    running = Running(max_in_flight=1)
    with receiving(lambda exchange: time.sleep(3)) as receiver:
        under_way, waiting = request(receiver.url()), request(receiver.url())
        running.engine.submit([under_way, waiting])
        eventually(lambda: len(receiver.exchanges) == 1)
        assert running.engine.abort(waiting.key)
        running.wait(1)
        assert running.engine.abort(under_way.key)
        first, second = running.wait(2)
        assert not running.engine.abort(under_way.key)
    assert (first.request, first.aborted, first.sent) == (waiting, True, False)
    assert (second.request, second.aborted, second.sent) == (under_way, True, True)
    assert not first.succeeded
    assert not second.succeeded
    running.engine.stop(grace_seconds=0)


def test_stop_waits_for_the_grace_reports_lost_and_returns_unsent_requests() -> None:
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


def test_an_error_in_the_consumer_does_not_stop_the_engine(caplog: pytest.LogCaptureFixture) -> None:
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
    assert "delivery_report_failed" in caplog.messages


def test_an_error_in_a_callback_ends_its_exchange_as_unknown(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        with monkeypatch.context() as broken:
            broken.setattr(EgressPolicy, "refusal", lambda *_: 1 / 0)
            broken.setattr(EgressPolicy, "check_target", lambda *_: None)
            result = running.deliver(receiver.url())
        assert (result.failure_reason, result.response) == (FailureReason.UNKNOWN, None)
        assert "division by zero" in (result.error or "")
        assert running.deliver(receiver.url()).succeeded
