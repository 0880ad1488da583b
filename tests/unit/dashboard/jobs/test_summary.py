"""A definition in words, and two of them compared: faithful, short, and with known fields only."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.forms.labels import label_of
from dashboard.jobs.differences import changes_between, override_changes
from dashboard.jobs.phrases import MAX_CHARACTERS, assertion_words
from dashboard.jobs.summary import summarize
from jobs.definition.assertions import ASSERTION_TYPES
from jobs.definition.callback import default_callback
from jobs.definition.overrides import OVERRIDABLE
from jobs.validation.representation import represent_definition
from tests.support.jobs import job_config


def lines_of(label: str, **changes: Any) -> str:
    return "\n".join(line for fact in summarize(job_config(**changes)) if fact.label == label for line in fact.lines)


@pytest.mark.parametrize(
    ("label", "changes", "expected"),
    [
        ("Request", {"request": {"method": "GET"}}, "GET http://receiver.test/ok"),
        ("Headers", {"request": {"headers": {"X-Token": "secret"}}}, "X-Token"),
        ("Timeout", {"request": {"timeout_seconds": 90}}, "1 min 30 s for the whole call"),
        ("Success", {"success": {"statuses": ["200", "3xx"]}}, "Status 200, 3xx"),
        ("Retries", {"retry": {"max_attempts": 1}}, "None: one attempt"),
        (
            "Retries",
            {"retry": {"jitter": False, "honor_retry_after": False, "on_statuses": [503, 504],
                       "except_statuses": [504], "on_worker_lost": False}},
            "at most 3 h\nAfter a timeout, a failed connection or a status of 503",
        ),
        ("Retries", {"retry": {"backoff": "list", "delays_ms": [0, 5000], "jitter": False}}, "Delays: 0 ms, 5 s; a"),
        ("Overlap", {"overlap": "queue"}, "Queue the new execution while one is running"),
        ("Overlap", {}, ""),
        ("Missed occurrences", {}, ""),
        ("Missed occurrences", {"schedule": "0 2 * * *"}, "Fire once, for the latest, if it is at most 1 h late"),
        ("Jitter", {"jitter_seconds": 90}, "Each firing is delayed at random by up to 1 min 30 s"),
        ("Concurrency", {"concurrency": 2}, "At most 2 executions at once, over all environments"),
        ("TLS", {"request": {"tls_verify": False}}, "Certificate not verified"),
        ("Retention", {"retention": {"keep_days": 1}}, "The last 100 executions, and all of the last day"),
    ],
)  # fmt: skip
def test_a_definition_is_summarized_in_words(label: str, changes: dict[str, Any], expected: str) -> None:
    lines = lines_of(label, **changes)
    assert expected in lines if expected else not lines


def test_the_value_of_a_header_is_not_shown() -> None:
    assert "secret" not in str(summarize(job_config(request={"headers": {"X-Token": "secret"}})))


@pytest.mark.parametrize("kind", sorted(ASSERTION_TYPES))
def test_every_assertion_is_described_and_long_values_are_truncated(kind: str) -> None:
    words = assertion_words({"type": kind, "name": "X-Name", "path": "$.path", "value": "v" * 5000})
    assert kind not in words
    assert len(words) < 2 * MAX_CHARACTERS


def test_an_assertion_that_a_path_is_absent_is_described() -> None:
    words = assertion_words({"type": "json_path_exists", "path": "$.error", "value": False})
    assert words == "$.error is not in the JSON"


# -- differences -----------------------------------------------------------------------------------------------------


def spelled(environments: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    definition = represent_definition(job_config(**changes))
    own = {slug: {"overrides": sparse} for slug, sparse in (environments or {}).items()}
    return {**definition, **({"environments": own} if own else {})}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"name": "Old"}, {"name": "New"}, ("Name", "", "Old", "New")),
        ({}, {"schedule": "0 2 * * *"}, ("Schedule", "", "none", "0 2 * * *")),
        ({}, {"schedule": {"every_seconds": 5}}, ("Schedule", "", "none", '{"every_seconds": 5}')),
        ({}, {"overlap": "skip"}, ("Overlap policy", "", "Run both", "Skip the new one")),
        ({}, {"retry": {"jitter": False}}, ("Add random jitter to delays", "", "yes", "no")),
        ({}, {"retry": {"on_statuses": []}}, ("Retry these statuses", "", "429, 500, 502, 503, 504", "none")),
        ({"request": {"headers": {"X.One": "1"}}}, {}, ("Header X.One", "", "1", "none")),
        ({}, {"retention": {"keep_days": 7}}, ("Days to keep", "", "none", "7")),
        (
            {}, {"success": {"assertions": [{"type": "status_equals", "value": 204}]}},
            ("Assertions", "", "none", "the status is 204"),
        ),
        (
            {}, {"environments": {"staging": {"request": {"url": "https://x.test/"}}}},
            ("URL", "staging", "inherited", "https://x.test/"),
        ),
    ],
)  # fmt: skip
def test_a_change_has_the_forms_label_and_words(
    before: dict[str, Any], after: dict[str, Any], expected: tuple[str, ...]
) -> None:
    (change,) = changes_between(spelled(**before), spelled(**after))
    assert (change.label, change.environment, change.old, change.new) == expected


def test_texts_are_compared_line_by_line_json_laid_out() -> None:
    before, after = (spelled(request={"body": f'{{"a":1,"b":{value}}}'}) for value in ("2", "3"))
    (change,) = changes_between(before, after)
    told_lines = [(line.mark, line.text) for line in change.lines]
    assert ("-", '  "b": 2') in told_lines
    assert ("+", '  "b": 3') in told_lines
    assert ("", '  "a": 1,') in told_lines


def test_very_long_texts_are_only_said_to_differ() -> None:
    before, after = (spelled(request={"body": f"{start}\n" * 100_000}) for start in "ab")
    (change,) = changes_between(before, after)
    assert (change.lines, len(change.new)) == ((), MAX_CHARACTERS + 1)


#: Few characters, so that texts often agree; a dot, since paths must not be split at the dots of a name.
TEXTS = st.text("ab.\n", max_size=4)
DEFINITIONS = st.fixed_dictionaries(
    {
        "name": TEXTS,
        "schedule": st.none() | TEXTS | st.fixed_dictionaries({"every_seconds": st.integers(1, 9)}),
        "request": st.fixed_dictionaries(
            {"headers": st.dictionaries(TEXTS, TEXTS, max_size=3), "body": st.none() | TEXTS}
        ),
        "environments": st.dictionaries(
            st.sampled_from(["staging", "production"]),
            st.fixed_dictionaries({"timezone": TEXTS, "request": st.fixed_dictionaries({"url": TEXTS})}),
        ),
    }
)


@given(DEFINITIONS, DEFINITIONS)
def test_comparison_is_reflexive_and_symmetric_in_its_fields(one: dict[str, Any], other: dict[str, Any]) -> None:
    one, other = spelled(**one), spelled(**other)
    assert changes_between(one, copy.deepcopy(one)) == ()
    there, back = changes_between(one, other), changes_between(other, one)
    assert sorted((c.label, c.environment, c.old, c.new) for c in there) == sorted(
        (c.label, c.environment, c.new, c.old) for c in back
    )
    assert bool(there) == (one != other)


def test_overrides_are_listed_by_field() -> None:
    sparse = {"schedule": "0 6 * * *", "request": {"url": "https://s.test/", "headers": {"X-A": "1"}}}
    assert [(one.label, one.new) for one in override_changes(sparse)] == [
        ("Schedule", "0 6 * * *"),
        ("URL", "https://s.test/"),
        ("Header X-A", "1"),
    ]


def test_every_field_that_can_be_overridden_has_a_label_of_the_form() -> None:
    definition = job_config(callback=default_callback("https://example.com/"))
    for field in OVERRIDABLE:
        inner = definition[field]
        for path in [f"{field}.{name}" for name in inner] if isinstance(inner, dict) else [field]:
            assert label_of(path)
            assert "_" not in label_of(path)


def test_a_callback_is_summarized_by_its_url_and_endings() -> None:
    facts = {
        fact.label: fact.lines for fact in summarize(job_config(callback=default_callback("https://example.com/")))
    }
    assert facts["Callback"] == (
        "POST https://example.com/",
        "after executions that are succeeded, failed or canceled",
    )
