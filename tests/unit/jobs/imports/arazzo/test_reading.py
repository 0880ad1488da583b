"""Arazzo documents become workflows: each field has its counterpart, or its absence is named."""

import json
from typing import Any

import pytest

from jobs.imports import FORMATS, Item, Options, ReadError
from tests.support.arazzo import BASE, OPENAPI, document, read
from tests.support.workflow_jobs import stored_definition

CREATE = {"stepId": "create", "operationId": "createOrder", "outputs": {"id": "$response.body#/id"}}
GET = {
    "stepId": "get", "operationId": "getOrder",
    "parameters": [
        {"name": "id", "in": "path", "value": "$steps.create.outputs.id"},
        {"name": "view", "in": "query", "value": "full"},
    ],
}  # fmt: skip


def item_of(*steps: dict[str, Any], **workflow: Any) -> Item:
    (item,) = read(document(*steps, **workflow))
    assert item.definition is not None, item.problem
    stored_definition({name: value for name, value in item.definition.items() if name != "slug"})  # it is valid
    return item


def step_of(step: dict[str, Any], **workflow: Any) -> dict[str, Any]:
    item = item_of(CREATE, {"stepId": "it", **step}, **workflow)
    assert item.definition is not None
    return dict(item.definition["workflow"]["steps"][1])


def notes_of(*steps: dict[str, Any], **workflow: Any) -> str:
    return "\n".join(item_of(*steps, **workflow).notes)


def problem_of(*steps: dict[str, Any], **workflow: Any) -> str:
    (item,) = read(document(*steps, **workflow))
    assert item.problem is not None, item
    return item.problem


class TestWorkflow:
    def test_steps_in_order_become_a_job(self) -> None:
        item = item_of(
            CREATE, GET, summary="Order and look", description="Says hello.",
            inputs={"properties": {"sku": {"type": "string"}, "n": {}}, "required": ["sku"]},
            outputs={"order": "$steps.create.outputs.id", "sku": "$inputs.sku"},
        )  # fmt: skip
        assert item.enabled
        assert item.definition == {
            "slug": "order",
            "name": "Order and look",
            "description": "Says hello.\n\nInput: sku (string, required), n.",
            "kind": "workflow",
            "workflow": {
                "steps": [
                    {
                        "id": "create", "type": "http", "request": {"url": f"{BASE}/orders", "method": "POST"},
                        "extract": {"id": "$.id"}, "retry": {"max_attempts": 1},
                    },
                    {
                        "id": "get", "type": "http", "retry": {"max_attempts": 1},
                        "request": {"url": f"{BASE}/orders/{{{{steps.create.id}}}}?view=full", "method": "GET"},
                    },
                ],
                "output": {"order": "{{steps.create.id}}", "sku": "{{input.sku}}"},
            },
        }  # fmt: skip

    def test_ids_get_hourhands_letters(self) -> None:
        steps = [{**CREATE, "stepId": "createOrder"}, {**CREATE, "stepId": "create-order"}, {**CREATE, "stepId": "2nd"}]
        item = item_of(*steps, outputs={"x": "$steps.create-order.outputs.id"})
        workflow = (item.definition or {})["workflow"]
        assert [step["id"] for step in workflow["steps"]] == ["create_order", "create_order_2", "step_2nd"]
        assert workflow["output"] == {"x": "{{steps.create_order_2.id}}"}
        assert "The step create-order is called create_order_2." in item.notes

    def test_equal_workflow_ids_get_numbered_slugs(self) -> None:
        two = document(CREATE)
        two["workflows"] *= 2
        assert [(item.definition or {})["slug"] for item in read(two)] == ["order", "order-2"]

    def test_yaml_with_numeric_keys_is_read(self) -> None:
        text = """\
arazzo: 1.0.1
info: {title: x, version: 1.0.0}
sourceDescriptions:
- name: shop
  url: ./shop.yaml
  x-hourhand-document:
    openapi: 3.1.0
    servers: [{url: 'https://shop.test'}]
    paths:
      /a: {get: {operationId: a, responses: {200: {description: ok}}}}
workflows:
- workflowId: w
  steps: [{stepId: a, operationId: a}]
"""
        value = (FORMATS["arazzo"].parse or json.loads)(text)
        (item,) = FORMATS["arazzo"].read(value, Options())
        assert (item.definition or {})["workflow"]["steps"][0]["request"]["url"] == "https://shop.test/a"

    def test_sources_may_be_text(self) -> None:
        (item,) = read(document(CREATE), sources={"shop": json.dumps(OPENAPI)})
        assert item.definition is not None

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"arazzo": "1.1.0"}, "version 1.0"),
            ({"workflows": {}}, "list of at most 1,000 workflows"),
            ({"sourceDescriptions": []}, "sources has shop, which the document does not describe"),
            ({"sourceDescriptions": [{"url": "x"}]}, "should have a name"),
        ],
    )
    def test_other_documents_are_refused(self, change: dict[str, Any], words: str) -> None:
        with pytest.raises(ReadError, match=words):
            read({**document(CREATE), **change})

    @pytest.mark.parametrize("source", [{"swagger": "2.0"}, "openapi: 2", [], "- a"])
    def test_sources_of_other_versions_are_refused(self, source: Any) -> None:
        with pytest.raises(ReadError, match="shop"):
            read(document(CREATE), sources={"shop": source})


