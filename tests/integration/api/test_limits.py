"""What programs find at the doors: methods, slashes forgiven, things found where they were made, errors as JSON."""

import json
import re
from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import Environment, Scope, Workspace
from api.base.document import document
from jobs.models import Job
from tests.support.api_caller import JOB, Caller, caller, make_execution, some_id
from tests.support.jobs import MakeJob

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(workspace: Workspace) -> Caller:
    return caller(workspace)


def all_paths() -> list[str]:
    """Return every path below /api/ with its parts filled in, from the routes rather than the document."""
    found = []
    for pattern in patterns(get_resolver().url_patterns, ""):
        if pattern.startswith("api/"):
            filled = re.sub(r"<uuid:\w+>", some_id(), pattern)
            found.append("/" + re.sub(r"<int:\w+>", "1", re.sub(r"<str:\w+>", "some", filled)))
    return sorted(set(found))


def patterns(entries: list[Any], before: str) -> list[str]:
    found: list[str] = []
    for entry in entries:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            found += patterns(entry.url_patterns, route)
        elif isinstance(entry, URLPattern) and not route.endswith("^api/"):
            found.append(route)
    return found


# -- OPTIONS -----------------------------------------------------------------------------------------------------------


def test_options_lists_the_methods_of_every_route(api: Caller) -> None:
    paths = [path for path in all_paths() if path != "/api/docs/"]
    assert len(paths) > 40
    for path in paths:
        for client, asked in ((api, path), (Caller(), path), (api, path[:-1] + "?any=1")):
            answer = client.generic("OPTIONS", asked)
            assert (answer.status_code, answer.content) == (204, b""), (asked, answer.content)
            allowed = {method.strip() for method in answer["Allow"].split(",")}
            assert "OPTIONS" in allowed
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                if method not in allowed:
                    assert api.generic(method, path).status_code == 405, (method, path)


def test_options_agrees_with_the_openapi_document(api: Caller) -> None:
    for path, methods in document()["paths"].items():
        filled = path.replace("{number}", "1").replace("{other}", "1")
        filled = re.sub(r"\{(execution|operation|run|key|member|secret|callback)\}", some_id(), filled)
        allowed = api.generic("OPTIONS", re.sub(r"\{\w+\}", "some", filled))["Allow"].replace(" ", "").split(",")
        assert {method.upper() for method in methods} == set(allowed) - {"OPTIONS", "HEAD"}, path


def test_options_allows_no_other_origin(api: Caller) -> None:
    answer = api.generic("OPTIONS", "/api/v1/jobs/", HTTP_ORIGIN="https://evil.test")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_options_with_an_invalid_key_is_401() -> None:
    assert Caller("hh_nope").generic("OPTIONS", "/api/v1/jobs/").status_code == 401


# -- slashes -----------------------------------------------------------------------------------------------------------


def test_a_path_without_its_slash_is_answered_whatever_the_method(api: Caller, make_job: MakeJob) -> None:
    execution = make_execution(make_job(slug="report"))
    for path in ("/jobs", "/executions", "/jobs/report", "/jobs/report/versions/1", f"/executions/{execution.pk}"):
        assert api.get(f"/api/v1{path}").content == api.get(f"/api/v1{path}/").content
    assert len(api.ask("GET", "/executions?limit=1&status=succeeded", expect=200)["results"]) == 1
    assert api.ask("GET", "/executions?limit=1", expect=200)["next"] is None
    api.ask("POST", "/jobs", {**JOB, "slug": "other"}, expect=201)
    api.ask("PUT", "/jobs/third", JOB, expect=201)
    assert api.ask("PATCH", "/jobs/third", {"name": "Third"}, expect=200)["name"] == "Third"
    api.ask("POST", "/jobs/third/run", {}, expect=202)
    api.ask("DELETE", "/jobs/third?purge=true", expect=204)
    assert api.refused("GET", "/jobs?nope=1") == {"nope": "unknown_parameter"}
    assert Caller().get("/api/schema?format=json").status_code == 200
    assert Caller().get("/api/docs").status_code == 200


def test_idempotency_ignores_the_trailing_slash(api: Caller) -> None:
    first, again = (
        api.post(path, JOB, format="json", headers={"Idempotency-Key": "k"})
        for path in ("/api/v1/jobs", "/api/v1/jobs/")
    )
    assert (first.status_code, again.content, Job.objects.count()) == (201, first.content, 1)


