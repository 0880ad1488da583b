"""Conditions on an execution's values: what holds, what does not, and what is refused when it is saved."""

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.definition.conditions import UNARY, InvalidConditionError, Operator, compile_condition, failing
from jobs.definition.facts import Facts

INPUT = {
    "action": "opened", "n": 5, "price": 1.10, "ok": True, "none": None, "text": "7", "list": ["a", 2, True],
    "map": {"key": 1}, "empty": "", "1": "one",
}  # fmt: skip


def facts(value: Any = INPUT) -> Facts:
    now = datetime.datetime(2026, 11, 30, 20, 0, tzinfo=datetime.UTC)
    return Facts("0197b6a0-0000-7000-8000-000000000000", now, None, "nightly", "production", value, {})


def holds(value: str, op: str, to: Any = None, *, of: Any = INPUT) -> bool:
    written = {"value": value, "op": op, **({} if Operator(op) in UNARY else {"to": to})}
    return compile_condition(written).holds(facts(of))


@pytest.mark.parametrize(
    ("value", "op", "to"),
    [
        ("{{input.action}}", "equals", "opened"),
        ("{{input.action}}", "not_equals", "closed"),
        ("{{input.n}}", "equals", 5),
        ("{{input.n}}", "equals", "5"),
        ("{{input.text}}", "equals", 7),
        ("{{input.ok}}", "equals", True),
        ("{{input.ok}}", "equals", "true"),
        ("{{input.none}}", "equals", None),
        ("{{input.map}}", "equals", {"key": 1.0}),
        ("{{input.action}}-{{input.n}}", "equals", "opened-5"),
        ('{{input.missing|default("x")}}', "equals", "x"),
        ("{{input.missing}}", "not_equals", "x"),
        ("{{input.action}}", "contains", "pen"),
        ("{{input.list}}", "contains", 2),
        ("{{input.list}}", "not_contains", 1),
        ("{{input.map}}", "contains", "key"),
        ("{{input.missing}}", "not_contains", "x"),
        ("{{input.action}}", "matches", "^open(ed)?$"),
        ("{{input.none}}", "exists", None),
        ("{{input.missing}}", "not_exists", None),
        ("{{input.n}}", "gt", 4.5),
        ("{{input.n}}", "gte", "5"),
        ("{{input.price}}", "lt", 1.2),
        ("{{input.text}}", "lte", 7),
        ("{{input.n}}", "lt", "{{input.text}}"),
        ("{{input.action}}", "in", ["closed", "opened"]),
        ("{{environment}}", "in", ["production"]),
    ],
)
def test_what_holds(value: str, op: str, to: Any) -> None:
    assert holds(value, op, to)


@pytest.mark.parametrize(
    ("value", "op", "to"),
    [
        ("{{input.action}}", "equals", "Opened"),
        ("{{input.missing}}", "equals", None),
        ("{{input.ok}}", "equals", 1),
        ("{{input.n}}", "equals", "5.5"),
        ("{{input.n}}", "contains", 5),
        ("{{input.action}}", "matches", "^pen"),
        ("{{input.n}}", "matches", "5"),
        ("{{input.missing}}", "exists", None),
        ("{{input.empty}}", "not_exists", None),
        ("{{input.action}}", "gt", 1),
        ("{{input.ok}}", "gte", 0),
        ("{{input.missing}}", "lt", 1),
        ("{{input.text}}", "in", ["8"]),
    ],
)
def test_what_does_not_hold(value: str, op: str, to: Any) -> None:
    assert not holds(value, op, to)


@pytest.mark.parametrize(
    ("written", "field", "code"),
    [
        ({"value": "{{input.a}}", "op": "is", "to": 1}, "op", "invalid_choice"),
        ({"value": "opened", "op": "equals", "to": "opened"}, "value", "no_variable"),
        ({"value": "{{inptu.a}}", "op": "equals", "to": 1}, "value", "unknown_variable"),
        ({"value": "{{input.a}}", "op": "exists", "to": 1}, "to", "conflicting"),
        ({"value": "{{input.a}}", "op": "matches", "to": "("}, "to", "invalid"),
        ({"value": "{{input.a}}", "op": "matches", "to": 5}, "to", "invalid"),
        ({"value": "{{input.a}}", "op": "gt", "to": "many"}, "to", "invalid"),
        ({"value": "{{input.a}}", "op": "in", "to": "a"}, "to", "invalid"),
        ({"value": "{{input.a}}", "op": "in", "to": []}, "to", "invalid"),
        ({"value": "{{input.a}}", "op": "equals", "to": "{{nothing}}"}, "to", "unknown_variable"),
    ],
)
def test_what_is_refused(written: dict[str, Any], field: str, code: str) -> None:
    with pytest.raises(InvalidConditionError) as refused:
        compile_condition(written)
    assert (refused.value.field, refused.value.code) == (field, code)


def test_the_first_that_fails_is_named_without_its_value() -> None:
    written = [
        {"value": "{{input.action}}", "op": "exists"},
        {"value": "{{input.action}}", "op": "not_equals", "to": "opened"},
    ]
    conditions = [compile_condition(one) for one in written]
    assert failing(conditions, written, facts()) == '{{input.action}} not equals "opened" does not hold'
    assert failing(conditions, written, facts({"action": "closed"})) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(JSON, st.sampled_from(Operator), JSON)
def test_no_value_makes_a_condition_raise_and_each_operator_has_its_opposite(value: Any, op: Operator, to: Any) -> None:
    def outcome(operator: Operator) -> bool:
        return compile_condition({"value": "{{input}}", "op": operator, "to": to}).holds(facts(value))

    try:
        result = outcome(op)
    except InvalidConditionError:
        return
    if op in (Operator.EQUALS, Operator.CONTAINS):
        assert outcome(Operator(f"not_{op}")) is not result
    if op in (Operator.GT, Operator.LT) and result:
        assert outcome(Operator(f"{op}e"))