class TestOperation:
    @pytest.mark.parametrize(
        "step",
        [
            {"operationId": "$sourceDescriptions.shop.createOrder"},
            {"operationPath": "{$sourceDescriptions.shop.url}#/paths/~1orders/post"},
            {"operationPath": "$sourceDescriptions.shop#/paths/~1orders/post"},
        ],
    )
    def test_is_named_in_each_way_of_the_standard(self, step: dict[str, Any]) -> None:
        assert step_of(step)["request"] == {"url": f"{BASE}/orders", "method": "POST"}

    @pytest.mark.parametrize(
        ("step", "words"),
        [
            ({"operationId": "nope"}, "Workflow order: Step it: the operation nope is in none of the sources (shop)"),
            ({"operationId": "$sourceDescriptions.shop.nope"}, "the operation nope is not in the source shop"),
            ({"operationId": "$sourceDescriptions.bank.pay"}, "the source bank was not sent"),
            ({"operationPath": "{$sourceDescriptions.shop.url}#/paths/~1x/get"}, "the operation get /x is not in"),
            ({"operationPath": "{$sourceDescriptions.shop.url}#/paths"}, "should name a path and a method"),
            ({"operationPath": "./shop.yaml#/paths/~1x/get"}, "operationPath should be as in"),
            ({"operationId": "traceOrder"}, "TRACE can't be called"),
            ({"workflowId": "other"}, "runs the workflow other, which can't be imported"),
            ({}, "should have operationId or operationPath"),
            ({"operationId": "getOrder"}, "the parameter id, for which the step has no value"),
        ],
    )
    def test_that_can_not_be_called_is_named(self, step: dict[str, Any], words: str) -> None:
        assert words in problem_of(CREATE, {"stepId": "it", **step})

    def test_in_two_sources_needs_the_name_of_one(self) -> None:
        two = document(CREATE)
        two["sourceDescriptions"].append({"name": "other", "url": "x"})
        (item,) = read(two, sources={"shop": OPENAPI, "other": OPENAPI})
        assert "is in several sources" in (item.problem or "")

    def test_servers_have_defaults_and_a_base(self) -> None:
        region = {"url": "https://{r}.test/", "variables": {"r": {"default": "eu"}}}
        for servers, base_url, url in (
            ([region, {"url": "/"}], None, "https://eu.test/orders"),
            ([{"url": "/v2/"}], "https://a.test/x/", "https://a.test/x/v2/orders"),
            (None, "https://a.test", "https://a.test/orders"),
        ):
            (item,) = read(document(CREATE), sources={"shop": {**OPENAPI, "servers": servers}}, base_url=base_url)
            assert (item.definition or {})["workflow"]["steps"][0]["request"]["url"] == url
        (item,) = read(document(CREATE), sources={"shop": {**OPENAPI, "servers": [{"url": "/v2"}]}})
        assert "send base_url" in (item.problem or "")

    def test_what_it_requires_and_the_step_lacks_is_noted(self) -> None:
        secured = {**OPENAPI, "security": [{"key": []}]}
        (item,) = read(document(CREATE, {**GET, "parameters": GET["parameters"][:1]}), sources={"shop": secured})
        text = "\n".join(item.notes)
        assert "requires the parameter view in query" in text
        assert "requires key: add its header yourself" in text


