"""Workflows at each of their stages, and the people who see them."""

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from accounts.actors import Actor
from accounts.models import Workspace
from jobs.models import JobVersion
from runs.executions import services
from runs.models import Execution
from tests.support.admin_rows import person, signed_in
from tests.support.jobs import MakeJob
from tests.support.workflows import StartWorkflow, Worker, workflow_config


@pytest.fixture
def mara(workspace: Workspace) -> Any:
    return person("mara", workspace=workspace, role="member")


@pytest.fixture
def member(mara: Any) -> Client:
    return signed_in(mara)


@pytest.fixture
def viewer(workspace: Workspace) -> Client:
    return signed_in(person("vera", workspace=workspace, role="viewer"))


@pytest.fixture
def start(make_job: MakeJob, mara: Any) -> StartWorkflow:
    """Let Mara start a workflow with these steps, and an input."""

    def make(*steps: dict[str, Any], given: Any = None, slug: str | None = None, **fields: Any) -> Execution:
        row = make_job(slug=slug)
        JobVersion.objects.filter(job=row.job).update(config=workflow_config(*steps, **fields))
        now = datetime.datetime.now(datetime.UTC)
        execution = services.run_now(job_environment=row, now=now, input=given, actor=Actor.of_user(mara))
        return Execution.objects.get(pk=execution.pk)

    return make


@pytest.fixture
def worker() -> Iterator[Worker]:
    first = Worker()
    yield first
    first.close()
