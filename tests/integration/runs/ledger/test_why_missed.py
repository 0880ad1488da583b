"""The explanation of a missed occurrence names the outcome of those due with it, and the time between."""

import datetime
from typing import Any

import pytest

from accounts.models import Workspace
from runs.clock.fire import fire_due
from runs.ledger.explain import explain
from tests.support.api_caller import caller
from tests.support.jobs import EPOCH, MakeJob

MINUTE = datetime.timedelta(minutes=1)


@pytest.mark.parametrize(
    ("minutes", "changes", "told"),
    [
        (12, {}, ["one of 11 in a row from 2026-03-01 12:01:00 to 2026-03-01 12:11:00 UTC",
                  "missed; only the latest of 12 is fired"]),
        (2, {}, ["missed; only the latest of 2 is fired"]),
        (300, {}, ["one of 299 in a row", "missed; only the latest of 300 is fired"]),
        (150, {"misfire": "fire_all", "misfire_grace_seconds": 86_400},
         ["one of 50 in a row", "missed; only the latest 100 of 150 are fired"]),
        (12, {"misfire": "fire_all", "misfire_grace_seconds": 300}, ["later than the job's grace of 5 min"]),
        (12, {"misfire": "skip"}, ["misfire policy skips late occurrences"]),
    ],
)  # fmt: skip
def test_the_sentence_explains_the_miss(
    minutes: int, changes: dict[str, Any], told: list[str], make_job: MakeJob
) -> None:
    job = make_job(schedule={"every_seconds": 60}, **changes)
    fire_due(EPOCH + minutes * MINUTE)
    found = explain(job, at=EPOCH + MINUTE, now=EPOCH + minutes * MINUTE)
    assert found.verdict == "skipped"
    assert all(part in found.detail for part in told), found.detail
    assert "clock was away longer" not in found.detail


def test_an_occurrence_beyond_the_grace_without_a_successor_is_explained(make_job: MakeJob) -> None:
    job = make_job(schedule="2026-03-01T13:00:00Z", misfire_grace_seconds=600)
    fire_due(EPOCH + 120 * MINUTE)
    found = explain(job, at=EPOCH + 60 * MINUTE, now=EPOCH + 120 * MINUTE)
    assert "later than the job's grace of 10 min" in found.detail


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"schedule": "* * * * *", "jitter_seconds": 3600}, ["jitter_seconds 3600"]),
        ({"schedule": "0 * * * *", "overlap": "skip", "misfire": "fire_all"}, ["overlap skip"]),
        ({"schedule": "0 * * * *", "overlap": "queue", "misfire": "fire_all"}, ["overlap queue"]),
        ({"schedule": "0 * * * *"}, []),
        ({"schedule": "30 23 * * *", "timezone": "America/Nuuk", "from": "2026-12-01T00:00:00Z", "jitter_seconds": 60},
         ["2027-03-28 00:00", "2027-10-30"]),
    ],
)  # fmt: skip
def test_the_preview_warns_of_contradictions(body: dict[str, Any], words: list[str], workspace: Workspace) -> None:
    found = caller(workspace).ask("POST", "/schedules/preview/", body, expect=200)["warnings"]
    assert len(found) == len(words)
    assert all(word in sentence for word, sentence in zip(words, found, strict=True))


def test_the_preview_refuses_invalid_policies(workspace: Workspace) -> None:
    wrong = {"schedule": "* * * * *", "overlap": "perhaps", "jitter_seconds": -1, "misfire": 5}
    assert set(caller(workspace).refused("POST", "/schedules/preview/", wrong)) == {
        "overlap",
        "jitter_seconds",
        "misfire",
    }