class TestRequest:
    def test_parameters_of_the_workflow_and_of_components_are_merged(self) -> None:
        step = step_of(
            {**GET, "stepId": "it", "parameters": [
                GET["parameters"][0],
                {"reference": "$components.parameters.view", "value": ["a b", "c&d"]},
                {"name": "X-A", "in": "header", "value": "v{$inputs.a}{{b"},
                {"name": "n", "in": "header", "value": 1.5},
                {"name": "c", "in": "cookie", "value": "$inputs.a"},
            ]},
            parameters=[
                {"name": "view", "in": "query", "value": "x"}, {"name": "q", "in": "query", "value": "$inputs.a.b"},
            ],
            components={"parameters": {"view": {"name": "view", "in": "query", "value": "y"}}},
        )  # fmt: skip
        assert step["request"] == {
            "url": f"{BASE}/orders/{{{{steps.create.id}}}}?view=a%20b&view=c%26d&q={{{{input.a.b}}}}",
            "method": "GET",
            "headers": {"X-A": "v{{input.a}}{{'{{'}}b", "n": "1.5", "Cookie": "c={{input.a}}"},
        }

    @pytest.mark.parametrize(
        ("body", "content_type", "text"),
        [
            ({"payload": {"a": "$inputs.a", "b": "x {$inputs.b}", "c": [1, None, "$5"]}}, "application/json",
             '{"a":{{input.a}},"b":"x {{input.b}}","c":[1,null,"$5"]}'),
            ({"payload": "$steps.create.outputs.id"}, "application/json", "{{steps.create.id}}"),
            ({"payload": '{"a": "{$inputs.a#/b/0}"}'}, "application/json", '{"a": "{{input.a.b.0}}"}'),
            ({"payload": {"{{x": "{{secrets.A}} {{"}}, "application/json",
             '{"{{\'{{\'}}x":"{{secrets.A}} {{\'{{\'}}"}'),
            ({"contentType": "application/x-www-form-urlencoded", "payload": {"a b": "$inputs.a", "c": "&"}},
             "application/x-www-form-urlencoded", "a%20b={{input.a}}&c=%26"),
            ({"contentType": "text/xml", "payload": "<a>{$inputs.a}</a>"}, "text/xml", "<a>{{input.a}}</a>"),
            ({"payload": {"a": {"b": [1, 2]}}, "replacements": [{"target": "/a/b/1", "value": "$inputs.x"}]},
             "application/json", '{"a":{"b":[1,{{input.x}}]}}'),
        ],
    )  # fmt: skip
    def test_payloads(self, body: dict[str, Any], content_type: str, text: str) -> None:
        (item,) = read(document(CREATE, {"stepId": "it", "operationId": "createOrder", "requestBody": body}))
        request = (item.definition or {"x": item.problem})["workflow"]["steps"][1]["request"]
        assert (request["headers"], request["body"]) == ({"Content-Type": content_type}, text)

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ("$url", "$url can't be imported: only $inputs.NAME and $steps.ID.outputs.NAME"),
            ("$steps.create.outputs.nope", "the step create has no such output"),
            ("$inputs.a b", "names of inputs should be"),
            ("$inputs.a#/b c", "the names in a pointer should be"),
            ("$inputs.a#b", "should be a JSON Pointer"),
            ({"a": 1}, "a list or an object can't be written here"),
        ],
    )
    def test_values_without_a_counterpart_are_refused(self, value: Any, words: str) -> None:
        parameters = [{"name": "x", "in": "header", "value": value}]
        problem = problem_of(CREATE, {"stepId": "it", "operationId": "createOrder", "parameters": parameters})
        assert problem.startswith("Workflow order: Step it: the parameter x: ")
        assert words in problem

    def test_plain_credentials_are_noted(self) -> None:
        parameters = [{"name": "Authorization", "in": "header", "value": "Bearer abc"}]
        assert "Authorization is stored in the job as plain text" in notes_of({**CREATE, "parameters": parameters})


