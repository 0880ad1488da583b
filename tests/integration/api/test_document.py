"""The API against its own document: schemathesis asks a live server what the document allows and what it forbids."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from accounts.actors import SYSTEM
from accounts.models import Scope, Workspace
from accounts.services import issue_key
from tests.support.api_caller import caller

#: Checks that the answers match the document. Other tests decide whether a wrong request is refused.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
)
#: An answer that lasts for minutes: other tests cover it and its refusals.
ENDLESS = "/api/v1/events/"
#: Made up for each operation, besides the document's own examples and the edges of what it allows. Time bounds nothing:
#: what is asked is the same on every machine.
EXAMPLES = 5
#: drf-spectacular appends the values of a choice to its help text; a list of them describes nothing.
_CHOICES = re.compile(r"(^|\n\n)\* `.*", re.DOTALL)


@pytest.fixture
def document(db: None) -> dict[str, Any]:
    return Client().get("/api/schema/?format=json").json()


@pytest.mark.django_db(transaction=True)
def test_every_answer_is_in_the_document(live_server: Any, workspace: Workspace, full: bool, tmp_path: Path) -> None:
    key = issue_key(
        workspace=workspace, name="schemathesis", scopes=list(Scope), environments=None, expires_at=None, actor=SYSTEM
    ).key
    examples = EXAMPLES * 20 if full else EXAMPLES
    # The phase that covers the limits of every schema takes minutes.
    phases = "examples,coverage,fuzzing" if full else "examples,fuzzing"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{live_server.url}/api/schema/?format=json"),
        *("--exclude-path", ENDLESS),
        *("--url", live_server.url, "--header", f"Authorization: Bearer {key}"),
        *("--checks", ",".join(CHECKS), "--phases", phases, "--continue-on-failure"),
        *("--max-examples", str(examples), "--workers", "1"),
        # A test call needs a worker: other tests compare it with the document.
        *("--exclude-path-regex", "/jobs/[^/]+/test/$"),
        *("--seed", "1", "--generation-deterministic", "--no-shrink"),
        *("--suppress-health-check", "all"),
        *("--warnings", "off", "--no-color"),
    ]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=3600)
    assert told.returncode == 0, told.stdout[-20_000:] + told.stderr[-2000:]


def test_a_key_of_deleted_environments_matches_the_document(
    db: None, workspace: Workspace, document: dict[str, Any]
) -> None:
    api = caller(workspace)
    for slug in ("staging", "qa"):
        api.ask("POST", "/environments/", {"slug": slug}, expect=201)
    key = api.ask(
        "POST", "/keys/", {"name": "k", "scopes": ["jobs:read"], "environments": ["staging", "qa"]}, expect=201
    )
    for slug in ("staging", "qa"):
        api.ask("DELETE", f"/environments/{slug}/", expect=204)
    assert api.ask("GET", f"/keys/{key['id']}/", expect=200)["environments"] == []
    schemas = document["components"]["schemas"]
    for name in ("ApiKey", "IssuedKey"):
        assert "minItems" not in schemas[name]["properties"]["environments"]
    assert schemas["ApiKeyRequest"]["properties"]["environments"]["minItems"] == 1


def test_answers_require_their_fields_and_patches_do_not(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in (
        "Job",
        "Request",
        "Success",
        "Retry",
        "Retention",
        "EnvironmentState",
        "RetryPolicy",
        "ApiKey",
        "Settings",
    ):
        assert set(schemas[name]["required"]) == set(schemas[name]["properties"]), name
    for name, said in schemas.items():
        if name.startswith("Patched"):
            assert not said.get("required"), name
            assert not [field for field, inner in said["properties"].items() if "default" in inner], name
    bodies = {
        (method, path): operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "requestBody" in operation
    }
    for asked in [asked for asked in bodies if asked[0] == "patch"] + [("post", "/api/v1/jobs/{job}/test/")]:
        assert bodies[asked].startswith("Patched"), asked
    for part in ("request", "success", "retry", "retention", "webhook"):
        for whole in ("PatchedJobRequest", "PatchedCallRequest"):
            [inner] = schemas[whole]["properties"][part]["allOf"]
            assert inner["$ref"].rpartition("/")[2].startswith("Patched"), (whole, part)
    edit = schemas["ReplayRequest"]["properties"]["edit"]
    assert "PatchedRequestRequest" in json.dumps(edit)


def test_the_document_is_rendered_once(db: None, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    served = [Client().get(f"/api/schema/?format={form}") for form in ("json", "yaml")]
    key = issue_key(workspace=workspace, name="any", scopes=[], environments=None, expires_at=None, actor=SYSTEM).key
    monkeypatch.setattr(SchemaGenerator, "get_schema", lambda *_, **__: pytest.fail("made again"))
    for form, first in zip(("json", "yaml"), served, strict=True):
        again = Client().get(f"/api/schema/?format={form}&version=7", headers={"Authorization": f"Bearer {key}"})
        assert again.status_code == 200
        assert again.content == first.content
        assert again["Content-Type"] == first["Content-Type"]
    assert served[0]["Content-Type"] == "application/vnd.oai.openapi+json"
    assert yaml.safe_load(served[1].content)["paths"].keys() == json.loads(served[0].content)["paths"].keys()


def test_every_operation_documents_its_errors_limits_and_purpose(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            named = (method, path)
            assert operation["summary"], named
            expected = {"400", "401", "403", "429"}
            expected |= {"404"} if "{" in path else set()
            expected |= {"409", "411", "413", "415"} if method in {"post", "put", "patch"} else set()
            assert expected <= set(operation["responses"]), named
            for code, answer in operation["responses"].items():
                assert "X-RateLimit-Remaining" in answer["headers"], (*named, code)
                if int(code) >= 400:
                    problem = answer["content"]["application/problem+json"]
                    assert problem["schema"]["$ref"].endswith("/Problem"), (*named, code)
                    assert problem["examples"], (*named, code)
            assert "Retry-After" in operation["responses"]["429"]["headers"], named
            headers = {one["name"] for one in operation.get("parameters", []) if one["in"] == "header"}
            assert ("Idempotency-Key" in headers) == (method == "post"), named


def test_every_value_is_described(document: dict[str, Any]) -> None:
    values = (*values_in(document), *parameters_of(document))
    silent = [name for name, schema in values if not _CHOICES.sub("", schema.get("description", "")).strip()]
    assert not silent, "give the field a help_text, a part of a path its words in api/base/openapi.py"


def values_in(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every described property of every object below, by its path."""
    if isinstance(node, list):
        for place, inner in enumerate(node):
            yield from values_in(inner, f"{path}/{place}")
    elif isinstance(node, dict):
        for name, inner in node.items():
            if name == "properties":
                yield from ((f"{path}/{field}", said) for field, said in inner.items())
            if name not in {"example", "examples", "default"}:
                yield from values_in(inner, f"{path}/{name}")


def parameters_of(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for one in operation.get("parameters", []):
                yield f"{method.upper()} {path} {one['name']}", one


def test_every_body_that_needs_a_field_has_an_example(document: dict[str, Any]) -> None:
    lacking = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            if document["components"]["schemas"].get(name, {}).get("required") and not content.get("examples"):
                lacking.append(f"{method.upper()} {path}")
    assert not lacking, "give the serializer an OpenApiExample"
