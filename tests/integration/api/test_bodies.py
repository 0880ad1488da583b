"""Request bodies: cost of parsing, size limits, and errors."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError, ValidationError

from accounts.models import Workspace
from api.base.parsing import MAX_DEPTH, MAX_VALUES, json_value, refuse_unstorable
from jobs.models import Job
from tests.support.api_caller import JOB, Caller, caller, make_execution
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db
MIB = 1024 * 1024
#: Processor time; quadratic parsing took seconds or minutes.
SOON = 1.5


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def send(api: Caller, method: str, path: str, text: str | bytes, **headers: Any) -> Any:
    body = text.encode() if isinstance(text, str) else text
    return api.generic(method, f"/api/v1{path}", body, content_type="application/json", **headers)


def refused(answer: Any, status: int = 400) -> dict[str, Any]:
    assert answer.status_code == status, answer.content[:500]
    assert answer["Content-Type"] == "application/problem+json"
    return answer.json()


def members(count: int, value: str = "1", *more: str) -> str:
    return "{" + ",".join([*(f'"k{number}":{value}' for number in range(count)), *more]) + "}"


def nested(depth: int, key: str, leaf: str) -> str:
    return f'{{"{key}":' * depth + leaf + "}" * depth


COSTLY: dict[str, Callable[[], tuple[str, str]]] = {
    "many keys, one twice": lambda: ("/schedules/preview/", members(20_000, "1", '"k19999":1')),
    "many keys, the first twice": lambda: ("/schedules/preview/", members(150_000, "1", '"k0":1')),
    "many unknown keys": lambda: ("/schedules/preview/", members(100_000)),
    "many keys that are nearly known": lambda: (
        "/schedules/preview/",
        "{" + ",".join(f'"timezone{number}":1' for number in range(60_000)) + "}",
    ),
    "one very long key": lambda: ("/schedules/preview/", json.dumps({"timezone" * 200_000: 1})),
    "long keys in one another": lambda: ("/schedules/preview/", nested(95, "k" * 10_000, "1")),
    "long keys around what can't be stored": lambda: ("/schedules/preview/", nested(95, "k" * 10_000, '"\\u0000"')),
    "a long key twice, deep down": lambda: ("/jobs/", nested(90, "k" * 10_000, '{"a":1,"a":2}')),
    "many keys of a request": lambda: ("/jobs/", f'{{"name":"x","request":{members(80_000)}}}'),
    "many headers": lambda: (
        "/jobs/",
        f'{{"name":"x","request":{{"url":"http://a.test/","headers":{members(150_000)}}}}}',
    ),
    "many tags": lambda: ("/jobs/", json.dumps({**JOB, "tags": [1] * 600_000})),
    "many statuses": lambda: ("/jobs/", json.dumps({**JOB, "retry": {"on_statuses": [{}] * 400_000}})),
    "many assertions": lambda: ("/jobs/", json.dumps({**JOB, "success": {"assertions": [{}] * 400_000}})),
    "many environments": lambda: (
        "/jobs/",
        f'{{"name":"x","request":{{"url":"http://a.test/"}},"environments":{members(100_000, "{}")}}}',
    ),
    "many overrides": lambda: (
        "/jobs/",
        f'{{"request":{{}},"environments":{members(900, json.dumps({"overrides": {"timezone": "x"}}))}}}',
    ),
    "a long environment full of unknown fields": lambda: (
        "/jobs/",
        f'{{"name":"x","request":{{"url":"http://a.test/"}},"environments":{{"{"e" * 10_000}":{members(60_000)}}}}}',
    ),
    "many environments of a bulk operation": lambda: (
        "/executions/cancel/",
        json.dumps({"filter": {"environment": ["x"] * 200_000, "status": [7] * 200_000}}),
    ),
    "a long time zone": lambda: ("/schedules/preview/", json.dumps({"schedule": "@daily", "timezone": "E" * MIB})),
    "a long schedule": lambda: ("/schedules/preview/", json.dumps({"schedule": "every " * 200_000})),
    "a long time": lambda: ("/schedules/preview/", json.dumps({"schedule": None, "starts_at": "2" * MIB})),
    "a twice-named job in a file": lambda: (
        "/jobs/import/",
        json.dumps(
            {"format": "json", "content": f'{{"jobs":[{members(20_000, "1", chr(34) + "k7" + chr(34) + ":1")}]}}'}
        ),
    ),
    "an unknown field in each job of a file": lambda: (
        "/jobs/import/",
        json.dumps({"format": "json", "content": {"jobs": [{f"nam{number}": 1 for number in range(300)}] * 40}}),
    ),
}


@pytest.mark.parametrize("costly", COSTLY.values(), ids=COSTLY)
def test_parsing_takes_time_proportional_to_the_body(api: Caller, costly: Callable[[], tuple[str, str]]) -> None:
    path, body = costly()
    refused(api.get("/api/v1/nope/"), 404)  # what is made once is made
    began = time.process_time()
    answer = send(api, "POST", path, body)
    assert time.process_time() - began < SOON
    if path != "/jobs/import/":
        assert len(refused(answer)["errors"]) <= 100
    assert len(answer.content) < 12 * MIB, "an answer is no larger than what it is about"


def test_a_duplicate_key_is_named_and_truncated(api: Caller) -> None:
    assert "'name' appears twice" in refused(send(api, "POST", "/jobs/", '{"name": 1, "slug": 2, "name": 3}'))["detail"]
    detail = refused(send(api, "POST", "/jobs/", f'{{"{"a" * 5000}": 1, "{"a" * 5000}": 3}}'))["detail"]
    assert "…" in detail
    assert len(detail) < 300


@given(st.lists(st.text(max_size=3), max_size=12))
def test_a_key_is_refused_if_and_only_if_it_is_duplicate(names: list[str]) -> None:
    text = "{" + ",".join(f"{json.dumps(name)}: 1" for name in names) + "}"
    if len(set(names)) == len(names):
        assert list(json_value(text)) == names
    else:
        with pytest.raises(ValueError, match="appears twice"):
            json_value(text)


def test_of_many_wrong_fields_the_first_are_named_and_the_others_counted(api: Caller) -> None:
    problem = refused(send(api, "POST", "/schedules/preview/", members(1000)))
    assert problem["detail"] == "schedule: This field is required. (and 51 more)"
    problem = refused(send(api, "POST", "/schedules/preview/", '{"schedule":null,' + members(250)[1:]))
    assert [error["field"] for error in problem["errors"]] == [*(f"k{number}" for number in range(50)), None]
    assert problem["errors"][-1]["detail"] == "There are 200 more such names."
    overridden = '{"environments":{"production":{"overrides":' + members(250) + "}}}"
    api.ask("PUT", "/jobs/report/", JOB, expect=201)
    assert len(refused(send(api, "PATCH", "/jobs/report/", overridden))["errors"]) == 51


def test_a_similar_field_name_is_still_suggested(api: Caller) -> None:
    [error] = refused(send(api, "POST", "/schedules/preview/", '{"schedule": null, "timezon": "UTC"}'))["errors"]
    assert "timezone" in error["detail"]


# -- how large it may be -----------------------------------------------------------------------------------------------

SPELLED = {
    "two bytes as six": lambda: '"' + "\\u00e9" * 400_000 + '"',
    "two bytes as six, the most": lambda: '"' + "\\u00e9" * (MIB // 2) + '"',
    "one byte as six, the most": lambda: '"' + "\\u0001" * MIB + '"',
    "one ASCII letter as six": lambda: '"' + "\\u0041" * MIB + '"',
    "four bytes as twelve": lambda: '"' + "\\ud83d\\ude80" * (MIB // 4) + '"',
    "quotes": lambda: '"' + '\\"' * MIB + '"',
    "commas": lambda: '"' + "," * MIB + '"',
    "JSON with spaces": lambda: "[" + ",   ".join(["1"] * (MIB // 2 - 1)) + "]",
}


@pytest.mark.parametrize("spelled", SPELLED.values(), ids=SPELLED)
def test_a_job_request_body_has_its_own_limit_in_any_encoding(
    api: Caller, make_job: MakeJob, spelled: Callable[[], str]
) -> None:
    body, url = spelled(), "http://receiver.test/ok"
    request = f'{{"url": "{url}", "body": {body}}}'
    for method, path, text, status in (
        ("POST", "/jobs/", f'{{"name": "made", "request": {request}}}', 201),
        ("PUT", "/jobs/put/", f'{{"name": "put", "request": {request}}}', 201),
        ("PATCH", "/jobs/put/", f'{{"request": {{"body": {body}}}}}', 200),
        (
            "PATCH",
            "/jobs/put/",
            f'{{"environments": {{"production": {{"overrides": {{"request": {{"body": {body}}}}}}}}}}}',
            200,
        ),
        (
            "POST",
            "/jobs/import/",
            f'{{"format": "json", "content": {{"jobs": [{{"name": "in", "request": {request}}}]}}}}',
            200,
        ),
    ):
        answer = send(api, method, path, text)
        assert answer.status_code == status, (method, path, answer.content[:300])
    # Whoever wrote the file escaped no more than necessary.
    said = json.dumps(
        {"jobs": [{"name": "as text", "request": {"url": url, "body": json.loads(body)}}]}, ensure_ascii=False
    )
    answer = send(api, "POST", "/jobs/import/", json.dumps({"format": "json", "content": said}))
    assert answer.json()["created"] == 1, answer.content[:300]
    execution = make_execution(make_job())
    answer = send(api, "POST", f"/executions/{execution.pk}/replay/", f'{{"edit": {{"body": {body}}}}}')
    assert answer.status_code == 202, answer.content[:300]


def test_a_job_request_body_beyond_its_limit_is_named_by_its_field(api: Caller) -> None:
    for letter in ("x", "\\u0001"):
        text = f'{{"name": "x", "request": {{"url": "http://receiver.test/", "body": "{letter * (MIB + 1)}"}}}}'
        [error] = refused(send(api, "POST", "/jobs/", text))["errors"]
        assert (error["field"], error["code"]) == ("request.body", "too_large")


def test_a_test_call_has_the_same_body_limit(api: Caller, make_job: MakeJob) -> None:
    make_job(slug="try")
    text = '{"request": {"body": "' + "\\u0001" * (MIB + 1) + '"}}'
    [error] = refused(send(api, "POST", "/jobs/try/test/", text))["errors"]
    assert error["field"] == "request.body"


@pytest.mark.parametrize(("path", "most"), [("/jobs/", 16), ("/jobs/import/", 16), ("/schedules/preview/", 2)])
def test_a_request_beyond_the_limit_is_413_with_that_limit(api: Caller, path: str, most: int) -> None:
    assert f"{most} MiB" in refused(send(api, "POST", path, b" " * (most * MIB + 1)), 413)["detail"]
    refused(send(api, "POST", path, b" " * (most * MIB)), 400)
    assert not Job.objects.exists()


def test_too_many_values_are_refused_before_parsing(api: Caller) -> None:
    for text in ("[" + "[]," * MAX_VALUES + "[]]", "[" + '{"a":[]},' * (MAX_VALUES // 2) + "1]"):
        began = time.process_time()
        assert "values" in refused(send(api, "POST", "/jobs/", text))["detail"]
        assert time.process_time() - began < SOON


# -- what is said of one that can't be read ----------------------------------------------------------------------------

PYTHONS = (
    "python",
    "sys.",
    "set_int",
    "utf-8-sig",
    "codec",
    "integer string conversion",
    "traceback",
    "nonetype",
    "char ",
)
UNREADABLE = [
    "1" * 5000,
    "-" + "1" * 5000,
    '{"schedule": null, "count": ' + "9" * 5000 + "}",
    '{"schedule": {"every_seconds": ' + "9" * 100_000 + "}}",
    '{"a": ' + "1" * 4301 + ".5e5",
    "NaN",
    '{"a": -Infinity}',
    '{"a": 1e999}',
    '{"a": -1e999}',
    '{"a": "\\ud800"}',
    '{"\\udfff": 1}',
    '{"a": ["\\u0000"]}',
    '{"a": "\x00"}',
    '{"a": "\n"}',
    "{\"a\": 'b'}",
    '{"a": 01}',
    '{"a": +1}',
    '{"a": .5}',
    '{"a": 1,}',
    "{a: 1}",
    '{"a": 0x10}',
    '{"a": "\\x41"}',
    '{"a": "\\u12"}',
    "[" * 100_000,
    "[" * 500 + "]" * 500,
    nested(101, "a", "1"),
    "",
    " ",
    "//",
    "{} {}",
    "\ufeff{",
]


@pytest.mark.parametrize("text", UNREADABLE, ids=lambda text: repr(text[:24]))
@pytest.mark.parametrize("path", ["/schedules/preview/", "/jobs/"])
def test_an_unreadable_body_is_explained_to_the_caller(api: Caller, path: str, text: str) -> None:
    problem = refused(send(api, "POST", path, text))
    for told in (problem["detail"], *(error["detail"] for error in problem["errors"])):
        assert not [word for word in PYTHONS if word in told.lower()], told


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe{\x00}\x00", '{"a": "ü"}'.encode("latin-1"), b"\xed\xa0\x80", b'{"a": "\xc0\x80"}']
)
def test_a_body_in_another_encoding_is_refused_with_a_reason(api: Caller, raw: bytes) -> None:
    assert "UTF-8" in refused(send(api, "POST", "/schedules/preview/", raw))["detail"]


def test_a_byte_order_mark_is_ignored(api: Caller) -> None:
    assert send(api, "POST", "/schedules/preview/", b'\xef\xbb\xbf{"schedule": "@daily"}').status_code == 200


@pytest.mark.parametrize("field", ["timeout_seconds", "url", "method", "tls_verify", "headers", "body", "ca_cert"])
@pytest.mark.parametrize("digits", [400, 4300])
def test_a_number_of_many_digits_is_stored_in_a_body_and_else_refused(api: Caller, field: str, digits: int) -> None:
    text = f'{{"name": "x", "request": {{"url": "http://receiver.test/", "{field}": {"9" * digits}}}}}'
    answer = send(api, "POST", "/jobs/", text)
    assert answer.status_code == (201 if field == "body" else 400), answer.content[:300]


@pytest.mark.parametrize("query", ["limit", "offset", "cursor"])
def test_a_number_of_many_digits_in_a_query_is_refused(api: Caller, query: str) -> None:
    for digits in (400, 999, 3999, 5000):
        refused(api.get(f"/api/v1/jobs/?{query}={'9' * digits}"))


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "GZIP", "zstd", "x" * 500])
@pytest.mark.parametrize(("method", "path"), [("POST", "/jobs/"), ("PUT", "/jobs/a/"), ("PATCH", "/jobs/a/")])
def test_a_compressed_body_is_415_and_says_what_to_send(api: Caller, coding: str, method: str, path: str) -> None:
    problem = refused(send(api, method, path, b"\x1f\x8b\x08", HTTP_CONTENT_ENCODING=coding), 415)
    assert "Content-Encoding" in problem["detail"]
    assert len(problem["detail"]) < 300


def test_content_encoding_identity_is_accepted(api: Caller) -> None:
    assert send(api, "POST", "/jobs/", json.dumps(JOB), HTTP_CONTENT_ENCODING="identity").status_code == 201


def test_nesting_is_accepted_up_to_the_limit() -> None:
    refuse_unstorable(json_value("[" * MAX_DEPTH + "]" * MAX_DEPTH))
    with pytest.raises(ParseError):
        refuse_unstorable(json_value("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"a": {"b": ["x", {"c": "\\u0000"}]}}', "a.b.1.c"),
        ('{"a": {"b\\ud800": 1}}', "a"),
        ('{"\\u0000": 1}', None),
        ('{"a": ["\\udc00\\ud800"]}', "a.0"),
    ],
)
def test_text_that_can_not_be_stored_is_named_by_its_path(text: str, field: str | None) -> None:
    with pytest.raises(ValidationError) as refusal:
        refuse_unstorable(json_value(text))
    assert list(refusal.value.detail) == [field] if field else isinstance(refusal.value.detail, list)