class TestOutputs:
    def test_parts_of_the_body_are_extracted_and_others_are_properties(self) -> None:
        outputs = {
            "a-b": "$response.body#/items/0/my id", "status": "$response.body#/status", "code": "$statusCode",
            "all": "$response.body", "tag": "$response.header.ETag",
        }  # fmt: skip
        names = [*outputs, "all#/x/0"]
        values = {f"v{index}": f"$steps.create.outputs.{name}" for index, name in enumerate(names)}
        item = item_of({**CREATE, "outputs": outputs}, outputs=values)
        workflow = (item.definition or {})["workflow"]
        assert workflow["steps"][0]["extract"] == {"a_b": "$.items[0]['my id']", "status_2": "$.status"}
        assert list(workflow["output"].values()) == [
            "{{steps.create.a_b}}", "{{steps.create.status_2}}", "{{steps.create.status}}", "{{steps.create.json}}",
            "{{steps.create.headers.ETag}}", "{{steps.create.json.x.0}}",
        ]  # fmt: skip
        assert "Step create: the output a-b is called a_b." in item.notes

    def test_a_body_that_is_no_json_is_text(self) -> None:
        step = {"stepId": "t", "operationId": "getText", "outputs": {"all": "$response.body"}}
        item = item_of(step, outputs={"x": "$steps.t.outputs.all", "y": "$steps.t.outputs.all#/a"})
        assert (item.definition or {})["workflow"]["output"] == {"x": "{{steps.t.body}}"}
        assert "The output y is left out" in "\n".join(item.notes)

    def test_of_the_request_are_left_out_with_a_note(self) -> None:
        assert "the output x is left out: $request.query.a" in notes_of(
            {**CREATE, "outputs": {"x": "$request.query.a"}}
        )


