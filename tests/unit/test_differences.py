"""What differs between two definitions, told field by field."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jobs.differences import Difference, differences

values = st.recursive(
    st.none() | st.integers() | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)
definitions = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


def test_each_field_is_named_by_its_path() -> None:
    old = {"name": "a", "request": {"url": "x", "headers": {"A": "1"}}, "tags": ["a"], "gone": {"x": 1}}
    new = {"name": "a", "request": {"url": "y", "headers": {"B": "2"}}, "tags": ["a", "b"]}
    assert differences(old, new) == [
        Difference("request.url", "x", "y"),
        Difference("request.headers.B", None, "2"),
        Difference("request.headers.A", "1", None),
        Difference("tags", ["a"], ["a", "b"]),
        Difference("gone.x", 1, None),
    ]


@given(definitions)
def test_nothing_differs_from_itself(definition: dict[str, Any]) -> None:
    assert differences(definition, definition) == []


@given(definitions, definitions)
def test_the_other_way_round_the_same_fields_differ(one: dict[str, Any], other: dict[str, Any]) -> None:
    there = {(found.field, str(found.old), str(found.new)) for found in differences(one, other)}
    back = {(found.field, str(found.new), str(found.old)) for found in differences(other, one)}
    assert there == back
