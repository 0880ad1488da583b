"""A deployment with its own processes for each acceptance test, and a receiver for its calls."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployment import Deployment, installed
from tests.support.deployment_databases import Template, deployment_template
from tests.support.recording_receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="session")
def template() -> Template:
    return deployment_template()


@pytest.fixture
def deployment(template: Template, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment for one test."""
    with installed(template, tmp_path) as deployment:
        yield deployment
