"""Answers are compressed for clients that accept it, with the same content."""

import gzip
from typing import Any

import brotli
import pytest
from django.test import Client

from accounts.models import Workspace
from tests.support.api_caller import caller
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
CSS = "/static/hourhand/hourhand.css"


def sent(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


def plain(response: Any, body: bytes | None = None) -> bytes:
    body = sent(response) if body is None else body
    undo = {"br": brotli.decompress, "gzip": gzip.decompress, "": bytes}
    return undo[response.get("Content-Encoding", "")](body)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("br, gzip", "br"),
        ("gzip, deflate, br;q=0.1", "br"),
        ("GZIP", "gzip"),
        ("gzip;q=0.5, br;q=0", "gzip"),
        ("*", "br"),
        ("br;q=0, *", "gzip"),
        ("identity", ""),
        ("gzip;q=0", ""),
        ("gzip;q=x", ""),
        ("", ""),
    ],
)
def test_files_are_compressed_as_the_client_accepts(accepted: str, coding: str) -> None:
    client = Client()
    whole = plain(client.get(CSS))
    for _ in range(2):
        answer = client.get(CSS, headers={"Accept-Encoding": accepted})
        assert answer.get("Content-Encoding", "") == coding
        body = sent(answer)
        assert plain(answer, body) == whole
        assert "Accept-Encoding" in answer["Vary"]
        assert int(answer["Content-Length"]) == len(body)


def test_pages_and_json_are_compressed_and_small_answers_are_not(workspace: Workspace, make_job: MakeJob) -> None:
    api = caller(workspace)
    for _ in range(5):
        make_job()
    asked = {"headers": {"Accept-Encoding": "gzip, br"}}
    jobs = api.get("/api/v1/jobs/", **asked)
    assert jobs["Content-Encoding"] == "br"
    assert plain(jobs) == api.get("/api/v1/jobs/").content
    page = Client().get("/admin/login/", **asked)
    assert page["Content-Encoding"] == "gzip", "which is padded"
    assert b"csrfmiddlewaretoken" in plain(page)
    assert "hourhand_csrf" in page.cookies
    assert len({len(Client().get("/admin/login/", **asked).content) for _ in range(20)}) > 2
    assert "Content-Encoding" not in Client().get("/healthz", **asked)


def test_partial_and_not_modified_answers_are_not_compressed() -> None:
    client = Client()
    part = client.get(CSS, headers={"Accept-Encoding": "gzip", "Range": "bytes=0-9"})
    assert (part.status_code, part.get("Content-Encoding")) == (206, None)
    known = client.get(CSS)["Last-Modified"]
    assert client.get(CSS, headers={"Accept-Encoding": "br", "If-Modified-Since": known}).status_code == 304
