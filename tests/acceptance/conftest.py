"""A house with real processes for each acceptance test, and a receiver that it calls."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house import House, installed
from tests.support.house_databases import Template, house_template
from tests.support.recording_receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(scope="session")
def template() -> Template:
    return house_template()


@pytest.fixture
def house(template: Template, tmp_path: Path) -> Iterator[House]:
    """An installation of this test's own."""
    with installed(template, tmp_path) as made:
        yield made
