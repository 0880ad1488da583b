"""Requests as a real server receives them from the delivery engine: as given, without additions."""

from collections.abc import Iterator
from typing import Any

import pytest

from runs.failures import FailureReason
from tests.support.certificates import server_context
from tests.support.engine import Running, answering
from tests.support.receiver import receiving
from workers.delivery.contract import TlsOptions


@pytest.fixture
def running() -> Iterator[Running]:
    started = Running()
    yield started
    started.engine.stop(grace_seconds=0)


def test_a_request_arrives_unchanged_and_without_additions(running: Running) -> None:
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
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("x-one", "1"),
        ("x-empty", ""),
        ("content-length", "6"),
    ]


TARGETS = [
    "/a%2fb",
    "/a%2Fb",
    "/%7e%7E",
    "/a/../b/./c",
    "/../../etc",
    "/..;/a",
    "/%2e%2E/x",
    "//evil.example/x",
    "///",
    "/a//b/",
    "/;v=1;w",
    "/%zz%",
    "/%00%ff",
    "/a?x=%2f&y=%c3%bc&z=a+b%20c",
    "/a?b?c=/d/../e",
    "/?",
    "/??",
    "/a?",
    "/[x]|{y}^`\"<>'!$&()*,:@~",
    "/http://other.example/a",
    "/*",
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD"])
def test_a_url_goes_out_byte_for_byte(running: Running, method: str, target: str) -> None:
    with receiving(lambda exchange: exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as receiver:
        assert running.deliver(receiver.url(target), method=method).succeeded
    (seen,) = receiver.exchanges
    assert seen.request_line == f"{method} {target} HTTP/1.1"
    assert dict(seen.headers)["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("target", TARGETS)
def test_a_url_goes_out_byte_for_byte_over_http_2(running: Running, target: str) -> None:
    with receiving(context=server_context(alpn=("h2", "http/1.1"))) as receiver:
        result = running.deliver(receiver.url(target), tls=TlsOptions(verify=False))
    assert result.succeeded
    (head,) = receiver.http2_heads
    assert (head[":path"], head[":authority"]) == (target, f"127.0.0.1:{receiver.port}")


@pytest.mark.parametrize(
    ("rest", "target"),
    [("", "/"), ("?x=1", "/?x=1"), ("?", "/?"), ("?a=/b", "/?a=/b"), ("#f", "/"), ("/a?b#c/d?e", "/a?b"), ("?#", "/?")],
)
def test_an_empty_path_is_the_root_and_a_fragment_is_not_sent(running: Running, rest: str, target: str) -> None:
    with receiving() as receiver:
        assert running.deliver(receiver.url(rest)).succeeded
        assert running.deliver(receiver.url("/next")).succeeded  # nothing is carried over to the next exchange
    lines = [exchange.request_line for exchange in receiver.exchanges]
    assert lines == [f"GET {target} HTTP/1.1", "GET /next HTTP/1.1"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("body", [None, b'{"a":1}'])
def test_each_method_is_sent_with_and_without_a_body(running: Running, method: str, body: bytes | None) -> None:
    with receiving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", then_close=False)) as receiver:
        result = running.deliver(receiver.url(), method=method, body=body)
    if method == "HEAD" and body:
        assert (result.failure_reason, result.sent) == (FailureReason.TEMPLATE_ERROR, False)
        return
    assert result.succeeded
    assert receiver.exchanges[0].request_line.startswith(f"{method} ")
    assert receiver.exchanges[0].body == (body or b"")


def test_a_reused_handle_carries_nothing_over(running: Running) -> None:
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


def test_a_large_body_is_sent_without_expect_100_continue(running: Running) -> None:
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
def test_header_injection_is_refused_unsent(running: Running, header: tuple[str, str]) -> None:
    with receiving() as receiver:
        result = running.deliver(receiver.url(), headers=(header,))
        assert (result.failure_reason, result.sent) == (FailureReason.TEMPLATE_ERROR, False)
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
