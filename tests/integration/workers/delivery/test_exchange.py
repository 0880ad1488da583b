"""Answers and failures of real servers, as the delivery engine reports them."""

import gzip
import random
import socket
import time
import zlib
from collections.abc import Iterator
from functools import partial

import brotli
import pytest

from runs.failures import FailureReason
from tests.support.engine import Running, answering, flooding
from tests.support.receiver import Exchange, gzipped, receiving
from workers.delivery.transfer import KEPT_BODY_BYTES, READ_BODY_BYTES


@pytest.fixture
def running() -> Iterator[Running]:
    started = Running()
    yield started
    started.engine.stop(grace_seconds=0)


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


def test_a_job_may_define_other_statuses_as_success(running: Running) -> None:
    with receiving(lambda exchange: exchange.answer("404 Gone")) as receiver:
        assert running.deliver(receiver.url(), success_statuses=("2xx", "404")).succeeded


def test_headers_are_lower_case_and_joined_and_cookies_are_not_reused(running: Running) -> None:
    headers = "X-A: 1\r\nSet-Cookie: a=1\r\nx-a:  2\r\nSET-COOKIE: b=2\r\nX-Folded: one\r\n two\r\n"
    with receiving(lambda exchange: exchange.answer(headers=headers)) as receiver:
        result = running.deliver(receiver.url())
        running.deliver(receiver.url())
    assert result.response is not None
    assert result.response.headers["x-a"] == "1, 2"
    assert result.response.headers["set-cookie"] == "a=1\nb=2"
    assert result.response.headers["x-folded"].split() == ["one", "two"]
    assert "cookie" not in dict(receiver.exchanges[1].headers)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"\xc3\xbc", "ü"),
        (b"\xfc", "ü"),
        (b"Gr\xc3\xb6\xc3\x9fe", "Größe"),
        (b"Gr\xf6\xdfe", "Größe"),
        (b"\xe6\x97\xa5\xe6\x9c\xac", "日本"),
        (b"\xf0\x9f\x98\x80", "😀"),
        (b"a\xc3", "aÃ"),  # truncated: not UTF-8
        (b"\xed\xa0\x80", "\xed\xa0\x80"),  # a surrogate is not UTF-8 either
        (b"\xa0x\xa0", "\xa0x\xa0"),
        (b"x" * 300 + b"\xc3\xbc", "x" * 300 + "ü"),
    ],
)
def test_header_octets_are_utf_8_and_else_latin_1(running: Running, octets: bytes, text: str) -> None:
    raw = b"HTTP/1.1 200 OK\r\nX-N: " + octets + b"\r\nContent-Length: 0\r\n\r\n"
    with receiving(answering(raw)) as receiver:
        result = running.deliver(receiver.url())
    assert result.response is not None
    assert result.response.headers["x-n"] == text


def test_repeated_headers_are_decoded_separately(running: Running) -> None:
    raw = b"HTTP/1.1 200 OK\r\nX-N: \xc3\xbc\r\nX-N: \xfc\r\nContent-Length: 0\r\n\r\n"
    with receiving(answering(raw)) as receiver:
        result = running.deliver(receiver.url())
    assert result.response is not None
    assert result.response.headers["x-n"] == "ü, ü"


def test_interim_answers_and_trailers_do_not_change_the_head(running: Running) -> None:
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
def test_a_body_is_counted_in_full_and_stored_truncated(running: Running, size: int) -> None:
    with receiving(lambda exchange: exchange.answer(body=b"x" * size)) as receiver:
        result = running.deliver(receiver.url())
    assert result.succeeded
    assert result.response is not None
    assert len(result.response.body) == min(size, KEPT_BODY_BYTES)
    assert (result.response.body_bytes, result.response.body_truncated) == (size, size > KEPT_BODY_BYTES)


@pytest.mark.parametrize("status", ["200 OK", "500 Broken"])
def test_an_endless_body_is_cut_and_its_status_decides(running: Running, status: str) -> None:
    head = f"HTTP/1.1 {status}\r\n\r\n".encode()
    started = time.monotonic()
    with receiving(flooding(head, b"x" * 1000)) as receiver:
        result = running.deliver(receiver.url())
    assert time.monotonic() - started < 4
    assert result.succeeded == (status == "200 OK")
    assert result.response is not None
    assert result.response.body_truncated
    assert READ_BODY_BYTES < result.response.body_bytes < READ_BODY_BYTES + 200_000


def test_a_decompression_bomb_is_cut_at_the_same_limit(running: Running) -> None:
    bomb = gzipped(200 * 1024 * 1024)
    with receiving(lambda exchange: exchange.answer(body=bomb, headers="Content-Encoding: gzip\r\n")) as receiver:
        result = running.deliver(receiver.url())
    assert result.succeeded
    assert result.response is not None
    assert result.response.body_bytes < READ_BODY_BYTES + 100_000