class TestCriteria:
    @pytest.mark.parametrize(
        ("condition", "success"),
        [
            ("$statusCode == 200", {"statuses": ["200"]}),
            ("200 == $statusCode || $statusCode == '204'", {"statuses": ["200", "204"]}),
            ("$statusCode >= 200 && $statusCode < 300", {"statuses": ["2xx"]}),
            ("!($statusCode >= 300)", {"statuses": ["1xx", "2xx"]}),
            ("$statusCode != 200 && ($statusCode < 203 || 500 <= $statusCode)",
             {"statuses": ["1xx", "201", "202", "5xx"]}),
            ("$response.body#/a/0 == true",
             {"assertions": [{"type": "json_path_equals", "path": "$.a[0]", "value": True}]}),
            ("$response.body#/a == 'it''s'",
             {"assertions": [{"type": "json_path_equals", "path": "$.a", "value": "it's"}]}),
            ("$response.header.X-A == 5", {"assertions": [{"type": "header_equals", "name": "X-A", "value": "5"}]}),
            ("$statusCode == 200 && $response.body#/a == -1.5",
             {"statuses": ["200"], "assertions": [{"type": "json_path_equals", "path": "$.a", "value": -1.5}]}),
        ],
    )  # fmt: skip
    def test_simple_conditions(self, condition: str, success: dict[str, Any]) -> None:
        assert (
            step_of({"operationId": "createOrder", "successCriteria": [{"condition": condition}]})["success"] == success
        )

    @pytest.mark.parametrize(
        ("context", "kind", "condition", "success"),
        [
            ("$response.body", "jsonpath", "$.items[?@.ok == true]",
             {"assertions": [{"type": "json_path_exists", "path": "$.items[?@.ok == true]", "value": True}]}),
            ("$response.body#/items", "jsonpath", "$[0]",
             {"assertions": [{"type": "json_path_exists", "path": "$.items[0]", "value": True}]}),
            ("$response.body", "regex", "^ok", {"assertions": [{"type": "body_matches", "value": "^ok"}]}),
            ("$statusCode", "regex", "^2[0-9]{2}$", {"statuses": ["2xx"]}),
            ("$statusCode", "regex", "^(200|201)$", {"statuses": ["200", "201"]}),
        ],
    )  # fmt: skip
    def test_typed_conditions(self, context: str, kind: str, condition: str, success: dict[str, Any]) -> None:
        criterion = {"context": context, "type": kind, "condition": condition}
        assert step_of({"operationId": "createOrder", "successCriteria": [criterion]})["success"] == success

    @pytest.mark.parametrize(
        "criterion",
        [
            {"condition": "$response.body#/a != null"},
            {"condition": "$response.body#/a == 1 || $statusCode == 200"},
            {"condition": "$inputs.a == 1"},
            {"condition": "$statusCode =="},
            {"condition": "((($statusCode == 200)"},
            {"condition": "("*30 + "$statusCode == 200" + ")"*30},
            {"condition": "$response.header.X", "context": "$response.body", "type": "regex("},
            {"condition": "//a", "context": "$response.body", "type": "xpath"},
            {"condition": "$[?count(@.pets) > 0]", "context": "$response.body", "type": "jsonpath"},
            {"condition": "(", "context": "$response.body", "type": "regex"},
            {"condition": "x", "context": "$response.header.A", "type": "regex"},
            {"condition": "$.a", "context": "$response.body",
             "type": {"type": "xpath", "version": "xpath-30"}},
        ],
    )  # fmt: skip
    def test_that_can_not_be_checked_are_named_and_the_job_is_disabled(self, criterion: dict[str, Any]) -> None:
        item = item_of({**CREATE, "successCriteria": [{"condition": "$statusCode == 201"}, criterion]})
        assert not item.enabled
        assert any(note.startswith("Left out: Step create: the criterion") for note in item.notes), item.notes
        assert (item.definition or {})["workflow"]["steps"][0]["success"] == {"statuses": ["201"]}

    def test_that_no_status_satisfies_are_refused(self) -> None:
        criteria = [{"condition": "$statusCode == 200"}, {"condition": "$statusCode == 201"}]
        assert "no status satisfies" in problem_of({**CREATE, "successCriteria": criteria})

    def test_that_hourhand_checks_differently_are_noted(self) -> None:
        text = notes_of({**CREATE, "successCriteria": [{"condition": "$response.body#/a == 'done'"}]})
        assert "the standard ignores case" in text
        assert "it must also be 2xx" in text


RETRY = {"name": "again", "type": "retry", "retryAfter": 2.5, "retryLimit": 4}


