"""The budget's table: verdicts, readable numbers, and missing measurements."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.budget import Limit, Line, Peer, as_json, median_ratio, number, peers_table, spread, table
from bench.demands import DEMANDS, FULL, MEASURES, QUICK

FASTER = Limit("at least", 25, "x")
SOONER = Limit("at most", 2.5, "s")


@pytest.mark.parametrize(
    ("limit", "reached", "verdict"),
    [
        (FASTER, 25.0, "ok"),
        (FASTER, 48.0, "ok"),
        (FASTER, 24.99, "missed"),
        (SOONER, 2.5, "ok"),
        (SOONER, 2.51, "missed"),
        (SOONER, 0.0, "ok"),
        (SOONER, None, "not measured"),
    ],
)
def test_a_line_is_ok_up_to_its_limit(limit: Limit, reached: float | None, verdict: str) -> None:
    assert Line("something", limit, reached).verdict == verdict


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1234.5, "1,234"),
        (100, "100"),
        (99.96, "100"),
        (12.34, "12.3"),
        (2, "2"),
        (0.5, "0.5"),
        (0.447, "0.447"),
        (0.01234, "0.012"),
        (0, "0"),
    ],
)
def test_numbers_are_rounded_for_reading(value: float, words: str) -> None:
    assert number(value) == words


@given(st.floats(min_value=0.001, max_value=1e9))
def test_a_number_keeps_its_first_two_digits(value: float) -> None:
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.05)


def test_the_ratio_is_that_of_the_rounds_and_not_of_the_medians() -> None:
    ours, theirs = [100.0, 50.0, 90.0], [10.0, 5.0, 30.0]
    assert median_ratio(ours, theirs) == 10
    assert median_ratio([3.0], [2.0]) == 1.5


def test_rounds_of_different_number_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        median_ratio([1.0, 2.0], [1.0])


def test_a_single_round_has_no_spread() -> None:
    assert spread([2.0, 1.0, 3.0]) == "1 to 3"
    assert spread([2.0]) == ""


def test_the_table_has_requirement_result_and_peer() -> None:
    written = table(
        [
            Line("runs/s against Celery", FASTER, 48.2, "celery, threads: 68 runs/s", "3 rounds: 47 to 49"),
            Line("the last id on Redis", SOONER, 3.0),
            Line("against a queue", FASTER, None, note="npm is not there"),
        ]
    )
    head, celery, rounds, redis, queue, reason = written.splitlines()
    assert head.split() == ["what", "must", "reach", "reached", "beside"]
    assert "at least 25 x" in celery
    assert "48.2 x" in celery
    assert " ok " in celery
    assert celery.endswith("celery, threads: 68 runs/s")
    assert rounds.strip() == "3 rounds: 47 to 49"
    assert "at most 2.5 s" in redis
    assert "3 s" in redis
    assert redis.endswith("missed")
    assert "not measured" in queue
    assert reason.strip() == "npm is not there"


def test_a_missing_peer_is_named_with_its_reason() -> None:
    written = peers_table(2591.4, [Peer("asyncio", 824.0, 3.14159), Peer("graphile-worker", None, None, "no npm")])
    assert "2,591" in written
    assert "3.14 x" in written
    assert "graphile-worker" in written
    assert "not measured: no npm" in written


def test_the_json_has_verdicts_and_the_machine() -> None:
    lines = [Line("the last id on Redis", SOONER, 3.0)]
    data = json.loads(json.dumps(as_json(lines, 2.0, [Peer("asyncio", 1.0, 2.0)], {"machine": {"cores": "2"}})))
    assert data["machine"] == {"cores": "2"}
    assert data["budget"][0]["verdict"] == "missed"
    assert data["budget"][0]["limit"] == {"sense": "at most", "value": 2.5, "unit": "s"}
    assert data["runs_per_second"] == 2
    assert data["peers"] == [{"name": "asyncio", "rate": 1.0, "ratio": 2.0, "note": ""}]


def test_every_requirement_has_a_unique_name_and_its_sizes() -> None:
    assert len({demand.name for demand in DEMANDS}) == len(DEMANDS)
    assert {demand.measure for demand in DEMANDS} == set(MEASURES)
    for sizes in (FULL, QUICK):
        texts = [demand.text(sizes) for demand in DEMANDS]
        assert not [text for text in texts if "{" in text]
        assert f"{sizes.idle:,}" in "".join(texts)
