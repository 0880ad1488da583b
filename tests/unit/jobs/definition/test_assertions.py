"""Assertions about an answer, and that no answer makes evaluating them fail or slow."""

import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.definition.assertions import (
    ASSERTION_TYPES,
    InvalidAssertionError,
    compile_assertion,
    compile_assertions,
    failed_assertion,
)
from jobs.definition.json_paths import CompiledPath, InvalidJsonPathError

BODY = b'{"status": "ok", "n": 1, "flag": true, "items": [{"id": 1, "state": "up"}, {"id": 2, "state": "up"}]}'
KEPT_BYTES = 64 * 1024


def judge(*written, body=BODY, status=200, truncated=False, total_ms=50, headers=None) -> str | None:
    return failed_assertion(
        compile_assertions(written),
        status=status,
        headers=headers or {"content-type": "application/json; charset=utf-8", "x-build": "7"},
        body=body,
        body_truncated=truncated,
        total_ms=total_ms,
    )


def one(kind, value=..., **fields):
    return {"type": kind, **({} if value is ... else {"value": value}), **fields}


HOLDS = [
    one("status_equals", 200),
    one("header_equals", "7", name="X-Build"),
    one("header_contains", "json", name="Content-Type"),
    one("body_contains", '"ok"'),
    one("body_not_contains", "error"),
    one("body_matches", r'"status":\\s*"(ok|up)"'.replace("\\\\", "\\")),
    one("json_path_equals", "ok", path="$.status"),
    one("json_path_equals", 1.0, path="$.n"),
    one("json_path_equals", "up", path="$.items[*].state"),
    one("json_path_equals", {"state": "up", "id": 2}, path="$.items[-1]"),
    one("json_path_equals", "up", path="$.items[?@.id == 2].state"),
    one("json_path_equals", 2, path="$..id[?length(@) > 0]") | {"path": "$.items[1].id"},
    one("json_path_exists", path="$..state"),
    one("json_path_exists", path="$.items[?length(@.state) == 2 && @.id > 1]"),
    one("json_path_exists", False, path="$.missing"),
    one("json_path_exists", path="$['status','n']"),
    one("response_time_under_ms", 51),
]
FAILS = [
    (one("status_equals", 201), "the status is 200, not 201"),
    (one("header_equals", "8", name="X-Build"), 'the header X-Build is not "8"'),
    (one("header_equals", "8", name="X-None"), "there is no header X-None"),
    (one("header_contains", "xml", name="content-type"), 'the header content-type does not contain "xml"'),
    (one("body_contains", "fine"), 'the body does not contain "fine"'),
    (one("body_not_contains", "ok"), 'the body contains "ok"'),
    (one("body_matches", "^fine$"), 'the body does not match "^fine$"'),
    (one("json_path_equals", "up", path="$.status"), 'the value at $.status is not "up"'),
    (one("json_path_equals", 1, path="$.flag"), "the value at $.flag is not 1"),
    (one("json_path_equals", True, path="$.n"), "the value at $.n is not true"),
    (one("json_path_equals", None, path="$.missing"), "there is nothing at $.missing"),
    (one("json_path_equals", 1, path="$.items[*].id"), "the value at $.items[*].id is not 1"),
    (one("json_path_exists", path="$.missing"), "there is nothing at $.missing"),
    (one("json_path_exists", False, path="$.n"), "there is something at $.n"),
    (one("response_time_under_ms", 50), "the response took 50 ms, not under 50 ms"),
]


@pytest.mark.parametrize("written", HOLDS, ids=lambda written: written["type"])
def test_an_assertion_that_holds_does_not_fail(written):
    assert judge(written) is None


@pytest.mark.parametrize(("written", "sentence"), FAILS, ids=lambda item: item if isinstance(item, str) else None)
def test_a_failed_assertion_has_a_sentence(written, sentence):
    assert judge(written) == sentence


def test_every_type_has_a_passing_and_a_failing_case():
    assert {written["type"] for written in HOLDS} == {written["type"] for written, _ in FAILS} == set(ASSERTION_TYPES)


@pytest.mark.parametrize("name", ASSERTION_TYPES)
def test_a_type_is_named_after_its_subject(name):
    prefixes = {"name": "header_", "path": "json_path_"}
    found = [subject for subject, prefix in prefixes.items() if name.startswith(prefix)]
    assert found == [subject for subject in [ASSERTION_TYPES[name].shape.subject] if subject]


def test_the_first_failed_assertion_is_reported_with_its_number():
    assert judge(HOLDS[0], FAILS[0][0], FAILS[4][0]) == "assertion 2: the status is 200, not 201"


def test_a_truncated_body_proves_only_what_its_kept_part_shows():
    cut = {"body": b'{"status": "ok", "ite', "truncated": True}
    assert judge(one("body_contains", "ok"), **cut) is None
    assert judge(one("body_matches", "o."), **cut) is None
    assert judge(one("body_contains", "items"), **cut) == 'the recorded part of the body does not contain "items"'
    assert "truncated" in judge(one("body_not_contains", "error"), **cut)
    assert judge(one("json_path_exists", path="$.status"), **cut) == "the body was truncated"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe\x00", b"NaN", b"[" * KEPT_BYTES, b'{"a":' * 9000, b"1" * KEPT_BYTES]
)
def test_a_body_that_is_not_json_is_reported(body):
    assert judge(one("json_path_exists", path="$..a"), body=body) == "the body is not JSON"


