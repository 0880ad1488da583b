"""Differences of two values, by path."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.differences import MAX_CHARACTERS, TRUNCATED, difference, shortened

values = st.none() | st.booleans() | st.integers() | st.text("xyz", max_size=5) | st.lists(st.integers(), max_size=3)
names = st.text("abc", min_size=1, max_size=2)
states = st.dictionaries(names, values | st.dictionaries(names, values, max_size=3), max_size=4)


def at(state: Any, path: str) -> Any:
    for name in path.split("."):
        state = state.get(name) if isinstance(state, dict) else None
    return state


def without_nulls(value: Any) -> Any:
    return {name: member for name, member in value.items() if member is not None} if isinstance(value, dict) else value


@given(states, states)
def test_every_listed_path_differs(before: dict[str, Any], after: dict[str, Any]) -> None:
    for path, (old, new) in difference(before, after).items():
        assert (old, new) == (at(before, path), at(after, path))
        assert old != new or type(old) is not type(new)


@given(states)
def test_unchanged_values_are_not_listed(state: dict[str, Any]) -> None:
    assert difference(state, dict(reversed(state.items()))) == {}


@given(states, states)
def test_unlisted_values_are_equal(before: dict[str, Any], after: dict[str, Any]) -> None:
    """A missing field and null are the same."""
    listed = {path.partition(".")[0] for path in difference(before, after)}
    for name in {*before, *after} - listed:
        assert without_nulls(before.get(name)) == without_nulls(after.get(name))


def test_objects_differ_by_path_and_lists_as_a_whole() -> None:
    before = {"name": "a", "request": {"url": "x", "headers": {"A": "1"}}, "tags": ["a", "b"]}
    after = {"name": "a", "request": {"url": "y", "headers": {}}, "tags": ["a"], "new": 1}
    assert difference(before, after) == {
        "request.url": ["x", "y"],
        "request.headers.A": ["1", None],
        "tags": [["a", "b"], ["a"]],
        "new": [None, 1],
    }


def test_one_and_true_are_not_the_same() -> None:
    assert difference({"a": 1}, {"a": True}) == {"a": [1, True]}


def test_long_values_are_truncated() -> None:
    assert shortened("x" * MAX_CHARACTERS) == "x" * MAX_CHARACTERS
    assert shortened("x" * (MAX_CHARACTERS + 1)) == "x" * MAX_CHARACTERS + TRUNCATED
    assert shortened(["x" * MAX_CHARACTERS]).endswith(TRUNCATED)
    assert shortened({"a": [1]}) == {"a": [1]}
