"""Recorded requests on their way to another server."""

from typing import Any

import pytest

from hourhand.forwarding import forwarded


def run(**request: Any) -> Any:
    recorded = {
        "method": "POST",
        "url": "https://api.example.com/hooks/a?b=1",
        "headers": {"content-type": "text/plain", "authorization": "[redacted]", "host": "api.example.com"},
        "body": "größe",
    }
    return {"id": "r1", "request": {**recorded, **request}}


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("http://localhost:3000", "http://localhost:3000/hooks/a?b=1"),
        ("http://localhost:3000/", "http://localhost:3000/hooks/a?b=1"),
        ("http://localhost:3000/mine", "http://localhost:3000/mine"),
        ("http://localhost:3000/?c=2", "http://localhost:3000/?c=2"),
    ],
)
def test_a_target_without_a_path_gets_the_recorded_one(target: str, url: str):
    assert forwarded(run(), target).url == url


def test_the_rest_is_sent_as_recorded_and_what_is_hidden_is_named():
    sent = forwarded(run(), "http://localhost:3000")
    assert (sent.method, sent.body) == ("POST", "größe".encode())
    assert sent.headers == {"content-type": "text/plain", "authorization": "[redacted]"}
    assert sent.hidden == ("authorization",)


def test_hidden_parts_of_url_and_body_are_named_too():
    sent = forwarded(run(url="https://a.test/?key=[redacted]", body="x=[redacted]", headers={}), "http://localhost")
    assert sent.hidden == ("URL", "body")
    assert forwarded(run(url="https://a.test/?key=[redacted]", headers={}), "http://localhost/x").hidden == ()


def test_bodies_that_are_no_text_are_sent_as_they_were():
    assert forwarded(run(body="AAH/", body_encoding="base64"), "http://localhost").body == b"\x00\x01\xff"
    assert forwarded(run(body=None), "http://localhost").body is None