def test_unprintable_text_is_left_out_of_the_sentence():
    sentence = judge(one("json_path_equals", "\ud800", path="$.status"))
    assert sentence.encode()


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", r"\pL{900}", "((a?b?){30}){30}", "a{1001}", "\ud800"])
def test_an_invalid_or_too_large_pattern_is_refused(pattern):
    with pytest.raises(InvalidAssertionError) as refused:
        compile_assertion(one("body_matches", pattern))
    assert refused.value.field == "value"


@pytest.mark.parametrize(
    "path",
    [
        "", "status", "$.", "$[", "$ ", "$..a..b", "$[0,0]", "$[*,*]", "$['a','a']", "$[0:1,1]", "$.a | $.b", "^.a",
        "$[?@.a == @.b]", "$[?@..a]", "$[?@[*]]", "$[?@[?@.a]]", "$[?match(@.a, '.*')]", "$[?search(@.a, 'a')]",
        "$[?@.a =~ /a/]", "$[?count(@.*) > 1]", "$[?value(@.a) == 1]", "$.~", "$[?@ == 1e400]", "$" + "[0]" * 100,
        "$[?" + "(" * 200 + "@.a" + ")" * 90 + "]", "$[?_.a]", "$[?# == 1]", "$[9999999999999999999]",
    ],
)  # fmt: skip
def test_an_invalid_or_expensive_path_is_refused(path):
    with pytest.raises(InvalidJsonPathError):
        CompiledPath.of(path)


def test_an_unknown_type_or_a_saved_assertion_that_no_longer_compiles_fails():
    assert "can't be checked" in judge(one("body_matches", "("))
    assert "can't be checked" in judge(one("status_equals", "200"))
    assert "can't be checked" in judge(one("moon_phase", 1))
    assert "can't be checked" in judge(one("header_equals", "x"))


def test_a_value_nested_too_deep_is_refused():
    value = []
    for _ in range(50):
        value = [value]
    with pytest.raises(InvalidAssertionError):
        compile_assertion(one("json_path_equals", value, path="$"))


SLOW_BODIES = {
    "flat": b"[" + b",".join([b"1"] * 32_000) + b"]",
    "lists": b"[" + b",".join([b"[]"] * 21_000) + b"]",
    "objects": b"[" + b",".join([b'{"a":1}'] * 8_000) + b"]",
    "deep": b"[" * 90 + b",".join([b"1"] * 32_000) + b"]" * 90,
    "chain": b"[" * 900 + b"]" * 900,
    "long names": b'{"' + b"k" * 30_000 + b'":[' + b",".join([b"[]"] * 10_000) + b"]}",
    "as": b"a" * KEPT_BYTES,
    "random": bytes(random.Random(1).choice(b"ab") for _ in range(KEPT_BYTES)),
    "noise": random.Random(2).randbytes(KEPT_BYTES),
}
SLOW = [
    one("json_path_exists", path="$..*"),
    one("json_path_exists", path="$..zz"),
    one("json_path_equals", [], path="$..*" + "[*]" * 90),
    one("json_path_equals", [1], path="$[::2]"),
    one("json_path_exists", path="$..[?" + " || ".join(["@.zz == 1"] * 20) + "]"),
    one("json_path_exists", path="$..[?length(@) > 99999]"),
    one("body_contains", "a" * 500 + "b" + "a" * 499),
    one("body_matches", "(x+x+)+y"),
    one("body_matches", "[^x]*?(a[ab]{450})c"),
    one("body_matches", "(?:a.*){50}z"),
    one("body_matches", "(a?b?){100}z"),
]


@pytest.mark.parametrize("name", SLOW_BODIES)
@pytest.mark.parametrize("written", SLOW, ids=lambda written: f"{written['type']}-{str(written)[-30:]}")
def test_no_body_makes_evaluation_slow(written, name):
    def seconds() -> float:
        started = time.thread_time()
        failed_assertion(assertions, status=200, headers={}, body=SLOW_BODIES[name], body_truncated=False, total_ms=1)
        return time.thread_time() - started

    assertions = compile_assertions([written])
    assert any(seconds() < 0.5 for _ in range(3))  # other load slows a single measurement, not all


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)
_paths = st.sampled_from(["$", "$..*", "$..a", "$[0]", "$[*][1:]", "$[?@.a]", "$[?@ > 1]", "$.a[?length(@.b) < 3]"])


@settings(deadline=500)
@given(st.binary() | _json_values.map(lambda value: json.dumps(value).encode()), _paths, _json_values, st.booleans())
def test_no_body_raises(body, path, value, truncated):
    written = [*(item for item, _ in FAILS), one("json_path_equals", value, path=path)]
    for item in written:
        sentence = judge(item, body=body, truncated=truncated)
        assert sentence is None or sentence.encode()


@settings(deadline=500)
@given(st.text(max_size=40) | st.text(alphabet="$.[]?@*:,'\"()<>=!&|0123456789ea _~^#", max_size=40).map("${}".format))
def test_no_path_raises_when_saved_or_evaluated(path):
    try:
        CompiledPath.of(path)
    except InvalidJsonPathError:
        return
    judge(one("json_path_exists", path=path))


@settings(deadline=500)
@given(st.text(max_size=40) | st.text(alphabet="ab()[]{}*+?|\\.^$0123456789,pLdw", max_size=40))
def test_no_pattern_raises_when_saved_or_evaluated(pattern):
    try:
        compile_assertion(one("body_matches", pattern))
    except InvalidAssertionError:
        return
    judge(one("body_matches", pattern), body=b"ab" * 50)
