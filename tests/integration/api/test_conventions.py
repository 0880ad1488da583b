"""Conventions of every route: one error shape, strict parsing, and a document that describes them."""

from typing import Any

import pytest
from django.core.management import call_command
from django.test import override_settings

from accounts.models import Workspace
from jobs.models import Job
from tests.support.api_caller import JOB, Caller, caller

pytestmark = pytest.mark.django_db
PROBLEM = {"type", "title", "status", "detail", "code", "errors"}


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def raw(api: Caller, body: bytes, **headers: Any) -> Any:
    return api.generic("POST", "/api/v1/jobs/", body, **{"content_type": "application/json", **headers})


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == PROBLEM
    assert body["status"] == status
    return body


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1/", "/api/v1/nope/", "/api/v2/jobs/", "/api/v1/executions/not-an-id/"]
)
def test_an_unknown_path_is_a_problem_too(api: Caller, path: str) -> None:
    for client in (api, Caller()):
        for method in ("GET", "POST", "DELETE"):
            problem(client.generic(method, path), 404)


def test_an_unsupported_method_lists_the_allowed_ones(api: Caller) -> None:
    answer = api.generic("DELETE", "/api/v1/jobs/")
    problem(answer, 405)
    assert {"GET", "POST"} <= set(answer["Allow"].replace(" ", "").split(","))


def test_an_unsupported_method_is_reported_before_other_errors(api: Caller) -> None:
    for method in ("TRACE", "DELETE", "QUERY"):
        problem(api.generic(method, "/api/v1/jobs/?nope=1"), 405)


def test_an_unsupported_parameter_is_refused(api: Caller) -> None:
    for name, most in (("search", 1000), ("tag", 1000), ("cursor", 4000)):
        assert api.refused("GET", f"/jobs/?{name}={'x' * (most + 1)}") == {name: "max_length"}
    long = {"name": "\U0001f600" * 200, "request": {"url": "http://receiver.test/"}}
    for slug in ("first", "second"):
        api.ask("POST", "/jobs/", {**long, "slug": slug}, expect=201)
    first = api.ask("GET", "/jobs/?sort=name&limit=1", expect=200)
    assert api.ask("GET", first["next"].partition("/api/v1")[2], expect=200)["results"], "the longest cursor fits"


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "application/jsonp"])
def test_a_body_that_is_no_json_is_415(api: Caller, content_type: str) -> None:
    problem(raw(api, b"name=x", content_type=content_type), 415)


@pytest.mark.parametrize(
    "body",
    [
        b"{bad",
        b'{"name": NaN}',
        b'{"name": 1e999}',
        b'{"name": "a", "name": "b"}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 150 + b"1" + b"}" * 150,
        b"1" * 5000,
        b"[]",
        b'"text"',
        b"null",
    ],
    ids=lambda body: body[:12].decode("latin-1"),
)
def test_a_malformed_body_is_400_and_stores_nothing(api: Caller, body: bytes) -> None:
    problem(raw(api, body), 400)
    assert not Job.objects.exists()


@pytest.mark.parametrize("text", ["a\\u0000b", "\\ud800"])
def test_unstorable_text_is_named(api: Caller, text: str) -> None:
    body = f'{{"name": "x", "request": {{"url": "http://receiver.test/", "headers": {{"A": "{text}"}}}}}}'
    [error] = problem(raw(api, body.encode()), 400)["errors"]
    assert (error["field"], error["code"]) == ("request.headers.A", "invalid_text")


def test_a_body_of_unknown_length_is_refused(api: Caller) -> None:
    problem(raw(api, b"", HTTP_TRANSFER_ENCODING="chunked"), 411)


def test_accept_and_format_change_nothing(api: Caller) -> None:
    assert api.get("/api/v1/jobs/", HTTP_ACCEPT="text/html")["Content-Type"] == "application/json"
    assert problem(api.get("/api/v1/jobs/?format=html"), 400)["errors"][0]["field"] == "format"


def test_a_parameter_on_a_route_without_any_is_refused(api: Caller) -> None:
    api.ask("PUT", "/jobs/report/", JOB, expect=201)
    for method, path in (("GET", "/jobs/report/"), ("DELETE", "/jobs/report/"), ("POST", "/jobs/report/run/")):
        assert api.refused(method, f"{path}?force=true") == {"force": "unknown_parameter"}
    assert api.refused("POST", "/jobs/?limit=1", JOB) == {"limit": "unknown_parameter"}, "of the list alone"
    api.ask("GET", "/jobs/report/", expect=200)


def test_an_internal_error_is_a_problem_without_details(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any, **_options: Any) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr("api.jobs.views.filtered", broken)
    answer = api.get("/api/v1/jobs/")
    assert problem(answer, 500)["code"] == "internal_error"
    assert b"42" not in answer.content


@override_settings(ALLOWED_HOSTS=["hourhand.test"])
def test_a_wrong_host_is_a_problem_for_api_clients(api: Caller) -> None:
    for path in ("/api/v1/jobs/", "/healthz"):
        problem(api.get(path, HTTP_HOST="evil.test"), 400)
    assert "problem" not in api.get("/admin/", HTTP_HOST="evil.test").get("Content-Type", "")


class TestDocument:
    def test_is_valid_without_a_warning(self, tmp_path: Any) -> None:
        call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema.yml"))

    @pytest.fixture
    def document(self) -> dict[str, Any]:
        answer = Caller().get("/api/schema/?format=json")
        assert answer.status_code == 200
        return answer.json()

    def test_is_served_without_a_key_like_its_page(self, document: dict[str, Any]) -> None:
        assert document["openapi"].startswith("3.")
        page = Caller().get("/api/docs/")
        assert page.status_code == 200
        assert b"cdn" not in page.content.lower(), "all assets are our own"

    def test_describes_problems_keys_parameters_and_examples(self, document: dict[str, Any]) -> None:
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                unauthorized = operation["responses"]["401"]["content"]["application/problem+json"]
                assert unauthorized["schema"]["$ref"].endswith("/Problem"), (method, path)
                assert {"apiKey": []} in operation["security"], (method, path)
        listed = {parameter["name"] for parameter in document["paths"]["/api/v1/executions/"]["get"]["parameters"]}
        assert {"status", "from", "to", "limit", "cursor", "offset", "order"} <= listed
        created = document["paths"]["/api/v1/jobs/"]["post"]
        assert created["requestBody"]["content"]["application/json"]["examples"]
        assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