@pytest.mark.parametrize(
    "path", ["/api", "/api/v1", "/api/v1/nope", "/api/v1/jobs/a/nope", "/api/v1/jobs//", "/api/v1/jobsx"]
)
def test_an_unknown_path_is_404_without_its_slash_too(api: Caller, path: str) -> None:
    answer = api.get(path)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


# -- where things are found --------------------------------------------------------------------------------------------


def test_location_leads_to_the_created_object(
    api: Caller, workspace: Workspace, make_job: MakeJob, settings: Any
) -> None:
    execution = make_execution(make_job(slug="report"), status="failed", failure_reason="timeout")
    made: list[tuple[str, str, Any]] = [
        ("POST", "/jobs/", JOB),
        ("PUT", "/jobs/put/", {**JOB, "name": "Größe"}),
        ("POST", "/retry-policies/", {"name": "Größe"}),
        ("POST", "/environments/", {"name": "Größe"}),
        ("POST", "/secrets/", {"name": "TOKEN", "value": "a-long-value"}),
        ("POST", "/keys/", {"name": "k", "scopes": ["jobs:read"]}),
        ("POST", "/jobs/report/run/", {"environment": "production"}),
        ("POST", f"/executions/{execution.pk}/replay/", {}),
        ("POST", f"/executions/{execution.pk}/retry/", {}),
        ("POST", "/executions/replay/", {"filter": {"job": "report"}}),
        ("POST", "/executions/cancel/", {"filter": {"job": "report"}}),
    ]
    for method, path, body in made:
        answer = api.generic(method, f"/api/v1{path}", json.dumps(body), content_type="application/json")
        assert answer.status_code in {201, 202}, answer.content
        location = answer["Location"]
        assert location.startswith("http://testserver/api/v1/"), location
        found = api.get(location.removeprefix("http://testserver"))
        assert found.status_code == 200, location
        assert found.json()["id"] == answer.json()["id"], path
    assert "Location" not in api.generic("PUT", "/api/v1/jobs/put/", json.dumps(JOB), content_type="application/json")


