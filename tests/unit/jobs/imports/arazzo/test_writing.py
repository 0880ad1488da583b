"""Workflows written as Arazzo: valid by the published schemas, equal when read again, and complete for other tools."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.imports import FORMATS, Options, arazzo_document
from tests.support.arazzo import refuse_invalid
from tests.support.workflow_jobs import (
    approval_step,
    delay_step,
    every_kind_of_step,
    http_step,
    stored_definition,
    webhook_step,
    workflow_job,
)

URL = "https://api.test/v1"


def written(*jobs: dict[str, Any]) -> dict[str, Any]:
    """Write jobs, as they are sent, and hold the document against the schemas."""
    numbered = [{"slug": f"job-{number}", **job} for number, job in enumerate(jobs)]
    complete = [stored_definition({name: job[name] for name in job if name != "slug"}) for job in numbered]
    document = arazzo_document(zip(complete, numbered, strict=True))
    assert document is not None
    refuse_invalid(document)
    return json.loads(json.dumps(document))  # type: ignore[no-any-return]


def step_of(**fields: Any) -> dict[str, Any]:
    (step,) = written(workflow_job(http_step("a", **fields)))["workflows"][0]["steps"]
    return dict(step)


def read_again(document: dict[str, Any]) -> list[Any]:
    items = FORMATS["arazzo"].read(document, Options())
    assert all(item.definition is not None and item.enabled for item in items), items
    return [item.definition for item in items]


def without_extensions(value: Any) -> Any:
    """Return a document as other tools read it: of Hourhand's extensions, only the OpenAPI documents remain."""
    if isinstance(value, list):
        return [without_extensions(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: item for name, item in value.items() if not name.startswith("x-") or name == "x-hourhand-document"}
    return {name: without_extensions(item) for name, item in kept.items()}


class TestRoundTrip:
    def test_every_kind_of_step_is_equal_when_read_again(self) -> None:
        jobs = [
            {"slug": "all", **every_kind_of_step()},
            {"slug": "waits", **workflow_job(delay_step("a"), approval_step("b"))},
        ]
        document = written(*jobs)
        assert read_again(document) == jobs
        assert [workflow["workflowId"] for workflow in document["workflows"]] == ["all"]
        assert [step["stepId"] for step in document["workflows"][0]["steps"]] == ["create", "send"]

    def test_a_document_needs_a_call(self) -> None:
        waits = workflow_job(delay_step())
        assert arazzo_document([(stored_definition(waits), {"slug": "a", **waits})]) is None
        assert arazzo_document([]) is None

    def test_a_changed_list_of_steps_is_refused(self) -> None:
        document = written(workflow_job(http_step("a"), http_step("b")))
        del document["workflows"][0]["steps"][1]
        (item,) = FORMATS["arazzo"].read(document, Options())
        assert "lists other steps than the workflow has" in (item.problem or "")

    def test_a_step_without_its_extensions_is_read_from_the_standards_fields(self) -> None:
        document = written(workflow_job(http_step("a", on_failure="stop"), delay_step()))
        step = document["workflows"][0]["steps"][0]
        del step["x-hourhand-step"], step["x-hourhand-request"]
        step["parameters"] = [{"name": "q", "in": "query", "value": 1}]
        (job,) = read_again(document)
        first, second = job["workflow"]["steps"]
        assert (first["request"]["url"], first["on_failure"]) == ("http://receiver.test/ok?q=1", "stop")
        assert second == delay_step()


class TestWrittenFields:
    def test_what_the_standard_lacks_is_named(self) -> None:
        workflow = written(every_kind_of_step())["workflows"][0]
        assert workflow["x-hourhand-notes"] == [
            "The step cool (delay).",
            "The step later (delay).",
            "The step paid (webhook).",
            "The step ok (approval).",
            "The steps of finally.",
            "The output: only whole values without defaults are carried.",
        ]
        notes = "\n".join(workflow["steps"][0]["x-hourhand-notes"])
        for words in ("default and secrecy of token", "conditions under which", "polling", "delays of retries"):
            assert words in notes

    def test_values_of_hourhands_own_become_inputs(self) -> None:
        headers = {
            "A": "Run {{execution_id}}",
            "B": "{{timestamp}}",
            "C": '{{input.a|default("x")}}',
            "D": "{{'{{'}}",
        }
        (workflow,) = written(workflow_job(http_step("a", request={"headers": headers})))["workflows"]
        values = {parameter["name"]: parameter["value"] for parameter in workflow["steps"][0]["parameters"]}
        assert values == {
            "A": "Run {$inputs.hourhand_execution_id}",
            "B": "$inputs.hourhand_timestamp",
            "C": "$inputs.a",
            "D": "{{",
        }
        assert list(workflow["inputs"]["properties"]) == ["hourhand_execution_id", "hourhand_timestamp", "a"]
        assert "The defaults of variables." in workflow["steps"][0]["x-hourhand-notes"]

    def test_properties_of_steps_become_outputs(self) -> None:
        names = ("status", "body", "json.a.0", "headers.ETag")
        url = f"{URL}?" + "&".join(f"q{index}={{{{steps.a.{name}}}}}" for index, name in enumerate(names))
        steps = written(workflow_job(http_step("a"), http_step("b", request={"url": url})))["workflows"][0]["steps"]
        assert steps[0]["outputs"] == {
            "status": "$statusCode", "body": "$response.body", "header.ETag": "$response.header.ETag",
        }  # fmt: skip
        assert [parameter["value"] for parameter in steps[1]["parameters"]] == [
            "$steps.a.outputs.status", "$steps.a.outputs.body", "$steps.a.outputs.body#/a/0",
            "$steps.a.outputs.header.ETag",
        ]  # fmt: skip

    def test_equal_paths_are_one_operation_and_hosts_are_sources(self) -> None:
        urls = (
            f"{URL}/a/{{{{input.x}}}}?q=1",
            f"{URL}/a/{{{{input.y}}}}?r=2",
            "http://api.test/b",
            "https://b.test",
        )
        document = written(workflow_job(*(http_step(f"s{at}", request={"url": url}) for at, url in enumerate(urls))))
        operations = [step["operationId"] for step in document["workflows"][0]["steps"]]
        assert operations == [
            "$sourceDescriptions.api-test.job-0-s0", "$sourceDescriptions.api-test.job-0-s0",
            "$sourceDescriptions.api-test-2.job-0-s2", "$sourceDescriptions.b-test.job-0-s3",
        ]  # fmt: skip
        first = document["sourceDescriptions"][0]["x-hourhand-document"]
        (operation,) = first["paths"]["/v1/a/{p1}"].values()
        assert [parameter["name"] for parameter in operation["parameters"]] == ["p1", "q", "r"]

    def test_a_query_that_repeats_names_is_noted(self) -> None:
        step = step_of(request={"url": f"{URL}?a=1&a=2"})
        assert "parameters" not in step
        assert "The query: its names repeat or have variables." in step["x-hourhand-notes"]

    @pytest.mark.parametrize(
        ("assertion", "criterion"),
        [
            ({"type": "status_equals", "value": 201}, {"condition": "$statusCode == 201"}),
            ({"type": "header_equals", "name": "A", "value": "it's"}, {"condition": "$response.header.A == 'it''s'"}),
            ({"type": "header_contains", "name": "A", "value": "a.b"},
             {"context": "$response.header.A", "condition": r"a\.b", "type": "regex"}),
            ({"type": "body_contains", "value": "ok?"},
             {"context": "$response.body", "condition": r"ok\?", "type": "regex"}),
            ({"type": "body_matches", "value": "^ok"},
             {"context": "$response.body", "condition": "^ok", "type": "regex"}),
            ({"type": "json_path_equals", "path": "$.a[0]", "value": None},
             {"condition": "$response.body#/a/0 == null"}),
            ({"type": "json_path_exists", "path": "$..a", "value": True},
             {"context": "$response.body", "condition": "$..a", "type": "jsonpath"}),
            ({"type": "json_path_exists", "path": "$.a", "value": False}, None),
            ({"type": "json_path_equals", "path": "$..a", "value": 1}, None),
            ({"type": "json_path_equals", "path": "$['a b']", "value": 1}, None),
            ({"type": "json_path_equals", "path": "$.a", "value": [1]}, None),
            ({"type": "body_not_contains", "value": "no"}, None),
            ({"type": "response_time_under_ms", "value": 5}, None),
        ],
    )  # fmt: skip
    def test_assertions(self, assertion: dict[str, Any], criterion: dict[str, Any] | None) -> None:
        step = step_of(success={"assertions": [assertion]}, retry={"max_attempts": 1})
        assert step["successCriteria"][1:] == ([criterion] if criterion else [])
        assert step.get("x-hourhand-notes") == (None if criterion else [f"The assertion {assertion['type']}."])

    def test_failures(self) -> None:
        steps = written(
            workflow_job(
                http_step("a", on_failure="continue", retry={"on_statuses": [500, 502], "except_statuses": [502]}),
                http_step("b", on_failure="continue", retry={"max_attempts": 1}),
                http_step("c", on_failure="continue", retry={"max_attempts": 2, "on_statuses": []}),
            )
        )["workflows"][0]["steps"]
        assert steps[0]["onFailure"] == [
            {"name": "retry", "type": "retry", "retryAfter": 0.25, "retryLimit": 2,
             "criteria": [{"condition": "$statusCode == 500"}]},
            {"name": "continue", "type": "goto", "stepId": "b"},
        ]  # fmt: skip
        assert steps[2]["onFailure"] == [{"name": "continue", "type": "end"}]
        assert "The retries, which no status starts." in steps[2]["x-hourhand-notes"]


names = st.text("abcz", min_size=1, max_size=4)
literals = st.text("ab 0/&=?%é'\"+", max_size=6)


@st.composite
def http_steps(draw: st.DrawFn, number: int, earlier: list[str]) -> dict[str, Any]:
    """A call whose parts Arazzo can express."""
    variables = st.sampled_from(["{{input.a}}", "{{input.a.b}}", *earlier])

    def text(*, encoded: bool = False) -> str:
        pieces = literals.map(lambda literal: quote(literal, safe="") if encoded else literal)
        return "".join(draw(st.lists(variables | pieces, max_size=3)))

    path = "".join(f"/{draw(names | variables)}" for _ in range(draw(st.integers(0, 3)))) or "/"
    query = {name: text(encoded=True) for name in draw(st.sets(names, max_size=3))}
    url = f"https://{draw(st.sampled_from(['a', 'b']))}.test{path}"
    url += "?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else ""
    headers = {f"X-{name}": text().strip() for name in draw(st.sets(names, max_size=2))}
    method = draw(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]))
    request: dict[str, Any] = {"url": url, "method": method, "headers": headers}
    if (kind := draw(st.sampled_from(["", "json", "text"]))) == "json":
        value = draw(st.dictionaries(names, st.integers() | literals | st.none() | st.lists(st.booleans(), max_size=2)))
        request["body"] = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        headers["Content-Type"] = "application/json"
    elif kind == "text":
        request["body"] = text()
        headers["Content-Type"] = "text/plain"
    statuses = draw(st.sampled_from([["2xx"], ["200", "204"], ["1xx", "2xx", "404"]]))
    extract = {name: f"$.{name}[0]" for name in draw(st.sets(names, max_size=2))}
    attempts = draw(st.integers(1, 5))
    retry: dict[str, Any] = {"max_attempts": attempts}
    if attempts > 1:
        retry |= {"backoff": "fixed", "jitter": False, "delay_ms": draw(st.sampled_from([0, 250, 60_000])),
                  "on_statuses": [500, 503]}  # fmt: skip
    return http_step(f"s{number}", request=request, success={"statuses": statuses}, extract=extract, retry=retry)


