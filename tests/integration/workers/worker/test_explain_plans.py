"""The cost of claiming and recording a batch while the planner's statistics know no live execution."""

import contextlib
import datetime
import random
import time
from collections.abc import Iterator

import psycopg2.extras
import pytest
from django.db import connection, transaction

from accounts.actors import SYSTEM
from jobs.models import JobEnvironment
from runs.attempts.contract import Timings
from runs.attempts.recording import record
from runs.executions import services
from runs.models import Execution
from runs.states import ExecutionStatus
from tests.support.explain_plans import ExplainingCursor
from tests.support.seeded_history import seed_executions, seed_jobs
from workers.delivery.contract import DeliveryResult
from workers.worker.claim import Claimer
from workers.worker.evaluate import evaluate

COUNT, BATCH = 5_000, 300


class Link:
    """A worker's connection that records what its statements read."""

    def __init__(self) -> None:
        self.asked: ExplainingCursor

    @contextlib.contextmanager
    def transaction(self) -> Iterator[ExplainingCursor]:
        with transaction.atomic(), connection.cursor() as cursor:
            psycopg2.extras.register_default_jsonb(cursor.cursor)  # as on a worker's own
            self.asked = ExplainingCursor(cursor)
            yield self.asked


@pytest.fixture
def ids(fresh_tables: None) -> list[str]:
    """A due batch, in a history whose statistics know no live execution."""
    seed_jobs(jobs=20)
    seed_executions(COUNT)
    job, now = JobEnvironment.objects.select_related("job").order_by("pk")[0], datetime.datetime.now(datetime.UTC)
    return [str(services.run_now(job_environment=job, now=now, actor=SYSTEM).pk) for _ in range(BATCH)]


def test_a_batch_is_claimed_and_recorded_by_its_ids(ids: list[str]) -> None:
    link = Link()
    claimed = Claimer(owner="w/1", lease_seconds=60, user_agent="Hourhand/test").claim(link, ids, limit=BATCH)
    assert len(claimed) == BATCH
    _assert_cheap(link.asked)

    at, timings = time.monotonic(), Timings(None, None, None, None, 0)
    results = [DeliveryResult(one.request, None, None, None, None, timings, at, at) for one in claimed]
    attempts = [evaluate(*pair, worker="w", rng=random.Random(1)) for pair in zip(claimed, results, strict=True)]
    with link.transaction() as cursor:
        assert record(cursor, attempts) == {(key, 1) for key in ids}
    _assert_cheap(link.asked)
    assert Execution.objects.filter(pk__in=ids, status=ExecutionStatus.SUCCEEDED).count() == BATCH


def _assert_cheap(asked: ExplainingCursor) -> None:
    for sql, findings in asked.explained:
        assert findings.tried <= BATCH, sql
        assert findings.read.get("runs_execution", 0) <= 2 * COUNT, sql
