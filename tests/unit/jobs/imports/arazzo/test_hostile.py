"""Documents that aim at the importer: each is refused or read within its size, and none makes it raise."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.imports import FORMATS, Item, Options, ReadError
from jobs.imports.arazzo.conditions import codes, parse_condition, statuses_of, written_statuses
from tests.support.arazzo import OPENAPI, document, read

CREATE = {"stepId": "a", "operationId": "createOrder"}


def parsed(text: str) -> Any:
    assert FORMATS["arazzo"].parse is not None
    return FORMATS["arazzo"].parse(text)


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


class TestText:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "anchors and aliases are not supported"),
            ("arazzo: 1.0.1\n<<: {}\n", "merge keys"),
            ("a: !!python/object:os.system x\n", "tags are not supported"),
            ("[" * 100_000, "levels deep"),
            ('{"a":' * 100_000, "nested too deeply|Not valid JSON"),
            ('{"a": NaN}', "NaN is no JSON"),
            ("{", "Not valid JSON"),
            ("a: 1\n---\nb: 2\n", "one document"),
        ],
    )
    def test_is_refused(self, text: str, words: str) -> None:
        with pytest.raises(ReadError, match=words):
            parsed(text)


class TestDocument:
    @pytest.mark.parametrize(
        "paths",
        [
            {"/a": {"$ref": "#/paths/~1a"}},
            {"/a": {"$ref": "#/paths/~1b"}, "/b": {"$ref": "#/paths/~1a"}},
            {"/a": {"$ref": "https://elsewhere.test/a.yaml"}},
            {"/a": {"$ref": "#/nowhere"}},
            {"/a": {"$ref": 3}},
            {"/a": None},
            [],
        ],
    )
    def test_references_that_lead_nowhere_have_no_operation(self, paths: Any) -> None:
        (item,) = read(document(CREATE), sources={"shop": {**OPENAPI, "paths": paths}})
        assert "the operation createOrder is in none of the sources" in (item.problem or "")

    def test_a_circle_in_a_body_or_parameter_is_left(self) -> None:
        circle = {"$ref": "#/components/requestBodies/Order"}
        post = {"operationId": "createOrder", "requestBody": circle, "parameters": [circle]}
        source = {**OPENAPI, "paths": {"/a": {"post": post}}, "components": {"requestBodies": {"Order": circle}}}
        (item,) = read(document({**CREATE, "requestBody": {"payload": {"a": 1}}}), sources={"shop": source})
        assert (item.definition or {})["workflow"]["steps"][0]["request"]["body"] == '{"a":1}'

    def test_a_payload_that_is_nested_too_deep_is_refused(self) -> None:
        (item,) = read(document({**CREATE, "requestBody": {"payload": nested(500)}}))
        assert "nested at most" in (item.problem or "")

    def test_too_many_steps_criteria_and_workflows_are_refused(self) -> None:
        (item,) = read(document(*[{**CREATE, "stepId": f"s{index}"} for index in range(51)]))
        assert "steps should be a list of 1 to 50" in (item.problem or "")
        (item,) = read(document({**CREATE, "successCriteria": [{"condition": "$statusCode == 200"}] * 101}))
        assert "at most 100 criteria" in (item.problem or "")
        many = document(CREATE)
        many["workflows"] *= 1001
        with pytest.raises(ReadError, match="at most 1,000"):
            read(many)

    @pytest.mark.parametrize(
        "url", ["file:///etc/passwd", "https://{x}.test", "https://a b.test", "https://{{input.h}}.test"]
    )
    def test_servers_that_are_no_host_are_refused(self, url: str) -> None:
        (item,) = read(document(CREATE), sources={"shop": {**OPENAPI, "servers": [{"url": url}]}})
        assert item.problem

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers(-5, 999) | st.text("$.#/{}~'a0 ", max_size=8)
        | st.sampled_from(["$inputs.a", "createOrder", "retry", "path", "$statusCode == 200", "$response.body#/a"]),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["arazzo", "stepId", "operationId", "operationPath", "parameters", "name", "in", "value", "requestBody",
                 "payload", "replacements", "target", "successCriteria", "condition", "context", "type", "onFailure",
                 "outputs", "reference", "workflowId", "x-hourhand-step", "x-hourhand-request", "criteria", "$ref"]
            ), inner, max_size=5,
        ),
        max_leaves=12,
    )  # fmt: skip

    @given(json_values, json_values, json_values)
    def test_any_json_is_read_or_refused(self, step: Any, part: Any, more: Any) -> None:
        for value in (
            step,
            document(*([step] if isinstance(step, dict) else [CREATE]), outputs=part, inputs=more, parameters=part),
            document({**CREATE, "requestBody": part, "outputs": more, "onFailure": step, "successCriteria": part}),
            document(
                {**CREATE, "parameters": part, "onSuccess": more}, **{"x-hourhand-job": step, "failureActions": part}
            ),
            {**document(CREATE), "sourceDescriptions": part, "components": more, "workflows": step},
        ):
            for sources in (None, {"shop": part}, part):
                try:
                    items = read(value, sources=sources)
                except ReadError:
                    continue
                assert all(isinstance(item, Item) and (item.definition or item.problem) for item in items)
                json.dumps([item.definition for item in items])

    @given(st.text())
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        try:
            FORMATS["arazzo"].read(parsed(text), Options())
        except ReadError:
            return


class TestConditions:
    @given(st.text("$statuCode=!<>&|()' 0123.", max_size=30) | st.text(max_size=20))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        try:
            statuses_of(parse_condition(text))
        except ReadError:
            return

    atoms = st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), st.integers(90, 610))
    trees = st.recursive(
        atoms,
        lambda inner: st.tuples(st.sampled_from(["&&", "||"]), inner, inner) | st.tuples(st.just("!"), inner),
        max_leaves=6,
    )

    @given(trees)
    def test_sets_of_statuses_are_those_for_which_python_says_the_same(self, tree: Any) -> None:
        statuses = statuses_of(parse_condition(spelled(tree)))
        assert statuses is not None
        assert codes(statuses) == [code for code in range(100, 600) if holds(tree, code)]
        listed = [int(text) for text in written_statuses(statuses) if text.isdigit()]
        classes = [text for text in written_statuses(statuses) if not text.isdigit()]
        assert len(listed) + 100 * len(classes) == len(codes(statuses))


def spelled(tree: Any) -> str:
    if tree[0] == "!":
        return f"!({spelled(tree[1])})"
    return (
        f"({spelled(tree[1])} {tree[0]} {spelled(tree[2])})" if len(tree) == 3 else f"$statusCode {tree[0]} {tree[1]}"
    )


def holds(tree: Any, code: int) -> bool:
    match tree:
        case ("!", inner):
            return not holds(inner, code)
        case ("&&", left, right):
            return holds(left, code) and holds(right, code)
        case ("||", left, right):
            return holds(left, code) or holds(right, code)
    operator, number = tree
    return {
        "==": code == number, "!=": code != number, "<": code < number, "<=": code <= number, ">": code > number,
        ">=": code >= number,
    }[operator]  # fmt: skip
