"""An installation with killed processes and failing services loses and duplicates nothing."""

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.chaos.faults import catalogue
from tests.acceptance.chaos.flows import FEW, MANY
from tests.acceptance.chaos.house import WORKERS, standing
from tests.acceptance.chaos.postgres_faults import postgres_ends
from tests.acceptance.chaos.process_faults import STEPS, dies_at
from tests.acceptance.chaos.redis_faults import redis_hangs
from tests.acceptance.chaos.report import report, verdicts
from tests.acceptance.chaos.storm import Blow, blows, rage
from tests.support.deployment_databases import Template

pytestmark = pytest.mark.storms
_FULL_SECONDS = 300.0


def test_a_seeded_storm_loses_and_doubles_nothing(template: Template, tmp_path: Path, full: bool):
    seed = random.randrange(1_000_000)
    rng = random.Random(seed)
    # A single worker claims again what it lost itself, so fences must name the attempt, not only the process.
    workers = rng.choice((1, WORKERS))
    planned = blows(rng, catalogue(workers)) if full else _short(rng)
    with standing(template, tmp_path, workers=workers) as house:
        storm = rage(house, planned, seconds=_FULL_SECONDS, rng=rng, lasting=full, workflows=MANY if full else FEW)
        found = verdicts(storm, house)
        print(report(storm, house, found, seed=seed))
    assert [verdict for verdict in found if verdict.against] == []
    assert not [what for struck, _ in storm.blows for what in struck.missed]


def _short(rng: random.Random) -> Iterator[Blow]:
    """A beat and a worker die at steps of theirs, then both services fail together. Each step of its own, and quickly:
    tests/integration/runs/clock/test_failpoints.py.
    """
    of_beats, of_workers = ("fire", "enqueue", "requeue"), ("claim", "send", "record")
    steps = [dies_at(rng.choice(STEPS[rng.choice(step)])) for step in (of_beats, of_workers)]
    yield Blow(steps, [0.0, 0.0])
    yield Blow([redis_hangs(), postgres_ends(signal.SIGQUIT)], [2.0, 0.0])
