"""From libcurl's codes and HTTP statuses to failure reasons, and from header lines to an answer's head."""

import errno

import pycurl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.egress import parse_target
from runs.failures import FailureReason
from workers.delivery.outcome import MAX_ERROR_LENGTH, REASON_BY_CODE, by_code, by_status
from workers.delivery.wire import (
    ENGINE_HEADERS,
    MAX_HEADER_BYTES,
    MAX_HEADER_LINES,
    InvalidRequest,
    header_lines,
    parse_head,
)

TARGET = parse_target("https://api.example.com/report")
EASY_CODES = {name: getattr(pycurl, name) for name in dir(pycurl) if name.startswith("E_") and name != "E_OK"}


def reason(code: int, message: str = "", os_errno: int = 0) -> FailureReason | None:
    return by_code(code, message, target=TARGET, timeout_seconds=30, os_errno=os_errno)[0]


@pytest.mark.parametrize("name", sorted(name for name in EASY_CODES if not name.startswith("E_MULTI_")))
def test_every_code_of_libcurl_is_mapped_on_purpose(name: str) -> None:
    assert EASY_CODES[name] in REASON_BY_CODE


def test_no_code_of_an_exchange_is_left_unmapped() -> None:
    obsolete = {20, 24, 29, 32, 34, 40, 41, 44, 46, 50, 51, 57, 62, 75, 76}  # in libcurl's own list (curl/curl.h)
    assert set(range(1, 102)) - set(REASON_BY_CODE) - obsolete == set()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (pycurl.E_OPERATION_TIMEDOUT, "timeout"),
        (pycurl.E_COULDNT_RESOLVE_HOST, "dns_error"),
        (pycurl.E_COULDNT_CONNECT, "connection_error"),
        (pycurl.E_RECV_ERROR, "connection_error"),
        (pycurl.E_GOT_NOTHING, "connection_error"),
        (pycurl.E_PARTIAL_FILE, "connection_error"),
        (pycurl.E_HTTP2, "connection_error"),
        (pycurl.E_PEER_FAILED_VERIFICATION, "ssl_error"),
        (pycurl.E_SSL_CONNECT_ERROR, "ssl_error"),
        (pycurl.E_SSL_CACERT_BADFILE, "ssl_error"),
        (pycurl.E_URL_MALFORMAT, "invalid_url"),
        (pycurl.E_OUT_OF_MEMORY, "unknown"),
        (9999, "unknown"),
    ],
)
def test_common_codes_have_their_reason(code: int, expected: str) -> None:
    assert reason(code) == expected


def test_a_handshake_cut_off_by_the_network_is_no_ssl_error() -> None:
    cut = pycurl.E_SSL_CONNECT_ERROR
    assert reason(cut, "Recv failure", errno.ECONNRESET) == FailureReason.CONNECTION_ERROR
    assert reason(cut, "TLS connect error: unexpected eof while reading") == FailureReason.CONNECTION_ERROR
    assert reason(cut, "TLS connect error: wrong version number") == FailureReason.SSL_ERROR


def test_errors_are_short_text_for_people() -> None:
    def text(code: int, message: str = "", os_errno: int = 0) -> str | None:
        return by_code(code, message, target=TARGET, timeout_seconds=30.0, os_errno=os_errno)[1]

    assert text(pycurl.E_OPERATION_TIMEDOUT, "Operation timed out after 30001 milliseconds") == "timed out after 30 s"
    assert text(pycurl.E_COULDNT_RESOLVE_HOST) == "could not resolve host api.example.com"
    assert text(pycurl.E_COULDNT_CONNECT, "", errno.ECONNREFUSED) == (
        "could not connect to api.example.com port 443: Connection refused"
    )
    assert text(pycurl.E_RECV_ERROR, "x" * 1000) == "x" * MAX_ERROR_LENGTH
    assert text(pycurl.E_RECV_ERROR) == "libcurl error 56"


@pytest.mark.parametrize(
    ("status", "statuses", "expected"),
    [
        (200, ("2xx",), None),
        (299, ("2xx",), None),
        (204, ("200",), "unexpected_status"),
        (204, ("200", "204"), None),
        (404, ("2xx",), "http_client_error"),
        (404, ("4xx",), None),
        (404, ("404",), None),
        (500, ("2xx",), "http_server_error"),
        (599, ("2xx",), "http_server_error"),
        (302, ("2xx",), "unexpected_status"),
        (302, ("2xx", "3xx"), None),
        (101, ("2xx",), "unexpected_status"),
        (700, ("2xx",), "unexpected_status"),
        (200, (), "unexpected_status"),
    ],
)
def test_codes_and_classes_decide_what_is_a_success(
    status: int, statuses: tuple[str, ...], expected: str | None
) -> None:
    verdict, error = by_status(status, statuses)
    assert verdict == expected
    assert error == (None if expected is None else f"HTTP {status}")


def head(*lines: str) -> list[bytes]:
    return [f"{line}\r\n".encode("latin-1") for line in lines]


def test_the_final_head_is_found_between_interim_ones_and_trailers() -> None:
    lines = head(
        "HTTP/1.1 100 Continue", "", "HTTP/1.1 103", "X: 1", "", "HTTP/2 207 ", "A: b", "", "HTTP/1.1: 500", "T: 1"
    )
    found = parse_head(lines)
    assert found is not None
    assert (found.status_code, found.http_version, found.headers, found.ended) == (207, "2", {"a": "b"}, True)


@pytest.mark.parametrize(
    "lines", [[], head(""), head("HTTP/1.1 100 Continue", ""), head("nonsense"), head("HTTP/1.1 abc", "")]
)
def test_without_a_final_head_none_is_found(lines: list[bytes]) -> None:
    assert parse_head(lines) is None


def test_an_incomplete_head_is_marked() -> None:
    found = parse_head(head("HTTP/1.1 200 OK", "A: b"))
    assert found is not None
    assert not found.ended


@given(
    st.lists(
        st.tuples(st.from_regex(r"[A-Za-z-]{1,20}", fullmatch=True), st.text("abc äß:,", max_size=2000)), max_size=400
    )
)
def test_headers_stay_within_their_limits(fields: list[tuple[str, str]]) -> None:
    found = parse_head(head("HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in fields), ""))
    assert found is not None
    assert len(found.headers) <= MAX_HEADER_LINES
    assert sum(len(name) + len(value) for name, value in found.headers.items()) <= MAX_HEADER_BYTES
    assert all(name == name.lower() for name in found.headers)


@given(st.text(), st.text())
def test_no_header_can_forge_another_line(name: str, value: str) -> None:
    try:
        lines = header_lines(((name, value),), None)
    except InvalidRequest:
        return
    wire = b"\r\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    assert wire.count(b"\r\n") == len(lines) - 1
    assert b"\0" not in wire
    assert name.lower() not in ENGINE_HEADERS


def test_headers_that_libcurl_adds_are_suppressed_unless_given() -> None:
    assert header_lines((), None) == ["accept:"]
    assert header_lines((), b"") == ["accept:", "content-type:"]
    given_both = header_lines((("ACCEPT", "a/b"), ("content-type", "c/d")), b"x")
    assert given_both == ["ACCEPT: a/b", "content-type: c/d"]
    assert "Expect:" in header_lines((), b"x" * 1_048_576)
    assert header_lines((("X-Empty", ""),), None)[0] == "X-Empty;"
