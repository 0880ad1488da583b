"""Requests of the client: waits and repetitions, idempotency keys, errors as exceptions."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import requests

from hourhand import (
    AccessDeniedError,
    ApiError,
    Client,
    ClientError,
    ConflictError,
    NotFoundError,
    RateLimitedError,
    ServerAwayError,
    UnavailableError,
)
from hourhand.client.retrying import parse_retry_after
from hourhand.client.session import Session
from tests.support.canned_api import URL, CannedApi, answer, problem

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
LOST = requests.ConnectionError("Connection refused")


def session(api: CannedApi, waits: list[float] | None = None) -> Session:
    """A session that notes its waits instead of sleeping."""
    return Session(URL, "hh_test", http=api.http(), sleep=([] if waits is None else waits).append)


def test_a_request_carries_the_key_and_its_query_as_the_api_spells_it():
    api = CannedApi(answer(200, {"ok": True}))
    query = {"enabled": True, "tag": "a b", "search": None}
    assert session(api).call("GET", "/jobs/", query=query) == {"ok": True}
    [request] = api.asked
    assert request.url == f"{URL}/api/v1/jobs/?enabled=true&tag=a+b"
    assert request.headers["Authorization"] == "Bearer hh_test"


def test_a_netrc_file_does_not_replace_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine hourhand.test login somebody password elsewhere\n")
    monkeypatch.setenv("NETRC", str(netrc))
    api = CannedApi(answer(200, {}))
    session(api).call("GET", "/jobs/")
    assert api.headers("Authorization") == ["Bearer hh_test"]


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(status: int):
    api, waits = CannedApi(answer(status, problem(status, "later"), Retry_After="3"), answer(200, {"id": 1})), []
    assert session(api, waits).call("GET", "/jobs/") == {"id": 1}
    assert waits == [3.0]


def test_all_waits_of_a_request_are_at_most_thirty_seconds():
    refusals = [answer(429, problem(429, "rate_limited"), Retry_After="12") for _ in range(3)]
    api, waits = CannedApi(*refusals), []
    with pytest.raises(RateLimitedError):
        session(api, waits).call("GET", "/jobs/")
    assert waits == [12.0, 12.0]


def test_without_retry_after_nothing_is_waited_for():
    api, waits = CannedApi(answer(503, problem(503, "no_worker"))), []
    with pytest.raises(UnavailableError):
        session(api, waits).call("POST", "/jobs/a/test/", body={})
    assert waits == []


def test_every_post_has_an_idempotency_key_that_its_repetitions_share():
    busy = answer(409, problem(409, "idempotency_key_in_use"), Retry_After="1")
    api = CannedApi(LOST, busy, answer(202, {}), answer(202, {}))
    calls = session(api)
    calls.call("POST", "/jobs/a/run/", body={})
    calls.call("POST", "/jobs/a/run/", body={})
    first, second, third, other = api.headers("Idempotency-Key")
    assert first
    assert first == second == third != other


def test_other_methods_have_no_idempotency_key():
    api = CannedApi(answer(200, {}), answer(204))
    session(api).call("PATCH", "/jobs/a/", body={})
    session(api).call("DELETE", "/jobs/a/")
    assert api.headers("Idempotency-Key") == [None, None]


def test_a_lost_connection_is_tried_twice_more():
    api, waits = CannedApi(LOST, LOST, LOST), []
    with pytest.raises(ServerAwayError, match="does not answer"):
        session(api, waits).call("GET", "/jobs/")
    assert (len(api.asked), waits) == (3, [0.5, 1.5])


def test_a_deletion_is_not_repeated():
    api = CannedApi(LOST)
    with pytest.raises(ServerAwayError):
        session(api).call("DELETE", "/jobs/a/")


def test_a_silent_server_is_not_waited_for_again():
    api = CannedApi(requests.ReadTimeout("timed out"))
    with pytest.raises(ServerAwayError, match="timed out"):
        session(api).call("GET", "/jobs/")


def test_a_failed_tls_handshake_says_so_and_is_not_repeated():
    api = CannedApi(requests.exceptions.SSLError("certificate verify failed"))
    with pytest.raises(ClientError, match="certificate verify failed") as raised:
        session(api).call("GET", "/jobs/")
    assert not isinstance(raised.value, ServerAwayError)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AccessDeniedError), (403, AccessDeniedError), (404, NotFoundError), (409, ConflictError), (400, ApiError)],
)
def test_problems_are_exceptions_with_code_and_fields(status: int, kind: type[ApiError]):
    wrong = [{"field": "request.url", "code": "invalid_url", "detail": "Not a URL."}]
    api = CannedApi(answer(status, problem(status, "some_code", "In words.", errors=wrong)))
    with pytest.raises(kind) as raised:
        session(api).call("GET", "/jobs/")
    error = raised.value
    assert (error.status, error.code, error.detail) == (status, "some_code", "In words.")
    assert [(one.field, one.code, one.detail) for one in error.errors] == [("request.url", "invalid_url", "Not a URL.")]


def test_an_error_page_of_a_proxy_is_quoted():
    page = answer(502, b"<h1>Bad Gateway</h1>")
    with pytest.raises(UnavailableError, match="Bad Gateway") as raised:
        session(CannedApi(page)).call("GET", "/jobs/")
    assert raised.value.code == "http_502"


def test_a_page_that_is_not_json_is_refused():
    page = answer(200, b"<h1>Welcome</h1>")
    with pytest.raises(ClientError, match="not JSON"):
        session(CannedApi(page)).call("GET", "/jobs/")


def test_redirects_are_not_followed_with_the_key():
    api = CannedApi(answer(301, Location="https://other.test/api/v1/jobs/"))
    with pytest.raises(ApiError, match=r"https://other\.test") as raised:
        session(api).call("POST", "/jobs/", body={})
    assert (raised.value.code, len(api.asked)) == ("redirected", 1)


@pytest.mark.parametrize("url", ["hourhand.test", "ftp://a", "http://", "http://a/?b", "http://u:p@a", "http://[", ""])
def test_a_url_that_is_none_of_a_server_is_refused(url: str):
    with pytest.raises(ClientError, match="not the URL of a server"):
        Session(url, "hh_test")


def test_a_url_may_have_a_path():
    api = CannedApi(answer(200, {}))
    Session(f"{URL}/hourhand/", "hh_test", http=api.http()).call("GET", "/jobs/")
    assert api.asked[0].url == f"{URL}/hourhand/api/v1/jobs/"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("Sun, 01 Mar 2026 12:00:05 GMT", 5.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None):
    assert parse_retry_after(text, now=NOW) == seconds


def page(results: list[Any], cursor: str | None) -> requests.Response:
    link = f"https://elsewhere.test/api/v1/jobs/?cursor={cursor}&limit=2" if cursor else None
    return answer(200, {"next": link, "previous": None, "results": results})


def test_lists_follow_cursors_on_the_same_server():
    api = CannedApi(page([{"slug": "a"}, {"slug": "b"}], "x%3Ay"), page([{"slug": "c"}], None))
    jobs = Client(URL, "hh_test", http=api.http()).jobs.list(tag="billing")
    assert [job["slug"] for job in jobs] == ["a", "b", "c"]
    assert [request.url for request in api.asked] == [
        f"{URL}/api/v1/jobs/?tag=billing&limit=100",
        f"{URL}/api/v1/jobs/?tag=billing&limit=100&cursor=x%3Ay",
    ]


def test_lists_read_no_more_than_their_limit():
    api = CannedApi(page([{"id": number} for number in range(100)], "next"), page([{"id": 100}], "more"))
    executions = Client(URL, "hh_test", http=api.http()).executions.list(limit=101, status=["failed", "canceled"])
    assert len(list(executions)) == 101
    assert [str(request.url).split("?")[1] for request in api.asked] == [
        "status=failed%2Ccanceled&limit=100",
        "status=failed%2Ccanceled&limit=1&cursor=next",
    ]


def test_words_of_python_are_spelled_with_an_underscore():
    api = CannedApi(answer(200, {}), answer(202, {}))
    client = Client(URL, "hh_test", http=api.http())
    client.stats(from_="2026-03-01T00:00:00Z", bucket="1h")
    client.executions.retry("e1", from_="failed")
    assert "from=2026-03-01" in str(api.asked[0].url)
    assert json.loads(api.asked[1].body or "") == {"from": "failed"}
