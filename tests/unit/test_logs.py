"""Which events are told: failures always, the coming and going of chores only to those who ask for it."""

import logging
import logging.config
from collections.abc import Iterator

import pytest
from django.conf import settings

from scheduler_project.logs import logging_config


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    logging.config.dictConfig(settings.LOGGING)


@pytest.mark.parametrize("name", ["celery.beat", "celery.app.trace", "celery.worker.strategy"])
def test_a_chore_that_comes_every_few_seconds_is_told_when_it_fails(name: str) -> None:
    logging.config.dictConfig(logging_config(level="INFO"))
    assert not logging.getLogger(name).isEnabledFor(logging.INFO)
    assert logging.getLogger(name).isEnabledFor(logging.WARNING)
    assert logging.getLogger("workers.beat").isEnabledFor(logging.INFO)
    logging.config.dictConfig(logging_config(level="DEBUG"))
    assert logging.getLogger(name).isEnabledFor(logging.INFO)
