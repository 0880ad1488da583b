"""Readable stored definitions: the reader knows exactly the fields that the API stores."""

import datetime
import json

from hypothesis import given
from hypothesis import strategies as st

from jobs.definition.overrides import merged
from jobs.definition.reading import PARTS, UNREADABLE, presentable, problem_of
from jobs.validation.representation import CONFIG_FIELDS, SECTION_FIELDS
from tests.support.jobs import job_config

NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_the_reader_knows_every_field_of_a_definition_and_no_other() -> None:
    """A field added to the API must be added to PARTS, or every version that has it would be unreadable."""
    assert set(PARTS) == set(CONFIG_FIELDS)
    for section, fields in SECTION_FIELDS.items():
        assert set(PARTS[section]) == set(fields), section


def test_a_stored_definition_is_readable_and_shown_unchanged() -> None:
    config = job_config(schedule="0 9 * * *", tags=["a"])
    assert problem_of(config, anchor=NOW) is None
    assert presentable(config) is config


@given(st.sampled_from(sorted(PARTS)), JSON)
def test_any_value_of_a_field_is_read_or_reported(field: str, value: object) -> None:
    config = {**job_config(schedule="0 9 * * *"), field: value}
    told = problem_of(config, anchor=NOW)
    shown = presentable(config)
    assert told is None or (told.endswith(".") and len(told) <= 300)
    assert (UNREADABLE not in shown) or told
    assert problem_of(shown, anchor=NOW) is None if told is None else problem_of(shown, anchor=NOW)


@given(JSON)
def test_any_json_can_be_shown_and_compared(config: object) -> None:
    shown = presentable(config)
    assert set(PARTS) <= set(shown)
    assert problem_of(config, anchor=NOW)
    assert problem_of(shown, anchor=NOW)
    json.dumps(shown)


@given(st.sampled_from(["request", "retry", "schedule", "timezone", "overlap"]), JSON)
def test_any_override_is_read_or_reported(field: str, value: object) -> None:
    config = {**job_config(schedule="0 9 * * *"), "overrides": {"here": {field: value}}}
    problem_of(config, environment_id="here", anchor=NOW)
    assert problem_of(config, environment_id="elsewhere", anchor=NOW) is None
    shown = presentable(config)
    merged(shown, shown["overrides"].get("here", {}))


def test_an_error_repeats_nothing_that_may_be_secret() -> None:
    config = job_config(request={"headers": ["Bearer hunter2"], "url": {"token": "hunter2"}, "body": ["hunter2"]})
    assert "hunter2" not in (problem_of(config, anchor=NOW) or "")