@st.composite
def workflows(draw: st.DrawFn) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    earlier: list[str] = []
    for number in range(draw(st.integers(1, 4))):
        steps.append(draw(http_steps(number, earlier)))
        earlier += [f"{{{{steps.s{number}.{name}}}}}" for name in (*steps[-1]["extract"], "status", "json.a.0")]
    output = draw(st.none() | st.dictionaries(names, st.sampled_from(earlier), min_size=1, max_size=2))
    return workflow_job(*steps, output=output)


@st.composite
def mixed_workflows(draw: st.DrawFn) -> dict[str, Any]:
    """A workflow with steps of other types among its calls, and fields that Arazzo lacks."""
    job = draw(workflows())
    steps = job["workflow"]["steps"]
    for other in draw(
        st.lists(st.sampled_from([delay_step("x"), webhook_step("y"), approval_step("z")]), unique_by=str)
    ):
        steps.insert(draw(st.integers(0, len(steps))), other)
    if draw(st.booleans()):
        job["workflow"]["finally"] = [http_step("last")]
    return {**job, "schedule": "@daily", "environments": {"production": {"enabled": True}}}


class TestAnyWorkflow:
    @settings(max_examples=40)
    @given(st.lists(mixed_workflows(), min_size=1, max_size=2))
    def test_is_equal_when_read_again(self, jobs: list[dict[str, Any]]) -> None:
        numbered = [{"slug": f"job-{number}", **job} for number, job in enumerate(jobs)]
        complete = [
            stored_definition({name: job[name] for name in job if name not in ("slug", "environments")})
            for job in numbered
        ]
        document = arazzo_document(zip(complete, numbered, strict=True))
        assert document is not None
        refuse_invalid(document)
        assert read_again(document) == numbered

    @settings(max_examples=40)
    @given(workflows())
    def test_of_calls_is_complete_without_hourhands_extensions(self, job: dict[str, Any]) -> None:
        (again,) = read_again(without_extensions(written(job)))
        assert again["workflow"].get("output") == job["workflow"]["output"]
        for before, after in zip(job["workflow"]["steps"], again["workflow"]["steps"], strict=True):
            assert after["request"] == {name: part for name, part in before["request"].items() if part != {}}
            assert after["success"] == before["success"]
            assert after.get("extract", {}).items() >= before["extract"].items()
            assert after["retry"].items() >= before["retry"].items()
