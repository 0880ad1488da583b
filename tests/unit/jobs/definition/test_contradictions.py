"""Contradictory settings are warned of, others are not."""

import datetime
from typing import Any

import pytest

from jobs.definition.contradictions import contradictions
from jobs.schedule import parse_schedule

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
DEFAULTS: dict[str, Any] = {
    "jitter_seconds": 0, "overlap": "allow", "misfire": "fire_once", "misfire_grace_seconds": 3600, "concurrency": None,
}  # fmt: skip


def warnings_for(schedule: Any, **policies: Any) -> tuple[str, ...]:
    planned = parse_schedule(schedule, timezone="UTC", now=NOW, anchor=NOW)
    return contradictions(planned, {**DEFAULTS, **policies})


@pytest.mark.parametrize(
    ("schedule", "jitter", "warned"),
    [
        ("* * * * *", 3600, True),
        ("* * * * *", 60, True),
        ("* * * * *", 59, False),
        ({"every_seconds": 90}, 90, True),
        ({"every_seconds": 90}, 89, False),
        ("0 9,10 * * *", 3600, True),
        ("0 9 * * *", 3600, False),
        ("59 23 * * *", 3600, False),
        ("every 15 minutes from 9:00 to 17:00", 900, True),
        ("every other friday", 3600, False),
        ("2027-01-01T00:00:00Z", 3600, False),
        (None, 3600, False),
    ],
)
def test_a_jitter_as_long_as_the_interval_is_warned_of(schedule: Any, jitter: int, warned: bool) -> None:
    assert any("jitter_seconds" in one for one in warnings_for(schedule, jitter_seconds=jitter)) is warned


@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel_running"])
def test_fire_all_with_limited_concurrency_is_warned_of(overlap: str) -> None:
    (sentence,) = warnings_for("0 * * * *", overlap=overlap, misfire="fire_all")
    assert f"overlap {overlap}" in sentence
    assert warnings_for("0 * * * *", overlap=overlap) == warnings_for("0 * * * *", misfire="fire_all") == ()


@pytest.mark.parametrize(
    ("policies", "word"),
    [
        ({"misfire": "fire_all", "misfire_grace_seconds": 86_400}, "latest 100"),
        ({"misfire_grace_seconds": 0}, "misfire_grace_seconds 0"),
        ({"misfire": "fire_all", "misfire_grace_seconds": 5}, "misfire_grace_seconds 5"),
        ({"overlap": "skip", "concurrency": 5}, "concurrency 5"),
    ],
)
def test_settings_without_effect_are_warned_of(policies: dict[str, Any], word: str) -> None:
    assert any(word in sentence for sentence in warnings_for("* * * * *", **policies))


def test_defaults_are_never_warned_of() -> None:
    for schedule in ("* * * * * *", "0 9 * * 1-5", {"every_seconds": 1}, "every other friday"):
        assert warnings_for(schedule) == ()