class TestActions:
    def test_a_retry_without_criteria_is_for_any_failure(self) -> None:
        retry = step_of({"operationId": "createOrder", "onFailure": [RETRY]})["retry"]
        assert {503, 404, 302} <= set(retry.pop("on_statuses"))
        assert retry == {
            "max_attempts": 5, "backoff": "fixed", "delay_ms": 2500, "jitter": False, "on_timeout": True,
            "on_connection_error": True, "on_assertion": True,
        }  # fmt: skip

    def test_a_retry_for_statuses_is_for_these(self) -> None:
        criteria = [{"condition": "$statusCode == 503 || $statusCode == 429"}]
        retry = step_of({"operationId": "createOrder", "onFailure": [{**RETRY, "criteria": criteria}]})["retry"]
        assert (retry["on_statuses"], retry["on_timeout"], retry["on_assertion"]) == ([429, 503], False, False)

    def test_a_retry_beyond_the_limits_is_cut_with_a_note(self) -> None:
        item = item_of({**CREATE, "onFailure": [{**RETRY, "retryLimit": 500, "retryAfter": 10**6}]})
        retry = (item.definition or {})["workflow"]["steps"][0]["retry"]
        assert (retry["max_attempts"], retry["delay_ms"]) == (20, 7 * 24 * 3600 * 1000)
        assert "retries are limited" in "\n".join(item.notes)

    def test_the_end_after_a_failure_stops_with_a_note(self) -> None:
        item = item_of({**CREATE, "onFailure": [RETRY, {"name": "quit", "type": "end"}]})
        step = (item.definition or {})["workflow"]["steps"][0]
        assert (step["on_failure"], step["retry"]["max_attempts"], item.enabled) == ("stop", 5, True)
        assert "Step create: its failure ends the workflow as a success." in item.notes

    def test_going_on_after_a_failure(self) -> None:
        following = {"name": "next", "type": "goto", "stepId": "get"}
        item = item_of({**CREATE, "onFailure": [following]}, GET)
        assert (item.definition or {})["workflow"]["steps"][0]["on_failure"] == "continue"

    @pytest.mark.parametrize(
        "actions",
        [
            {"onSuccess": [{"name": "skip", "type": "goto", "stepId": "last"}]},
            {"onSuccess": [{"name": "done", "type": "end"}]},
            {"onSuccess": [{"name": "other", "type": "goto", "workflowId": "other"}]},
            {"onFailure": [{"name": "back", "type": "goto", "stepId": "create"}]},
            {"onFailure": [{"name": "log", "type": "retry", "stepId": "create"}]},
            {"onFailure": [{"name": "x", "type": "end", "criteria": [{"condition": "$statusCode == 404"}]}]},
            {"onFailure": [{**RETRY, "criteria": [{"condition": "$response.body#/a == 1"}]}]},
            {"onFailure": [RETRY, RETRY | {"name": "more"}]},
            {"onFailure": [{"name": "x", "type": "end"}, RETRY]},
            {"onFailure": [RETRY | {"retryLimit": -1}]},
        ],
    )
    def test_that_change_the_course_are_named_and_the_job_is_disabled(self, actions: dict[str, Any]) -> None:
        last = {"stepId": "last", "operationId": "createOrder"}
        item = item_of({**CREATE, **actions}, GET, last)
        assert not item.enabled
        assert any("Left out: Step create: the" in note and "action" in note for note in item.notes), item.notes
        assert "disabled" in item.notes[-1]

    @pytest.mark.parametrize(
        "action",
        [
            {"name": "next", "type": "goto", "stepId": "get"},
            {"name": "next", "type": "goto", "stepId": "get", "criteria": [{}]},
        ],
    )
    def test_that_lead_to_the_next_step_change_nothing(self, action: dict[str, Any]) -> None:
        item = item_of({**CREATE, "onSuccess": [action]}, {**GET, "onSuccess": [{"name": "end", "type": "end"}]})
        assert item.enabled

    def test_of_the_workflow_apply_to_each_step_that_has_none_of_the_name(self) -> None:
        item = item_of(
            {**CREATE, "onFailure": [{**RETRY, "retryLimit": 1}]}, GET,
            failureActions=[{"reference": "$components.failureActions.again"}],
            components={"failureActions": {"again": RETRY}},
        )  # fmt: skip
        first, second = (item.definition or {})["workflow"]["steps"]
        assert (first["retry"]["max_attempts"], second["retry"]["max_attempts"]) == (2, 5)

    def test_depending_on_another_workflow_is_named(self) -> None:
        item = item_of(CREATE, dependsOn=["login"])
        assert not item.enabled
        assert "dependsOn" in "\n".join(item.notes)
