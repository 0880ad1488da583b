"""Documents that commands take: JSON, and YAML in JSON's types."""

from typing import Any

import click
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hourhand.commands.files import guessed
from hourhand.documents import parse, parse_object
from hourhand.output import yaml_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: yes", {"a": "yes"}),
        ("a: 010", {"a": "010"}),
        ("a: 1:30", {"a": "1:30"}),
        ("a: 2026-03-01", {"a": "2026-03-01"}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: .5", {"a": ".5"}),
        ("a: ~", {"a": None}),
        ("a: True", {"a": True}),
        ("a: 12", {"a": 12}),
        ("a: -1.5e3", {"a": -1500.0}),
        ("a: true\nb: null\nc:", {"a": True, "b": None, "c": None}),
        ('{"a": 1.0}', {"a": 1.0}),
        ("a: 'true'", {"a": "true"}),
    ],
)
def test_plain_words_are_read_as_json_would(text: str, value: Any):
    assert parse(text) == value


@given(st.dictionaries(st.text(min_size=1, max_size=5), JSON, max_size=4))
def test_what_is_shown_as_yaml_is_read_back(value: dict[str, Any]):
    try:
        text = yaml_text(value)
    except (yaml.YAMLError, UnicodeEncodeError):
        return
    assert parse(text) == value


@pytest.mark.parametrize("text", ["a: [", "a: !!python/object:os.system x", "a: &x 1\n  b: 2"])
def test_what_is_neither_is_refused(text: str):
    with pytest.raises(ValueError, match="neither JSON nor YAML"):
        parse(text)


@pytest.mark.parametrize("text", ["[1]", "text", "", "a: ["])
def test_only_an_object_has_fields(text: str):
    with pytest.raises(click.UsageError, match=r"job\.yaml"):
        parse_object(text, "job.yaml")


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("jobs.json", '{"jobs": []}', "json"),
        ("-", "[]", "json"),
        ("jobs.yaml", "[", "yaml"),
        ("jobs.YML", "", "yaml"),
        ("-", "# mine\njobs:\n- slug: a\n", "yaml"),
        ("-", "0 2 * * * curl https://a.test\n", "crontab"),
        ("crontab", "# jobs: none\n", "crontab"),
    ],
)
def test_the_format_of_a_file_is_guessed(name: str, text: str, kind: str):
    assert guessed(name, text) == kind
