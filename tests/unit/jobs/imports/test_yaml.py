"""YAML means what JSON would, or is refused with the line: no parser's own number, date or boolean."""

import json
import math
import time
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from core import exact_json
from jobs.imports import ReadError, read_foreign_yaml, read_yaml, yaml_text

plain = st.text("0123456789.:_+-eExobyYnNaAilfF~<=", max_size=9)
words = plain | st.sampled_from(
    ["yes", "no", "on", "off", "Yes", "NO", "On", "OFF", "y", "n", "true", "False", "null", "0x1", "0o7", "0b1", ".inf"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | plain
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc:- yno1", max_size=5), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(values)
@example("1e3")
@example("010")
@example("1:30")
@example("yes")
@example("<<")
@example("=")
@example("~")
@example({"on": "off", "1e3": ".5", "": ""})
def test_a_dumped_document_loads_back_equal(value: Any) -> None:
    read = read_yaml(yaml_text({"jobs": [value]}))
    assert read == {"jobs": [value]}
    assert json.dumps(read) == json.dumps({"jobs": [value]})  # 1 is not true, and not 1.0


@given(words)
@example("=")
@example("<<")
def test_a_plain_scalar_is_a_json_value_a_string_or_refused(text: str) -> None:
    try:
        read = read_yaml(f"a: {text}")["a"]
    except ReadError as refused:
        assert str(refused).startswith("Line 1: ")  # noqa: PT017
        return
    if isinstance(read, str):
        assert read == text.strip()
        # By YAML 1.1. PyYAML gives `=` a type of its own, which it can't load.
        assert read == "=" or isinstance(yaml.safe_load(f"a: {text}")["a"], str)
    elif read is not None:
        assert read == json.loads(text.strip().lower())
        assert math.isfinite(read)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-03-15T02:00:00Z", "2026-03-15T02:00:00Z"),
        ("2026-03-15", "2026-03-15"),
        ("'010'", "010"),
        ('"yes"', "yes"),
        ("0 2 * * *", "0 2 * * *"),
        ("1e3", 1000.0),
        ("-0.5", -0.5),
        ("7", 7),
        ("True", True),
        ("~", None),
        ("", None),
        ("y", "y"),
        ("0.1.2", "0.1.2"),
        ("12:75", "12:75"),
        ("|\n  010", "010"),
    ],
)
def test_what_all_parsers_agree_on_is_accepted(text: str, value: Any) -> None:
    assert read_yaml(f"a: {text}") == {"a": value}
    assert isinstance(read_yaml(f"a: {text}")["a"], type(value))


@pytest.mark.parametrize(
    "text",
    [
        "010", "0777", "-010", "0o17", "0x1F", "-0xff", "0b101", "1_000", "+5", ".5", "5.", "1_0.5", "1:30",
        "1:30:30.5", "190:20:30", "yes", "No", "ON", "off", ".inf", "-.INF", ".nan", "00", "08", "1.e3",
    ],
)  # fmt: skip
@pytest.mark.parametrize("file", ["jobs:\n- every_seconds: {}", "- [1, {}]", "{{a: {}}}", "{}: a"])
def test_what_parsers_disagree_on_is_refused_with_its_line(text: str, file: str) -> None:
    with pytest.raises(ReadError) as refused:
        read_yaml(file.format(text))
    assert str(refused.value).startswith(f"Line {2 if file.startswith('jobs') else 1}: YAML parsers disagree on")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &x [1]\nb: *x", "anchors and aliases"),
        ("a: &x 1", "anchors and aliases"),
        ("a: 1\na: 2", "Line 2: the key 'a' is given twice"),
        ('a: 1\n"a": 2', "Line 2: the key 'a' is given twice"),
        ("[" * 51 + "]" * 51, "nested at most"),
        ("a:\n" + "".join(f"{' ' * depth}- \n" for depth in range(1, 60)), "nested at most"),
        ("!!python/object/apply:os.system [x]", "Line 1: tags are not supported"),
        ("a: !!str 010", "remove !!str"),
        ("a: !!int '3'", "remove !!int"),
        ("a: !!binary aGk=", "remove !!binary"),
        ("a: !!set {b}", "remove !!set"),
        ("a: !secret b", "remove !secret"),
        ("a: ! b", "remove !"),
        ("<<: {a: 1}", "merge keys"),
        ("1: a", "keys should be text"),
        ("true: a", "keys should be text"),
        ("? [a]\n: b", "keys should be text"),
        ("a: [", "Line"),
        ("a: 1\n---\nb: 2", "Line 3: should have one document"),
        ("a: 1e999", "out of range"),
        ("a: 123456789012345.123456", "more digits than a number can store"),
        ("a: 1e-400", "more digits than a number can store"),
        ("a: " + "9" * 5000, "too long"),
        ("a: -" + "9" * 5000, "too long"),
        ("a: " + "9" * 5000 + ".5", "out of range"),
    ],
)
def test_unsafe_and_malformed_yaml_is_refused(text: str, told: str) -> None:
    with pytest.raises(ReadError) as refused:
        read_yaml(text)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    "text", ["1" + ":30" * 200_000, "1_" * 300_000, "0" * 600_000, "9" * 600_000, "9" * 600_000 + ".5", "." * 600_000]
)
def test_no_number_takes_long(text: str) -> None:
    began = time.process_time()
    for file in (f"a: {text}", f"{text}: a"):
        try:
            read_yaml(file)
        except ReadError as refused:
            assert len(str(refused)) < 300  # noqa: PT017
    assert time.process_time() - began < 2


def test_files_of_other_programs_keep_plain_scalars_as_text() -> None:
    text = "on:\n  schedule: 010\nshell: yes\nports: [8080:22]\n---\nb: 2\n---\n"
    assert read_foreign_yaml(text) == [
        {"on": {"schedule": "010"}, "shell": "yes", "ports": ["8080:22"]},
        {"b": 2},
        None,
    ]
    with pytest.raises(ReadError, match="anchors"):
        read_foreign_yaml("a: &a 1\n---\nb: 2")


@pytest.mark.parametrize("written", ["1.10", "1E5", "1.5e+3", "-0", "98765432109876543210", "7"])
def test_numbers_keep_their_digits(written: str) -> None:
    assert exact_json.compact(read_yaml(f"body: {{n: {written}}}")) == f'{{"body":{{"n":{written}}}}}'
