"""One browser and one deployment with seeded history, without a beat or worker, for all browser tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.chromium import NoBrowserError, chromium
from tests.support.deployment import Deployment
from tests.support.recording_receiver import Receiver
from tests.support.seeded_deployment import seeded_deployment
from tests.support.visitor import Visitor, window

# A shared machine may be several times slower than usual.
expect.set_options(timeout=60_000)
#: Enough for a page of each list and for every outcome.
_DAYS = 2


# Package scope, not session: playwright keeps an event loop in this thread, and Django refuses database access beside
# one, in later tests.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    try:
        with chromium() as browser:
            yield browser
    except NoBrowserError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="package")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with seeded_deployment(tmp_path_factory.mktemp("deployment"), days=_DAYS) as made:
        yield made


@pytest.fixture(scope="package")
def state(deployment: Deployment, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Log in once and return the path of the administrator's cookies."""
    kept = tmp_path_factory.mktemp("state") / "cookies.json"
    with window(browser) as context:
        visitor = Visitor(deployment, context.new_page())
        visitor.log_in()
        context.storage_state(path=kept)
    return str(kept)


@pytest.fixture
def visitor(deployment: Deployment, browser: Browser, state: str) -> Iterator[Visitor]:
    """A logged-in administrator on a desktop."""
    with window(browser, state=state) as context:
        yield Visitor(deployment, context.new_page())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()