def test_a_repeated_answer_has_its_location(api: Caller) -> None:
    first, again = (api.post("/api/v1/jobs/", JOB, format="json", headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert again["Idempotent-Replayed"] == "true"
    assert again["Location"] == first["Location"]


def test_every_created_answer_documents_location() -> None:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            for code in {"201", "202"} & operation["responses"].keys():
                assert "Location" in operation["responses"][code]["headers"], (method, path)


# -- deleted jobs ------------------------------------------------------------------------------------------------------


def test_a_deleted_job_is_shown_by_its_uuid_with_its_versions(api: Caller, make_job: MakeJob) -> None:
    job = make_job(slug="gone").job
    api.ask("PATCH", "/jobs/gone/", {"name": "Second"}, expect=200)
    api.ask("DELETE", "/jobs/gone/", expect=204)
    for reference in (str(job.pk), str(job.pk).upper(), job.pk.hex):
        shown = api.ask("GET", f"/jobs/{reference}/", expect=200)
        assert (shown["id"], shown["slug"], shown["version"]) == (str(job.pk), "gone", 2)
        assert shown["deleted_at"] is not None
        assert not shown["environments"]["production"]["enabled"]
    versions = api.ask("GET", f"/jobs/{job.pk}/versions/", expect=200)["results"]
    assert [one["number"] for one in versions] == [2, 1]
    assert api.ask("GET", f"/jobs/{job.pk}/versions/1/", expect=200)["definition"]["name"] == "Nightly report"
    assert api.ask("GET", f"/jobs/{job.pk}/versions/1/diff/2/", expect=200)["changes"]


def test_a_deleted_job_is_read_only(api: Caller, make_job: MakeJob) -> None:
    job = make_job(slug="gone").job
    api.ask("DELETE", "/jobs/gone/", expect=204)
    again = api.ask("PUT", "/jobs/gone/", JOB, expect=201)
    assert api.ask("GET", "/jobs/gone/", expect=200)["id"] == again["id"]
    for method, path, body in (
        ("PATCH", f"/jobs/{job.pk}/", {"name": "x"}),
        ("PUT", f"/jobs/{job.pk}/", JOB),
        ("DELETE", f"/jobs/{job.pk}/", None),
        ("POST", f"/jobs/{job.pk}/versions/1/restore/", {}),
        ("POST", f"/jobs/{job.pk}/pause/", {}),
        ("POST", f"/jobs/{job.pk}/run/", {}),
    ):
        api.ask(method, path, body, expect=404)
    assert [one["slug"] for one in api.ask("GET", "/jobs/", expect=200)["results"]] == ["gone"]
    api.ask("DELETE", f"/jobs/{job.pk}/?purge=true", expect=204)
    api.ask("GET", f"/jobs/{job.pk}/", expect=404)
    api.ask("GET", f"/jobs/{job.pk}/versions/", expect=404)


def test_a_deleted_job_is_shown_only_to_callers_who_could_see_it(
    api: Caller, workspace: Workspace, make_job: MakeJob
) -> None:
    from accounts.services import create_workspace

    job = make_job(slug="gone").job
    api.ask("DELETE", "/jobs/gone/", expect=204)
    staging = Environment.objects.create(workspace=workspace, slug="staging", name="Staging")
    production = workspace.environments.get(slug="production")
    caller(workspace, environments=[production]).ask("GET", f"/jobs/{job.pk}/", expect=200)
    for other in (caller(workspace, environments=[staging]), caller(create_workspace(slug="b", name="B"))):
        other.ask("GET", f"/jobs/{job.pk}/", expect=404)
        other.ask("GET", f"/jobs/{job.pk}/versions/1/", expect=404)
    caller(workspace, scopes=[Scope.EXECUTIONS_READ]).ask("GET", f"/jobs/{job.pk}/", expect=403)


# -- errors outside the routes -----------------------------------------------------------------------------------------

BROWSER = {"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8"}


def problem_of(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.content[:300]
    assert answer["Content-Type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail", "code", "errors"}
    return answer.json()


@pytest.mark.parametrize("path", ["/nope", "/v1/jobs/", "/jobs/", "/a" * 500])
def test_an_unknown_path_is_answered_as_json(path: str) -> None:
    for method in ("GET", "POST", "DELETE", "PATCH"):
        assert len(problem_of(Client().generic(method, path), 404)["detail"]) < 200
    assert problem_of(Client().get(path, HTTP_ACCEPT="application/json"), 404)["code"] == "not_found"


def test_browsers_get_html(api: Caller) -> None:
    for path in ("/nope", "/admin/nope/", "/invitations/nope/"):
        assert Client().get(path, **BROWSER)["Content-Type"].startswith("text/html")
    for path in ("/api/v1/nope/", "/api/nope"):
        problem_of(Client().get(path, **BROWSER), 404)


@override_settings(ALLOWED_HOSTS=["hourhand.test"])
@pytest.mark.parametrize("host", ["evil.test", "ho st", "a_b..c", "[::1", "hourhand.test:port", ""])
@pytest.mark.parametrize("path", ["/api/v1/jobs/", "/api/v1/jobs", "/hooks/x", "/api/schema/"])
def test_an_unknown_host_is_answered_as_json(api: Caller, path: str, host: str) -> None:
    problem_of(api.get(path, HTTP_HOST=host), 400)


@pytest.mark.parametrize("path", ["/api/v1/jobs/", "/api/v1/executions/", "/api/v1/nope/"])
def test_too_many_parameters_are_answered_as_json(api: Caller, path: str) -> None:
    query = "&".join(f"a{number}=1" for number in range(5000))
    answer = api.get(f"{path}?{query}")
    problem_of(answer, 404 if "nope" in path else 400)


@pytest.mark.parametrize(
    "query", ["%", "%zz", "%00", "a=%ff", "limit=%ED%A0%80", "search=%00", "tag=%ff", "&&&=", "%F0%9F"]
)
def test_a_malformed_query_is_answered_as_json(api: Caller, query: str) -> None:
    answer = api.get(f"/api/v1/jobs/?{query}")
    assert answer.status_code in {200, 400}
    if answer.status_code == 400:
        problem_of(answer, 400)


@pytest.mark.parametrize(
    "part", ["%00", "%ff", "%ED%A0%80", "a%00b", "..", "%2e%2e", "a%0ab", "%F0%9F%9A%80", "a" * 3000]
)
def test_a_malformed_path_is_answered_as_json(api: Caller, part: str) -> None:
    for path in (f"/jobs/{part}/", f"/jobs/{part}/versions/", f"/retry-policies/{part}/", f"/environments/{part}/"):
        problem_of(api.get(f"/api/v1{path}"), 404)
    for number in ("0", "9" * 9, "9" * 19, "9" * 300):
        problem_of(api.get(f"/api/v1/jobs/some/versions/{number}/"), 404)
