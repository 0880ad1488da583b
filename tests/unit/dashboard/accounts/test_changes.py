"""An audit log entry for people: removed and added values, line by line."""

import pytest

from dashboard.accounts.changes import changes_of, summarize_changes


def marks(before: object, after: object) -> list[tuple[str, str]]:
    [change] = changes_of({"field": [before, after]})
    return [(line.mark, line.text) for line in change.lines]


def test_a_changed_value_is_a_removal_and_an_addition() -> None:
    assert marks("@hourly", "@daily") == [("-", "@hourly"), ("+", "@daily")]
    assert marks(1, True) == [("-", "1"), ("+", "true")]


def test_a_new_value_is_an_addition_and_a_removed_one_a_removal() -> None:
    assert marks(None, "@daily") == [("+", "@daily")]
    assert marks(["a"], None) == [("-", '["a"]')]


def test_an_empty_text_is_visible() -> None:
    assert marks("", "now with words") == [("-", '""'), ("+", "now with words")]


def test_only_differing_lines_of_a_long_text_are_marked() -> None:
    assert marks("one\ntwo\nthree", "one\n2\nthree") == [(" ", "one"), ("-", "two"), ("+", "2"), (" ", "three")]


def test_only_differing_lines_of_a_large_object_are_marked() -> None:
    before = {"first": "a" * 30, "second": "b" * 30}
    told = marks(before, {**before, "second": "c" * 30})
    assert [mark for mark, _ in told] == [" ", " ", "-", "+", " "]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schedule": ["@hourly", "@daily"]}, ["schedule: @hourly → @daily"]),
        ({"note": [None, "two\nlines"]}, ["note: two lines"]),
        ({"body": ["x" * 99, ""]}, ["body: " + "x" * 31 + '… → ""']),
        ({"a": [1, 2], "b": [1, 2], "c": [1, 2]}, ["a: 1 → 2", "b: 1 → 2", "and 1 more"]),
        ({"note": ["words", None]}, ["note: words → none"]),
        ({}, []),
    ],
)
def test_a_list_shows_the_first_changes_summarize_changes(changes: dict[str, list[object]], told: list[str]) -> None:
    assert summarize_changes(changes, most=2) == told
