"""Fixtures that start workflows on real Postgres, with a worker in this process. Conftests import them."""

import datetime
from typing import Any

import pytest

from accounts.actors import SYSTEM
from jobs.models import JobVersion
from runs.executions import services
from runs.models import Execution
from tests.support.jobs import MakeJob
from tests.support.workflows import StartWorkflow, Worker, workflow_config


@pytest.fixture
def start(make_job: MakeJob) -> StartWorkflow:
    """Start a workflow with these steps, and an input."""

    def make(*steps: dict[str, Any], given: Any = None, **fields: Any) -> Execution:
        place = make_job()
        JobVersion.objects.filter(job=place.job).update(config=workflow_config(*steps, **fields))
        now = datetime.datetime.now(datetime.UTC)
        execution = services.run_now(job_environment=place, now=now, input=given, actor=SYSTEM)
        return Execution.objects.get(pk=execution.pk)

    return make


@pytest.fixture
def worker():
    first = Worker()
    yield first
    first.close()