def test_a_compressed_body_is_decoded(running: Running) -> None:
    body = gzip.compress(b"hello", mtime=0)
    with receiving(lambda exchange: exchange.answer(body=body, headers="Content-Encoding: gzip\r\n")) as receiver:
        result = running.deliver(receiver.url())
    assert result.response is not None
    assert (result.response.body, result.response.body_bytes) == (b"hello", 5)


@pytest.mark.parametrize("status", ["200 OK", "404 Nope", "429 Slow down", "503 Busy"])
@pytest.mark.parametrize(
    ("coding", "body", "response"),
    [
        ("gzip", gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0), (b"ab", False, False)),
        ("x-gzip", gzip.compress(b"busy", mtime=0) + b"\r\n", (b"busy", False, False)),
        ("GZIP", b'{"a":1}', (b'{"a":1}', False, True)),
        ("utf-8", b"plain", (b"plain", False, True)),
        ("identity", b"plain", (b"plain", False, False)),
        ("deflate", zlib.compress(b"deflated"), (b"deflated", False, False)),
        ("br", brotli.compress(b"brotli"), (b"brotli", False, False)),
        ("gzip, gzip", gzip.compress(gzip.compress(b"twice", mtime=0), mtime=0), (b"twice", False, False)),
        ("gzip", gzip.compress(b"x" * 200_000, mtime=0), (b"x" * KEPT_BODY_BYTES, True, False)),
        ("gzip", gzip.compress(b"hello" * 50, mtime=0)[:-9], (b"hello" * 50, True, False)),
        ("br", b"", (b"", False, False)),
        ("zstd", b"ok", (b"ok", False, True)),
    ],
)
def test_a_coding_is_decoded_or_noted_and_the_status_decides(
    running: Running, status: str, coding: str, body: bytes, response: tuple[bytes, bool, bool]
) -> None:
    """Return the body shown of `response`, whether it is truncated, and whether there is a note."""
    behaviour = lambda exchange: exchange.answer(status, body, f"Content-Encoding: {coding}\r\n")  # noqa: E731
    with receiving(behaviour) as receiver:
        result = running.deliver(receiver.url())
    assert result.error == (None if status.startswith("200") else f"HTTP {status[:3]}")
    found = result.response
    assert found is not None
    assert (found.body, found.body_truncated, found.note is not None) == response
    assert found.headers["content-encoding"] == coding


@pytest.mark.parametrize("size", [KEPT_BODY_BYTES - 1, KEPT_BODY_BYTES * 2, 900_000])
@pytest.mark.parametrize("coding", ["gzip", "utf-8", "identity", "br"])
def test_a_large_incompressible_body_is_counted_and_truncated(running: Running, coding: str, size: int) -> None:
    plain = random.Random(7).randbytes(size)
    body = {"gzip": gzip.compress, "br": partial(brotli.compress, quality=1)}.get(coding, bytes)(plain)
    with receiving(lambda exchange: exchange.answer(body=body, headers=f"Content-Encoding: {coding}\r\n")) as receiver:
        result = running.deliver(receiver.url())
        assert running.deliver(receiver.url()).response == result.response  # on the same handle
    assert result.succeeded
    response = result.response
    assert response is not None
    assert response.body_truncated == (size > KEPT_BODY_BYTES)
    if coding == "br":  # of which no more than a quarter of a megabyte is read
        assert plain.startswith(response.body)
    else:
        assert (response.body, response.body_bytes) == (plain[:KEPT_BODY_BYTES], size)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "x-made-up"])
def test_an_unrequested_transfer_coding_keeps_the_status_and_adds_a_note(running: Running, coding: str) -> None:
    raw = f"HTTP/1.1 503 Busy\r\nTransfer-Encoding: {coding}, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    with receiving(answering(raw.encode())) as receiver:
        result = running.deliver(receiver.url())
    assert result.failure_reason == FailureReason.HTTP_SERVER_ERROR
    assert result.response is not None
    assert result.response.body_truncated
    assert "Transfer-Encoding" in (result.response.note or "")


def test_excess_headers_are_dropped_and_the_status_decides(running: Running) -> None:
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


def test_endless_interim_answers_end_without_a_status(running: Running) -> None:
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
def test_one_deadline_covers_any_slow_drip(running: Running, head: bytes, drip: bytes) -> None:
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
def test_an_incomplete_answer_is_a_connection_error(running: Running, raw: bytes, error: str) -> None:
    with receiving(answering(raw)) as receiver:
        result = running.deliver(receiver.url())
    assert result.failure_reason == FailureReason.CONNECTION_ERROR
    assert error in (result.error or "")
    if result.response is not None:
        assert result.response.body_truncated


def test_a_refused_connection_is_a_connection_error(running: Running) -> None:
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
