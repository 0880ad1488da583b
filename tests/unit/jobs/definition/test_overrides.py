"""Environment overrides: merged over the job's definition, which stays unchanged."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jobs.definition.overrides import (
    OVERRIDES,
    SECTIONS,
    PerEnvironment,
    effective,
    merged,
    shared,
    with_overrides,
    with_request,
)

CONFIG: dict[str, Any] = {
    "schedule": "0 2 * * *",
    "timezone": "UTC",
    "request": {"url": "https://a.test/", "headers": {"A": "1", "B": "2"}, "timeout_seconds": 30},
    "success": {"statuses": ["2xx"]},
    "retry": {"max_attempts": 3},
}
SPARSE: dict[str, Any] = {"schedule": None, "request": {"url": "https://b.test/", "headers": {"C": "3"}}}
sparse = st.fixed_dictionaries(
    {},
    optional={
        "schedule": st.sampled_from([None, "@daily"]),
        "request": st.fixed_dictionaries({}, optional={"url": st.text(), "headers": st.just({})}),
        "retry": st.fixed_dictionaries({}, optional={"max_attempts": st.integers()}),
    },
)


def test_an_environment_without_overrides_shares_the_same_definition_object() -> None:
    config = with_overrides(CONFIG, {"staging": SPARSE})
    assert effective(CONFIG, "staging") is CONFIG
    assert effective(config, "production") is config


def test_sections_are_merged_and_headers_replaced() -> None:
    found = effective(with_overrides(CONFIG, {"staging": SPARSE}), "staging")
    assert found["schedule"] is None
    assert found["request"] == {"url": "https://b.test/", "headers": {"C": "3"}, "timeout_seconds": 30}
    assert found["retry"] == CONFIG["retry"]


def test_no_overrides_leave_no_trace() -> None:
    assert with_overrides(with_overrides(CONFIG, {"staging": SPARSE}), {"staging": {}}) == CONFIG
    assert OVERRIDES not in shared(with_overrides(CONFIG, {"staging": SPARSE}))


def test_environments_without_overrides_share_one_compiled_definition() -> None:
    made = PerEnvironment.derive(with_overrides(CONFIG, {"staging": SPARSE}), lambda config: [config["request"]["url"]])
    assert made.of("production") is made.of("anywhere")
    assert made.of("staging") == ["https://b.test/"]
    assert made.all == (["https://a.test/"], ["https://b.test/"])


@given(sparse)
def test_given_fields_are_overridden_and_others_are_inherited(given_here: dict[str, Any]) -> None:
    found = merged(CONFIG, given_here)
    for field, value in CONFIG.items():
        if field in SECTIONS:
            assert found[field] == {**value, **given_here.get(field, {})}
        else:
            assert found[field] == given_here.get(field, value)


@given(sparse, sparse)
def test_a_request_can_be_set_in_every_environment(one: dict[str, Any], other: dict[str, Any]) -> None:
    config = with_overrides(CONFIG, {"staging": one, "test": other})
    request = {"url": "https://edited.test/"}
    edited = with_request(config, request)
    for place in ("staging", "test", "production"):
        assert shared(effective(edited, place)) == {**shared(effective(config, place)), "request": request}
