"""One browser and one deployment with seeded history, without a beat or worker, for all browser tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.chromium import NoBrowserError, chromium
from tests.support.deployment import Deployment
from tests.support.recording_receiver import Receiver
from tests.support.seeded_deployment import seeded_deployment
from tests.support.visitor import Visitor, window

#: Enough for a page of each list, and for every kind of ending.
_DAYS = 2


# Of the package, not of the session: playwright keeps an event loop in this thread, beside which Django won't ask its
# database in the tests that come later.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    try:
        with chromium() as made:
            yield made
    except NoBrowserError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="package")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with seeded_deployment(tmp_path_factory.mktemp("deployment"), days=_DAYS) as made:
        yield made


@pytest.fixture(scope="package")
def state(deployment: Deployment, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The administrator's cookies, from one visit to the login form."""
    kept = tmp_path_factory.mktemp("state") / "cookies.json"
    with window(browser) as context:
        visitor = Visitor(deployment, context.new_page())
        visitor.log_in()
        context.storage_state(path=kept)
    return str(kept)


@pytest.fixture
def visitor(deployment: Deployment, browser: Browser, state: str) -> Iterator[Visitor]:
    """An administrator on a desktop, logged in."""
    with window(browser, state=state) as context:
        yield Visitor(deployment, context.new_page())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()
